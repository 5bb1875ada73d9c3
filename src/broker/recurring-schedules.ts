import { encodeAddress, exchangeOf, routingKeyOf } from '../model/address.ts'
import { BrokerError } from '../model/errors.ts'
import { MessageDraft } from '../model/message-draft.ts'
import { SCHEDULE_HEADER, type ScheduleOrder } from '../model/schedule-order.ts'
import type { Calendar, CronTimes } from './calendar.ts'
import type { BrokerLimits } from './limits.ts'
import { PUBLISH, type PublishResult } from './route.ts'
import type { StateTable } from './state-table.ts'
import type { TimerTarget } from './timer-index.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What happens to times that passed while the broker was down. */
export type MissedTimes = 'skip' | 'once'

/** A message that is published whenever a cron expression says so. */
export interface RecurringSpec {
  readonly name: string
  readonly cron: string
  /** IANA's name of a time zone. */
  readonly zone: string
  readonly exchange: string
  readonly routingKey: string
  /** Not before, and not after, in milliseconds since 1970; null: without bound. */
  readonly startMs: number | null
  readonly endMs: number | null
  /** How often at most; null: without bound. */
  readonly countMax: number | null
  readonly missed: MissedTimes
  readonly createdMs: number
  /** Of the message. */
  readonly form: number
  readonly persistent: boolean
  readonly priority: number
  readonly ttlMs: number
}

export interface RecurringView extends RecurringSpec {
  /** null: never again. */
  readonly nextMs: number | null
  /** When it was due last; null: not yet. */
  readonly lastMs: number | null
  readonly firedCount: number
  readonly bytes: number
}

export interface RecurringParts {
  readonly state: StateTable
  readonly calendar: Calendar
  readonly limits: BrokerLimits
  /** Of the virtual host, for its states. */
  readonly id: number
}

const STATE_BYTES = 24
const DEFAULT_ZONE = 'UTC'
/** What makes an order of a message; taken out, so that whoever sends it on makes no new one. */
const ORDER_HEADERS = [SCHEDULE_HEADER.CRON, SCHEDULE_HEADER.ZONE, SCHEDULE_HEADER.AT]

/**
 * The recurring schedules of one virtual host. Each is two values of the state table: what it is,
 * and how far it is, which is stored in the commit of the message it published. So each time is
 * published once, whatever happens in between.
 */
export class RecurringSchedules {
  readonly #vhost: VirtualHost
  readonly #parts: RecurringParts
  readonly #schedules: Map<string, RecurringSchedule> = new Map()
  #bytes = 0

  constructor(vhost: VirtualHost, parts: RecurringParts) {
    this.#vhost = vhost
    this.#parts = parts
  }

  /** Throws `PRECONDITION_FAILED` where there is no such expression or zone. */
  parse(cron: string, zone: string | null): CronTimes {
    try {
      return this.#parts.calendar.parse(cron, zone ?? DEFAULT_ZONE)
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      throw new BrokerError('PRECONDITION_FAILED', cause.message, { cause })
    }
  }

  list(): RecurringView[] {
    return Array.from(this.#schedules.values(), (schedule) => schedule.view())
  }

  get(name: string): RecurringView | null {
    return this.#schedules.get(name)?.view() ?? null
  }

  /**
   * Creates it, or replaces the one of that name, with the commit of this turn; one with the same
   * expression and zone goes on where that one is. Throws `PRECONDITION_FAILED`, `LIMIT_EXCEEDED`.
   */
  put(spec: RecurringSpec, header: Buffer, body: Buffer): RecurringView {
    const times = this.parse(spec.cron, spec.zone)
    const before = this.#schedules.get(spec.name)
    const { recurringCountMax, recurringBytesMax } = this.#parts.limits
    const bytes = this.#bytes + header.length + body.length - (before?.bytes ?? 0)
    if (before === undefined && this.#schedules.size >= recurringCountMax) {
      throw new BrokerError('LIMIT_EXCEEDED', `more than ${recurringCountMax} recurring schedules`)
    }
    if (bytes > recurringBytesMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `messages of recurring schedules with ${bytes} octets, the limit is ${recurringBytesMax}`,
      )
    }
    const value = encodeRecurring(spec, header, body)
    this.#parts.state.set(this.#key('recurring', spec.name), value)
    before?.stop()
    const goesOn = before?.spec.cron === spec.cron && before.spec.zone === spec.zone
    if (!goesOn) this.#parts.state.delete(this.#key('recurring-at', spec.name))
    const schedule = this.#add(spec, {
      times,
      header: Buffer.from(header),
      body: Buffer.from(body),
    })
    this.#bytes = bytes
    schedule.start()
    return schedule.view()
  }

  /** False: there is none. */
  delete(name: string): boolean {
    const schedule = this.#schedules.get(name)
    if (schedule === undefined) return false
    schedule.stop()
    this.#bytes -= schedule.bytes
    this.#schedules.delete(name)
    this.#parts.state.delete(this.#key('recurring', name))
    this.#parts.state.delete(this.#key('recurring-at', name))
    return true
  }

  /** Publishes it once more, now; that is no time of its own. False: there is none. */
  fire(name: string): boolean {
    const schedule = this.#schedules.get(name)
    schedule?.publish(this.#vhost.now())
    return schedule !== undefined
  }

  /** A publisher asks for a recurring schedule with the message in hand. */
  takeOrder(draft: MessageDraft, order: ScheduleOrder): PublishResult {
    const name = order.id
    const exchange = exchangeOf(draft.address, draft.addressStart)
    const before = name === null ? undefined : this.#schedules.get(name)
    if (name === null || (before !== undefined && before.spec.exchange !== exchange)) {
      return PUBLISH.REJECTED
    }
    const header = Buffer.from(draft.header.subarray(draft.headerStart, draft.headerEnd))
    const form = this.#vhost.form(draft.form)
    const { startMs = null, endMs = null, countMax = null, missed = 'skip' } = before?.spec ?? {}
    const spec: RecurringSpec = {
      name,
      cron: order.cron!,
      zone: order.zone ?? DEFAULT_ZONE,
      exchange,
      routingKey: routingKeyOf(draft.address, draft.addressStart, draft.addressEnd),
      ...{ startMs, endMs, countMax, missed, createdMs: this.#vhost.now() },
      form: draft.form,
      persistent: draft.persistent,
      priority: draft.priority,
      ttlMs: draft.ttlMs,
    }
    try {
      this.put(
        spec,
        form?.edited?.(header, { set: new Map(), remove: ORDER_HEADERS }) ?? header,
        draft.body.subarray(draft.bodyStart, draft.bodyEnd),
      )
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error
      this.#vhost.log.warn({ vhost: this.#vhost.name, name, err: error }, 'a schedule was refused')
      return PUBLISH.REJECTED
    }
    return PUBLISH.ROUTED
  }

  /** A publisher does not want it any more. */
  cancelFor(draft: MessageDraft, name: string): PublishResult {
    const schedule = this.#schedules.get(name)
    if (schedule === undefined) return PUBLISH.UNROUTED
    if (schedule.spec.exchange !== exchangeOf(draft.address, draft.addressStart)) {
      return PUBLISH.REJECTED
    }
    this.delete(name)
    return PUBLISH.ROUTED
  }

  /** Reads what is stored; timers start with `recovered`. */
  restore(): void {
    for (const [, value] of this.#parts.state.entries(this.#key('recurring', ''))) {
      const { spec, header, body } = decodeRecurring(value)
      try {
        this.#add(spec, { times: this.parse(spec.cron, spec.zone), header, body })
        this.#bytes += header.length + body.length
      } catch (error) {
        // It stays stored: another version may know the zone.
        this.#vhost.log.error({ err: error, name: spec.name }, 'a recurring schedule cannot run')
      }
    }
  }

  recovered(): void {
    for (const schedule of this.#schedules.values()) schedule.start()
  }

  dispose(): void {
    for (const name of Array.from(this.#schedules.keys())) this.delete(name)
  }

  #add(
    spec: RecurringSpec,
    parts: Pick<ScheduleParts, 'times' | 'header' | 'body'>,
  ): RecurringSchedule {
    const stateKey = this.#key('recurring-at', spec.name)
    const { state } = this.#parts
    const schedule = new RecurringSchedule(this.#vhost, spec, { ...parts, state, stateKey })
    this.#schedules.set(spec.name, schedule)
    return schedule
  }

  #key(kind: 'recurring' | 'recurring-at', name: string): string {
    return `${kind}/${this.#parts.id}/${name}`
  }
}

interface ScheduleParts {
  readonly times: CronTimes
  readonly header: Buffer
  readonly body: Buffer
  readonly state: StateTable
  readonly stateKey: string
}

/** One of them, with its timer. */
class RecurringSchedule implements TimerTarget {
  readonly spec: RecurringSpec
  readonly #vhost: VirtualHost
  readonly #parts: ScheduleParts
  #lastMs: number | null = null
  /** What was due by then is done with: published, or one message stood for it. */
  #doneMs: number
  #firedCount = 0
  #nextMs: number | null = null
  #timer = 0

  constructor(vhost: VirtualHost, spec: RecurringSpec, parts: ScheduleParts) {
    this.#vhost = vhost
    this.spec = spec
    this.#parts = parts
    this.#doneMs = spec.createdMs
    const state = parts.state.get(parts.stateKey)
    if (state === undefined) return
    this.#lastMs = state.readDoubleBE(0)
    this.#firedCount = state.readDoubleBE(8)
    this.#doneMs = state.readDoubleBE(16)
  }

  get bytes(): number {
    return this.#parts.header.length + this.#parts.body.length
  }

  view(): RecurringView {
    const { bytes } = this
    const [nextMs, lastMs, firedCount] = [this.#nextMs, this.#lastMs, this.#firedCount]
    return { ...this.spec, nextMs, lastMs, firedCount, bytes }
  }

  /** Arms it for its next time; times that are over are skipped, or come once. */
  start(): void {
    const now = this.#vhost.now()
    const { missed, startMs } = this.spec
    const from = Math.max(this.#doneMs, startMs === null ? 0 : startMs - 1)
    const next = this.#parts.times.next(from)
    // Skipped is what was due before now; what is due in this moment is not late.
    this.#arm(missed === 'skip' && next !== null && next < now ? this.#after(now - 1) : next)
  }

  stop(): void {
    this.#vhost.timers.cancel(this.#timer)
  }

  /** Published and noted in one commit. What was late comes once, and the next is after now. */
  onTimer(_value: number, dueMs: number): void {
    this.#lastMs = dueMs
    this.#doneMs = Math.max(dueMs, this.#vhost.now())
    this.#firedCount++
    this.publish(dueMs)
    const state = Buffer.allocUnsafe(STATE_BYTES)
    state.writeDoubleBE(dueMs, 0)
    state.writeDoubleBE(this.#firedCount, 8)
    state.writeDoubleBE(this.#doneMs, 16)
    this.#parts.state.set(this.#parts.stateKey, state)
    this.#arm(this.#after(this.#doneMs))
  }

  publish(dueMs: number): void {
    const { spec } = this
    const exchange = this.#vhost.exchange(spec.exchange)
    if (exchange === undefined) {
      const { name } = spec
      this.#vhost.log.warn({ name, exchange: spec.exchange }, 'a schedule has no exchange')
      return
    }
    const form = this.#vhost.form(spec.form)
    const set = new Map([[SCHEDULE_HEADER.TIME as string, String(dueMs)]])
    const header = form?.edited?.(this.#parts.header, { set, remove: [] }) ?? this.#parts.header
    const address = encodeAddress(spec.exchange, spec.routingKey)
    const draft = new MessageDraft()
    draft.form = spec.form
    draft.persistent = spec.persistent
    draft.priority = spec.priority
    draft.ofBroker = true
    draft.ttlMs = spec.ttlMs
    draft.setAddress(address, 0, address.length)
    draft.setHeader(header, 0, header.length)
    draft.setBody(this.#parts.body, 0, this.#parts.body.length)
    const keys = [spec.routingKey, ...(form?.extraKeys(header, 0, header.length) ?? [])]
    exchange.totals.published++
    const result = this.#vhost.publishExcept(exchange, keys, draft, () => false)
    if (result === PUBLISH.UNROUTED) exchange.totals.unrouted++
  }

  #after(afterMs: number): number | null {
    return this.#parts.times.next(afterMs)
  }

  #arm(nextMs: number | null): void {
    const { endMs, countMax } = this.spec
    const isOver =
      nextMs === null ||
      (endMs !== null && nextMs > endMs) ||
      (countMax !== null && this.#firedCount >= countMax)
    this.#nextMs = isOver ? null : nextMs
    this.#timer = isOver ? 0 : this.#vhost.timers.schedule(nextMs, this)
  }
}

/** u32 size of the spec, the spec in JSON, u32 size of the header, the header, the body. */
function encodeRecurring(spec: RecurringSpec, header: Buffer, body: Buffer): Buffer {
  const json = Buffer.from(JSON.stringify(spec))
  const sizes = Buffer.alloc(8)
  sizes.writeUInt32BE(json.length, 0)
  sizes.writeUInt32BE(header.length, 4)
  return Buffer.concat([sizes.subarray(0, 4), json, sizes.subarray(4), header, body])
}

function decodeRecurring(value: Buffer): {
  readonly spec: RecurringSpec
  readonly header: Buffer
  readonly body: Buffer
} {
  const jsonEnd = 4 + value.readUInt32BE(0)
  const headerEnd = jsonEnd + 4 + value.readUInt32BE(jsonEnd)
  return {
    spec: JSON.parse(value.toString('utf8', 4, jsonEnd)) as RecurringSpec,
    header: value.subarray(jsonEnd + 4, headerEnd),
    body: value.subarray(headerEnd),
  }
}
