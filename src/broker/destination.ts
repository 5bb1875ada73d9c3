import type { Actor } from '../model/actor.ts'
import type { HeaderMap } from '../model/header-value.ts'
import type { Consumer, DeliverySink } from './consumer.ts'
import type { MessageFilter } from './filter/index.ts'
import type { Flow, Intake, Rates } from './flow/index.ts'
import type { KeySharing } from './message-key.ts'
import type { DestinationPolicy } from './policy.ts'
import type { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What a destination is declared with. */
export interface DestinationSpec {
  readonly name: string
  /** `queue`: kept until settled. `topic`: kept by time or size. */
  readonly profile: 'queue' | 'topic'
  readonly durable: boolean
  readonly autoDelete: boolean
  /** The connection it belongs to and dies with; null: anybody's. */
  readonly exclusiveOwner: object | null
  /** As declared, for equivalence and listing; the broker acts on `settings` only. */
  readonly arguments: HeaderMap
  readonly settings: DestinationPolicy
  /** Whether failed attempts are counted, kept and limited by `settings.attemptsMax`. */
  readonly countsAttempts: boolean
  /** Highest priority that counts; 0: order of arrival alone. */
  readonly prioritiesMax: number
  /**
   * Two levels, priorities above 4 and the rest, of which the higher one is served twice as often
   * but never alone. Needs `prioritiesMax` 1. Default false: strictly by priority.
   */
  readonly fairPriorities?: boolean
  readonly singleActive: boolean
  /**
   * A message that was given out and came back does not expire any more, as long as the broker
   * runs; a restart forgets what was given out. Default false.
   */
  readonly keepsReturned?: boolean
  /** Topics only, 1 or more; can grow. Default 1. */
  readonly partitionCount?: number
}

/** An exclusive destination dies with its connection, so it is never worth storing. */
export function isStored(spec: DestinationSpec): boolean {
  return spec.durable && spec.exclusiveOwner === null
}

/** Where a reader of a topic starts. */
export type StreamStart =
  | { readonly kind: 'first' | 'last' | 'next' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timeMs: number }

export interface ConsumeOptions {
  readonly sink: DeliverySink
  readonly tag: string
  /** Settled when given out. */
  readonly noAck: boolean
  readonly exclusive: boolean
  /** Higher ones are served first while they can take more. Default 0. */
  readonly priority: number
  /** The connection; for listing and exclusive destinations. */
  readonly owner: object
  /** Who it is, for people who ask. Default: the broker itself. */
  readonly actor?: Actor | undefined
  /** Topics only. Default `next`. */
  readonly startAt?: StreamStart
  /**
   * Queues only: messages of one key are to come in order, or with null as any others. Absent: as
   * the queue has it. Refused where that has it otherwise, or others take part already.
   */
  readonly keyShared?: KeySharing | null
  /** Of each key it is given one message at a time. Default: as many as it takes. */
  readonly oneOfKey?: boolean
  /** Of the connection; absent: no limit of a user or virtual host is asked. */
  readonly flow?: Flow
  /**
   * It is given what the filter takes; what a queue has beside stays there. Refused where a queue
   * is key-shared. Default: everything.
   */
  readonly filter?: MessageFilter
  /** How much it is given in a second. Default: as much as it takes. */
  readonly rates?: Rates
  readonly arguments: HeaderMap
}

/** What `Destination.get` gives: nothing when `message` is null. The view is borrowed. */
export type GetDone = (
  message: StoredMessage | null,
  offset: number,
  redelivered: boolean,
  attempts: number,
) => void

/** A stored log that can be published to and consumed from: `Queue` and `Topic`. */
export interface Destination {
  readonly name: string
  readonly vhost: VirtualHost
  readonly spec: DestinationSpec
  readonly profile: 'queue' | 'topic'
  readonly exclusiveOwner: object | null
  readonly readyCount: number
  readonly unsettledCount: number
  /**
   * Failed messages that wait for their next attempt, and dead letters that nobody takes; they are
   * in no other count.
   */
  readonly heldCount: number
  /** Ready ones that wait for others of their key, which are out; in `readyCount` too. */
  readonly followerCount: number
  readonly consumerCount: number
  /** Whether a failed message is held back for a while before it comes again. */
  readonly retries: boolean
  /** How messages of one key are kept in order now; null: not at all. */
  readonly keySharing: KeySharing | null
  /** Bytes of the bodies that wait. */
  readonly readyBytes: number
  readonly intake: Intake
  /** What holds back its publishers or its consumers now, in a sentence; null: nothing. */
  readonly heldBackBy: string | null
  /** Throws `BrokerError` `ACCESS_REFUSED` where somebody's exclusive use is in the way. */
  consume(options: ConsumeOptions): Consumer
  consumers(): Iterable<Consumer>
  /** Takes one message; calls back once, in this turn or when it was read from disk. */
  get(noAck: boolean, done: GetDone): void
  /** Done: never given out again. */
  accept(offset: number): void
  /** Back to its place, not counted as a failure. */
  release(offset: number): void
  /**
   * Back to its place, counted; beyond `attemptsMax` it is dead-lettered. `error` is what the
   * consumer says of it.
   */
  fail(offset: number, error?: string): void
  /** Dead-lettered, or dropped where no dead-letter target is set. */
  reject(offset: number, error?: string): void
  /** Drops what waits and is not given out; returns how many. */
  purge(): number
  /** Somebody declared it again or looked at it: it is in use. */
  touch(): void
}
