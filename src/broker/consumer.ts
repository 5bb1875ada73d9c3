import type { Actor } from '../model/actor.ts'
import type { HeaderMap } from '../model/header-value.ts'
import type { ConsumeOptions, Destination } from './destination.ts'
import type { MessageFilter } from './filter/index.ts'
import { type Flow, Pace, type Rates } from './flow/index.ts'
import type { StoredMessage } from './stored-message.ts'

/** Where deliveries go: a channel, a session, a reader. Implemented by protocols. */
export interface DeliverySink {
  /**
   * One message; the view is valid during the call only. With `noAck` it is settled already. Call
   * `consumer.pause()` from inside when this used the last credit. Must not throw and must not
   * publish.
   */
  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    redelivered: boolean,
    attempts: number,
  ): void
  /** For those who ask why nothing comes; absent: nothing is known. */
  standing?(): Standing
  /** Whether the message at that offset is with it, unsettled. */
  holds?(offset: number): boolean
  /** The destination is gone, and the consumer with it. */
  cancelled(consumer: Consumer): void
}

/** What a consumer has and may have. */
export interface Standing {
  readonly unsettled: number
  /** 0: any number. */
  readonly unsettledMax: number
  /** The client does not read what was sent. */
  readonly isOutputFull: boolean
  /** Which of its connection's channels has it; absent where there are none. */
  readonly channel?: number
}

/** What a destination wants to hear from its consumers. */
export interface ConsumerHome {
  consumerReady(consumer: Consumer): void
  removeConsumer(consumer: Consumer): void
}

/** One subscriber of a destination, and whether it can take more. */
export class Consumer {
  readonly destination: Destination
  readonly sink: DeliverySink
  readonly tag: string
  readonly noAck: boolean
  readonly exclusive: boolean
  readonly priority: number
  readonly owner: object
  /** Who it is, for people; null: the broker itself. */
  readonly actor: Actor | null
  readonly arguments: HeaderMap
  /** Null: it wants everything. */
  readonly filter: MessageFilter | null
  /** Where messages have keys, it is given one of each at a time. */
  readonly oneOfKey: boolean
  /** Its client asked for a rate. */
  readonly hasOwnRates: boolean
  /** Null: it is given as much as it takes. */
  #pace: Pace | null
  /** Whose consumers it is one of; null: of nobody, or not any more. */
  #flow: Flow | null
  /** The client could take more, whether its rate lets it or not. */
  #wants = false
  /** Whether it can take a message now. Changed by `pause` and `resume` only. */
  ready = false
  /** Since when it cannot, in milliseconds since the epoch; 0: it never could. */
  pausedAtMs = 0
  /** Owned by `ConsumerSet`: whether it stands in the ring of those to serve. */
  inRing = false
  #home: ConsumerHome | null

  /** Throws `LIMIT_EXCEEDED` where its user or virtual host has all it may have. */
  constructor(destination: Destination, home: ConsumerHome, options: ConsumeOptions) {
    this.destination = destination
    this.#home = home
    this.sink = options.sink
    this.tag = options.tag
    this.noAck = options.noAck
    this.exclusive = options.exclusive
    this.priority = options.priority
    this.owner = options.owner
    this.actor = options.actor ?? null
    this.arguments = options.arguments
    this.filter = options.filter ?? null
    this.oneOfKey = options.oneOfKey ?? false
    this.#flow = options.flow ?? null
    this.#flow?.openConsumer(destination.name)
    this.#pace = this.#flow?.pace(() => this.#mayGoOn()) ?? null
    this.hasOwnRates = options.rates !== undefined
    if (options.rates !== undefined) this.setRates(options.rates)
  }

  setRates(rates: Rates): void {
    if (rates.messages === undefined && rates.bytes === undefined && this.#pace === null) return
    const { clock } = this.destination.vhost.flows
    this.#pace ??= new Pace(clock, null, () => this.#mayGoOn())
    this.#pace.setRates(`consume rate of consumer '${this.tag}'`, rates)
  }

  /** The rate that gives it nothing now; null: none does. */
  get heldBackBy(): string | null {
    return this.#pace?.heldBackBy ?? null
  }

  /** HOT: its destination gave it a message of this size. */
  passed(bodyBytes: number): void {
    if (this.#pace !== null && !this.#pace.passed(bodyBytes)) this.ready = false
  }

  /** No credit left, or the way out is full. Starts paused: `resume` once replies are sent. */
  pause(): void {
    this.#wants = false
    if (!this.ready) return
    this.ready = false
    this.pausedAtMs = this.destination.vhost.now()
  }

  /** It can take more: what waits is given out before this turn ends. */
  resume(): void {
    if (this.#wants || this.#home === null) return
    this.#wants = true
    if (this.#pace?.isOpen() !== false) this.#mayGoOn()
  }

  /** Takes no more; what it holds stays its own until settled or released. */
  cancel(): void {
    const home = this.#home
    this.#end()
    home?.removeConsumer(this)
  }

  /** The destination is gone: no way back to it. */
  orphan(): void {
    this.#end()
    this.sink.cancelled(this)
  }

  #mayGoOn(): void {
    if (!this.#wants || this.ready || this.#home === null) return
    this.ready = true
    this.#home.consumerReady(this)
  }

  #end(): void {
    this.#home = null
    this.#flow?.consumerClosed()
    this.#flow = null
    this.#wants = false
    this.ready = false
    this.#pace?.stop()
  }
}
