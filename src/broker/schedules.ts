import { type Digest, digestText } from '../lib/digest.ts'
import { exchangeOf, routingKeyOf } from '../model/address.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import { DELAY_MS_MAX, type ScheduleOrder } from '../model/schedule-order.ts'
import type { DelayStore } from './delay-store.ts'
import type { BrokerLimits } from './limits.ts'
import type { RecurringSchedules } from './recurring-schedules.ts'
import { RecordCursor } from './record-cursor.ts'
import { PUBLISH, type PublishResult } from './route.ts'
import type { Shard } from './shard.ts'
import type { VirtualHost } from './virtual-host.ts'

/** A message that waits for its time, for a person to look at. */
export interface PendingMessage {
  /** What its publisher named it, else a name of the broker's own, with @ in front. */
  readonly id: string
  readonly exchange: string
  readonly routingKey: string
  /** Milliseconds since 1970, as all times here. */
  readonly dueMs: number
  readonly publishedMs: number
  readonly bytes: number
  readonly persistent: boolean
}

export interface PendingPage {
  readonly messages: readonly PendingMessage[]
  /** Where the next page starts; null: this is the last one. */
  readonly next: number | null
}

interface Parts {
  readonly delays: DelayStore
  readonly recurring: RecurringSchedules
  readonly shard: Shard
  readonly limits: BrokerLimits
}

/** Ids of the broker's own: the offset of the message. */
const OWN_ID = /^@(\d{1,16})$/

const idDigest: Digest = { high: 0, low: 0 }
const exchangeDigest: Digest = { high: 0, low: 0 }

/**
 * What publishers and operators ask of the clock of one virtual host: messages that wait, found
 * again by their id. Publishers replace and cancel what was published to the same exchange only,
 * which they may publish to; operators all of it.
 */
export class Schedules {
  readonly recurring: RecurringSchedules
  readonly #vhost: VirtualHost
  readonly #delays: DelayStore
  readonly #shard: Shard
  readonly #idCountMax: number

  constructor(vhost: VirtualHost, { delays, recurring, shard, limits }: Parts) {
    this.#vhost = vhost
    this.#delays = delays
    this.recurring = recurring
    this.#shard = shard
    this.#idCountMax = limits.scheduleIdCountMax
  }

  /** How many messages wait. */
  get pendingCount(): number {
    return this.#delays.count
  }

  /**
   * Does what a draft asks beside being routed: holds it, or cancels another one. Null: it is to be
   * routed now. `takenBy` names the topic that has the message already.
   */
  take(draft: MessageDraft, takenBy?: string): PublishResult | null {
    const order = draft.schedule
    const now = this.#vhost.now()
    if (order !== null) {
      if (order.cancels !== null) return this.#cancelFor(draft, order.cancels)
      if (order.cron !== null) return this.recurring.takeOrder(draft, order)
    }
    const dueAtMs = draft.delayMs > 0 ? now + draft.delayMs : dueMsOf(order, now)
    if (dueAtMs <= now) return null
    const taken = takenBy === undefined ? {} : { takenBy }
    const id = order?.id ?? null
    if (id !== null) return this.#holdAs(id, draft, { dueAtMs, ...taken })
    this.#delays.hold(draft, { dueAtMs, ...taken })
    return PUBLISH.ROUTED
  }

  /** Throws where an order cannot be carried out, so that its publisher is told in time. */
  check({ id, cron, zone }: ScheduleOrder): void {
    if (cron === null) return
    if (id === null) {
      throw new BrokerError('PRECONDITION_FAILED', 'x-schedule-cron goes with an x-schedule-id')
    }
    this.recurring.parse(cron, zone)
  }

  /** The message that waits under an id, as its offset; -1: there is none. */
  find(id: string): number {
    const own = OWN_ID.exec(id)
    if (own !== null) {
      const offset = Number(own[1])
      return this.#delays.isLive(offset) ? offset : -1
    }
    digestText(id, idDigest)
    return this.#delays.ids.find(idDigest)
  }

  /** False: nothing waits under that id. In effect with the commit of this turn, as all changes. */
  cancel(id: string): boolean {
    const offset = this.find(id)
    return offset >= 0 && this.#delays.cancel(offset)
  }

  /** A time that is over means now. */
  move(id: string, dueMs: number): boolean {
    const offset = this.find(id)
    return offset >= 0 && this.#delays.move(offset, dueMs)
  }

  fire(id: string): boolean {
    return this.move(id, this.#vhost.now())
  }

  /** Rejects with `EngineError` where the message cannot be read. */
  async show(id: string): Promise<PendingMessage | null> {
    const offset = this.find(id)
    return offset < 0 ? null : this.#describe(offset)
  }

  /** In the order in which they were published; `from` is 0 or the `next` of the page before. */
  async page(from: number, countMax: number): Promise<PendingPage> {
    const offsets = this.#delays.offsetsFrom(from, countMax + 1)
    const messages: PendingMessage[] = []
    const cursor = new RecordCursor()
    for (const offset of offsets.slice(0, countMax)) {
      const message = await this.#describe(offset, cursor)
      if (message !== null) messages.push(message)
    }
    return { messages, next: offsets[countMax] ?? null }
  }

  #holdAs(
    id: string,
    draft: MessageDraft,
    options: { readonly dueAtMs: number; readonly takenBy?: string },
  ): PublishResult {
    const { ids } = this.#delays
    digestText(id, idDigest)
    const before = ids.find(idDigest)
    if (before >= 0 && !this.#isOfExchange(draft)) return this.#refuse(id, 'of another exchange')
    if (before < 0 && ids.used >= this.#idCountMax && ids.sweep() >= this.#idCountMax) {
      return this.#refuse(id, `one more than ${this.#idCountMax}`)
    }
    // Together or not at all: else a crash could leave both, or none.
    this.#shard.beginHold()
    if (before >= 0) this.#delays.cancel(before)
    this.#delays.hold(draft, { ...options, scheduleId: id })
    this.#shard.endHold()
    return PUBLISH.ROUTED
  }

  #cancelFor(draft: MessageDraft, id: string): PublishResult {
    const offset = this.find(id)
    if (offset < 0) return this.recurring.cancelFor(draft, id)
    if (!this.#isOfExchange(draft)) return this.#refuse(id, 'of another exchange')
    this.#delays.cancel(offset)
    return PUBLISH.ROUTED
  }

  /** Whether what was found under the id digested last went to the exchange of the draft. */
  #isOfExchange(draft: MessageDraft): boolean {
    digestText(exchangeOf(draft.address, draft.addressStart), exchangeDigest)
    return this.#delays.ids.isOf(idDigest, exchangeDigest)
  }

  #refuse(id: string, why: string): PublishResult {
    this.#vhost.log.info({ vhost: this.#vhost.name, id }, `a schedule id was refused: it is ${why}`)
    return PUBLISH.REJECTED
  }

  async #describe(offset: number, cursor?: RecordCursor): Promise<PendingMessage | null> {
    const view = await this.#delays.read(offset, cursor)
    const dueMs = this.#delays.dueMsOf(offset)
    if (view === null || dueMs < 0) return null
    return {
      id: view.annotations?.scheduleId ?? `@${offset}`,
      exchange: exchangeOf(view.data, view.addressStart),
      routingKey: routingKeyOf(view.data, view.addressStart, view.addressEnd),
      dueMs,
      publishedMs: view.timestampMs,
      bytes: view.bodyEnd - view.bodyStart,
      persistent: view.persistent,
    }
  }
}

function dueMsOf(order: ScheduleOrder | null, now: number): number {
  return order === null ? 0 : Math.min(order.atMs, now + DELAY_MS_MAX)
}
