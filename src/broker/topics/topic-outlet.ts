import type { EngineError } from '../../engine/contract.ts'
import type { TurnTask } from '../../lib/turn.ts'
import { routingKeyOf } from '../../model/address.ts'
import { BrokerError } from '../../model/errors.ts'
import { type HeaderValue, NO_HEADERS } from '../../model/header-value.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import {
  delayMsOf,
  ORDER_PREFIX,
  SCHEDULE_HEADER,
  scheduleOrderOf,
} from '../../model/schedule-order.ts'
import type { CommitCycle, CommitListener } from '../commit-cycle.ts'
import type { Exchange } from '../exchange.ts'
import { StoredMessage } from '../stored-message.ts'
import type { Partition } from './partition.ts'
import { PartitionCursor } from './partition-cursor.ts'
import type { StateValues } from './state-values.ts'
import type { Topic, TopicParts } from './topic.ts'

/** How many messages are routed with one commit. */
const STEP_COUNT_MAX = 1000
/** What it passed over is noted when it is so much: a restart passes over it once more. */
const NOTED_COUNT = 10_000

export interface OutletParts extends TopicParts {
  readonly cycle: CommitCycle
  /** Null: the topic does not survive a restart, and so does nothing of this. */
  readonly state: StateValues | null
}

/** How far the messages of one partition were routed. */
interface Place {
  readonly cursor: PartitionCursor
  isLoading: boolean
  notedOffset: number
}

/**
 * The way out of a topic: messages that came in batches are routed by the exchange that bears the
 * name of the topic, to all it is bound to but the topic. How far that went is stored with what was
 * routed, so each goes there once; what belongs to a transaction goes when that is committed.
 *
 * Messages that came one by one came by an exchange, and were routed then.
 */
export class TopicOutlet implements TurnTask, CommitListener {
  turnQueued = false
  readonly #topic: Topic
  readonly #parts: OutletParts
  readonly #view = new StoredMessage()
  readonly #draft = new MessageDraft()
  /** One for each partition while the exchange leads somewhere, else none. */
  #places: Place[] = []
  #exchange: Exchange | null = null
  #at = 0
  #isCommitting = false

  constructor(topic: Topic, parts: OutletParts) {
    this.#topic = topic
    this.#parts = parts
  }

  /** Exchanges or bindings changed, or partitions were added. */
  look(): void {
    const exchange = this.#topic.vhost.exchange(this.#topic.name) ?? null
    const leads =
      exchange !== null && this.#topic.vhost.bindingSet.leadsElsewhere(exchange, this.#topic)
    this.#exchange = leads ? exchange : null
    if (!leads) {
      this.#close()
      return
    }
    for (const partition of this.#topic.partitions.slice(this.#places.length)) {
      this.#places.push(this.#open(partition))
    }
    this.more()
  }

  /** All was restored: where nothing leads anywhere, it is not known any more how far it went. */
  recovered(): void {
    if (this.#places.length > 0) return
    for (const partition of this.#topic.partitions) this.#parts.state?.delete(this.#key(partition))
  }

  /** Whether all that is stable was routed. */
  get isDone(): boolean {
    return this.#places.every(({ cursor }) => cursor.position >= cursor.partition.stableOffset)
  }

  /** Something of a partition is stable that was not. */
  more(): void {
    if (this.#places.length > 0 && !this.#isCommitting) this.#topic.vhost.turn.dispatch(this)
  }

  runTurn(): void {
    const exchange = this.#exchange
    if (exchange === null || this.#isCommitting) return
    let left = STEP_COUNT_MAX
    for (let count = this.#places.length; count > 0 && left > 0; count--) {
      const place = this.#places[this.#at]!
      left -= this.#route(exchange, place, left)
      this.#at = (this.#at + 1) % this.#places.length
    }
    if (left === STEP_COUNT_MAX) return
    // The next step waits for this one, so that no more is in memory than one step takes.
    this.#isCommitting = true
    this.#parts.cycle.onCommit(this)
  }

  committed(_ticket: number, error: EngineError | null): void {
    this.#isCommitting = false
    if (error === null) this.more()
  }

  /** The topic is gone. */
  dispose(): void {
    this.#exchange = null
    this.#close()
  }

  /** Returns how many messages it routed. */
  #route(exchange: Exchange, place: Place, countMax: number): number {
    const { cursor } = place
    let count = 0
    while (count < countMax && !place.isLoading) {
      const step = cursor.next()
      if (step === 'message') {
        count++
        this.#publish(exchange)
      } else if (step === 'broken') {
        this.#topic.report(cursor.fault, `the batch at offset ${cursor.offset}`)
      } else if (step === 'load') this.#load(place)
      else break
    }
    if (count > 0 || cursor.position - place.notedOffset >= NOTED_COUNT) this.#note(place)
    if (count < countMax && !place.isLoading) {
      cursor.forget()
      this.#view.forget()
    }
    return count
  }

  #publish(exchange: Exchange): void {
    const view = this.#view
    const draft = this.#draft
    draft.form = view.form
    draft.setAddress(view.data, view.addressStart, view.addressEnd)
    draft.setHeader(view.data, view.headerStart, view.headerEnd)
    draft.setBody(view.data, view.bodyStart, view.bodyEnd)
    draft.persistent = view.persistent
    const key = routingKeyOf(view.data, view.addressStart, view.addressEnd)
    exchange.totals.published++
    if (this.#holds()) return
    this.#topic.vhost.publishExcept(exchange, [key], draft, (name) => name === this.#topic.name)
  }

  /** Does what the headers of the message ask of the clock; true: it is not routed now. */
  #holds(): boolean {
    const draft = this.#draft
    const { header, headerStart, headerEnd } = draft
    if (!header.subarray(headerStart, headerEnd).includes(ORDER_MARK)) return false
    const { vhost, name } = this.#topic
    const headers = vhost.form(draft.form)?.headers(header, headerStart, headerEnd) ?? NO_HEADERS
    try {
      draft.delayMs = delayMsOf(textOf(headers.get(SCHEDULE_HEADER.AFTER)))
      const order = scheduleOrderOf((wanted) => textOf(headers.get(wanted)))
      // A topic that is read again would make its schedules again.
      draft.schedule = order === null ? null : { ...order, cron: null }
      if (draft.delayMs === 0 && order === null) return false
      return vhost.schedules.take(draft, name) !== null
    } catch (error) {
      // Its publisher has its answer already; the message is worth more than its delay.
      if (!(error instanceof BrokerError)) throw error
      vhost.log.warn({ topic: name, err: error }, 'a record asks for what cannot be')
      return false
    } finally {
      draft.delayMs = 0
      draft.schedule = null
    }
  }

  #load(place: Place): void {
    place.isLoading = true
    place.cursor.load(this.#parts.limits.readAheadBytes, (error) => {
      if (error !== null) {
        this.#topic.report(error, `offset ${place.cursor.position}`)
        return
      }
      place.isLoading = false
      this.more()
    })
  }

  #open(partition: Partition): Place {
    const opening = { exchange: this.#topic.name, forms: this.#parts.forms, batchesOnly: true }
    const cursor = new PartitionCursor(partition, this.#view, opening)
    const noted = this.#parts.state?.get(this.#key(partition))
    // What came before there was anywhere to go does not go there.
    cursor.position = noted?.readDoubleBE(0) ?? partition.highWatermark
    const place: Place = { cursor, isLoading: false, notedOffset: cursor.position }
    if (noted === undefined) this.#note(place)
    return place
  }

  #close(): void {
    for (const { cursor } of this.#places) this.#parts.state?.delete(this.#key(cursor.partition))
    this.#places = []
    this.#at = 0
  }

  /** Stored with the commit of this turn, as is what was routed. */
  #note(place: Place): void {
    const { cursor } = place
    place.notedOffset = cursor.position
    const value = Buffer.allocUnsafe(8)
    value.writeDoubleBE(cursor.position)
    this.#parts.state?.set(this.#key(cursor.partition), value)
  }

  #key({ topicId, index }: Partition): string {
    return `outlet/${topicId}/${index}`
  }
}

const ORDER_MARK = Buffer.from(ORDER_PREFIX)

/** Headers of records are octets. */
function textOf(value: HeaderValue | undefined): HeaderValue | undefined {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value
}
