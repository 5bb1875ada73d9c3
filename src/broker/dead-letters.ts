import { encodeAddress, exchangeOf, routingKeyOf } from '../model/address.ts'
import { MessageDraft } from '../model/message-draft.ts'
import {
  addDeath,
  type Annotations,
  type DeathReason,
  type DeathRecord,
  decodeAnnotations,
  encodeAnnotations,
  wouldCycle,
} from './annotations.ts'
import type { Exchange } from './exchange.ts'
import type { FailureText } from './failure-texts.ts'
import type { Queue } from './queue.ts'
import type { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/** How a message died. */
export interface Death {
  readonly reason: DeathReason
  /** How often it failed in this queue. */
  readonly attempts: number
  /** What consumers said of its failures. */
  readonly failure: FailureText | null
  /** Whether it is kept where nobody takes it. */
  readonly isKept: boolean
  /** The number of its trace, which goes on with it; 0: it has none. */
  readonly trace: number
}

/** What is published, and where. */
export interface Letter {
  readonly exchange: Exchange
  readonly keys: readonly string[]
  readonly draft: MessageDraft
}

interface DeadLetter extends Letter {
  /** Queues in which it would go round in a circle. */
  readonly excepts: (name: string) => boolean
}

/** Publishes what died in a queue to the exchange it names, with the story of its deaths. */
export class DeadLetters {
  readonly #vhost: VirtualHost

  constructor(vhost: VirtualHost) {
    this.#vhost = vhost
  }

  /**
   * False, and nothing is done, where the message must be kept: the exchange is not there, it
   * routes nowhere, or each queue it routes to is full.
   */
  publish(queue: Queue, message: StoredMessage, death: Death): boolean {
    const draft = new MessageDraft()
    draft.ofBroker = true
    draft.form = message.form
    draft.persistent = message.persistent
    draft.priority = message.priority
    draft.setAddress(message.data, message.addressStart, message.addressEnd)
    draft.setHeader(message.data, message.headerStart, message.headerEnd)
    draft.setBody(message.data, message.bodyStart, message.bodyEnd)
    draft.owner = this.#vhost.flows.ownerOf(message)
    draft.trace = death.trace
    return this.#send(queue, this.#letterOf(queue, draft, message.annotations, death), death)
  }

  /** The same for a message that was refused before it was stored; nobody keeps it. */
  publishDraft(queue: Queue, refused: MessageDraft, reason: DeathReason): void {
    this.#send(queue, this.ofRefused(queue, refused, reason), { reason, isKept: false })
  }

  /** What such a message becomes, and where that goes; null: nowhere. */
  ofRefused(queue: Queue, refused: MessageDraft, reason: DeathReason): DeadLetter | null {
    const draft = new MessageDraft()
    draft.ofBroker = true
    draft.form = refused.form
    draft.persistent = refused.persistent
    draft.priority = refused.priority
    draft.setAddress(refused.address, refused.addressStart, refused.addressEnd)
    draft.setHeader(refused.header, refused.headerStart, refused.headerEnd)
    draft.setBody(refused.body, refused.bodyStart, refused.bodyEnd)
    draft.owner = refused.owner
    // It may have died before: without that story it could go round for ever.
    const before = refused.annotations === null ? null : decodeAnnotations(refused.annotations)
    draft.trace = refused.trace
    return this.#letterOf(queue, draft, before, { reason, attempts: 0, failure: null })
  }

  /** Makes `draft` a dead letter of the queue; null, where that names no exchange that is there. */
  #letterOf(
    queue: Queue,
    draft: MessageDraft,
    before: Annotations | null,
    { reason, attempts, failure }: Pick<Death, 'reason' | 'attempts' | 'failure'>,
  ): DeadLetter | null {
    const { deadLetterExchange, deadLetterRoutingKey } = queue.settings
    if (deadLetterExchange === undefined) return null
    const exchange = this.#vhost.exchange(deadLetterExchange)
    if (exchange === undefined) return null
    const form = this.#vhost.form(draft.form)
    const { header, headerStart, headerEnd } = draft
    const ownKey = routingKeyOf(draft.address, draft.addressStart, draft.addressEnd)
    const extraKeys = form?.extraKeys(header, headerStart, headerEnd) ?? []
    const routingKeys = [ownKey, ...extraKeys]
    const death: DeathRecord = {
      queue: queue.name,
      reason,
      count: 1,
      ...(attempts > 0 ? { attempts } : {}),
      timeMs: this.#vhost.now(),
      exchange: exchangeOf(draft.address, draft.addressStart),
      routingKeys,
      // The header bytes keep it, but after a first death it counts as taken away.
      originalExpiration:
        (before?.deaths.length ?? 0) > 0
          ? null
          : (form?.expiration(header, headerStart, headerEnd) ?? null),
    }
    const annotations = addDeath(before, death, failure)
    const keys = deadLetterRoutingKey === undefined ? routingKeys : [deadLetterRoutingKey]
    const address = encodeAddress(deadLetterExchange, keys[0]!)
    draft.setAddress(address, 0, address.length)
    draft.annotations = encodeAnnotations(annotations)
    const excepts = (name: string): boolean => wouldCycle(annotations, name)
    return { exchange, keys, draft, excepts }
  }

  #send(
    queue: Queue,
    letter: DeadLetter | null,
    { reason, isKept }: Pick<Death, 'reason' | 'isKept'>,
  ): boolean {
    if (letter === null) return !isKept || queue.settings.deadLetterExchange === undefined
    const { exchange, keys, draft, excepts } = letter
    let isDone = true
    if (isKept) isDone = this.#vhost.moveExcept(exchange, keys, draft, excepts)
    else this.#vhost.publishExcept(exchange, keys, draft, excepts)
    draft.setBody(NOTHING, 0, 0)
    if (isDone) this.#vhost.totals.deaths[reason]++
    return isDone
  }
}
