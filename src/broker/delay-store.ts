import { encodeAddress, exchangeOf, routingKeyOf } from '../model/address.ts'
import { MessageDraft } from '../model/message-draft.ts'
import { type Digest, digestText } from '../lib/digest.ts'
import type { TurnTask } from '../lib/turn.ts'
import { encodeAnnotations, NO_ANNOTATIONS } from './annotations.ts'
import { OffsetList } from './offset-list.ts'
import type { RangeVisitor } from './index-chunk.ts'
import { QueueIndex } from './queue-index.ts'
import { RecordCursor } from './record-cursor.ts'
import { ScheduleIds } from './schedule-ids.ts'
import { SettleRuns } from './settle-runs.ts'
import type { Shard, ShardMember } from './shard.ts'
import { StoredMessage } from './stored-message.ts'
import type { TimerTarget } from './timer-index.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many messages are routed before others have their turn. */
const DISPATCH_COUNT_MAX = 1000

const idDigest: Digest = { high: 0, low: 0 }
const exchangeDigest: Digest = { high: 0, low: 0 }
/** Most ids in a row are of one exchange. */
let digestedExchange: string | null = null

/** What is asked beside the time: an id, and who has the message already. */
export interface HoldOptions {
  readonly dueAtMs: number
  readonly scheduleId?: string
  /** The name of a topic that the message came from. */
  readonly takenBy?: string
}

/** Pages are looked for in stretches of offsets, each twice the one before. */
const PAGE_STRETCH = 4096

/**
 * Messages of one virtual host that wait for their time. They are stored like any other, with the
 * time they are due; the timer index wakes them and they are published again, routed as bindings
 * stand then. What is held back survives a restart.
 */
export class DelayStore implements ShardMember, TurnTask, TimerTarget {
  turnQueued = false
  readonly id: number
  readonly settleRuns: SettleRuns = new SettleRuns()
  readonly exactBytes = -1
  readonly ids: ScheduleIds = new ScheduleIds((offset) => this.#index.isLive(offset))
  readonly #vhost: VirtualHost
  readonly #shard: Shard
  #index = new QueueIndex()
  readonly #cursor = new RecordCursor()
  readonly #view = new StoredMessage()
  readonly #self: readonly DelayStore[] = [this]
  /**
   * For each message the handle of its timer; after it fired, and before timers start, when it was
   * due as a number below 0. All of it is in the snapshot, so that a restart need not read messages.
   */
  readonly #timers = new OffsetList()
  #due: number[] = []
  /** How many of them are done. */
  #dueAt = 0
  #loading = false

  constructor(id: number, vhost: VirtualHost, shard: Shard) {
    this.id = id
    this.#vhost = vhost
    this.#shard = shard
    shard.members.set(id, this)
  }

  get count(): number {
    return this.#index.liveCount
  }

  /** Keeps a message until it is due; returns its offset. */
  hold(draft: MessageDraft, { dueAtMs, scheduleId, takenBy }: HoldOptions): number {
    const expiresAtMs = draft.ttlMs < 0 ? 0 : dueAtMs + draft.ttlMs
    const { annotations } = draft
    if (scheduleId !== undefined || takenBy !== undefined) {
      draft.annotations = encodeAnnotations({
        ...(scheduleId === undefined ? {} : { scheduleId }),
        ...(takenBy === undefined ? {} : { takenBy }),
      })
    }
    const offset = this.#shard.append(draft, this.#self, { expiresAtMs, dueAtMs })
    draft.annotations = annotations
    this.#index.push(offset)
    if (scheduleId !== undefined)
      this.#noteId(scheduleId, draft.address, draft.addressStart, offset)
    this.#timers.set(offset, this.#vhost.timers.schedule(dueAtMs, this, offset))
    if (draft.trace !== 0) this.#trace(draft.trace, offset, dueAtMs)
    return offset
  }

  /** When a message that waits is due; -1: it does not wait. */
  dueMsOf(offset: number): number {
    const value = this.#timers.get(offset)
    if (value === undefined) return -1
    return value > 0 ? this.#vhost.timers.dueMsOf(value) : -value
  }

  /** The message is never given out, from the commit of this turn on. False: it does not wait. */
  cancel(offset: number): boolean {
    if (!this.#index.isLive(offset)) return false
    this.#vhost.timers.cancel(this.#timers.get(offset)!)
    if (this.#shard.traced !== null) this.#traceCancelled(offset)
    this.#settle(offset)
    return true
  }

  /** Changes when it is due, also to now or before. False: it does not wait. */
  move(offset: number, dueAtMs: number): boolean {
    if (!this.#index.isLive(offset)) return false
    this.#shard.keepRetry(this, { offset, attempts: 0, notBeforeMs: dueAtMs })
    this.#vhost.timers.cancel(this.#timers.get(offset)!)
    this.#timers.set(offset, this.#vhost.timers.schedule(dueAtMs, this, offset))
    return true
  }

  /** Up to `countMax` offsets of those that wait, from `from` on, in the order they came. */
  offsetsFrom(from: number, countMax: number): number[] {
    const offsets: number[] = []
    let start = this.#index.liveFrom(from)
    for (let size = PAGE_STRETCH; Number.isFinite(start) && offsets.length < countMax; size *= 2) {
      this.#index.visitLive(start, start + size, (run, count) => {
        for (let offset = run; offset < run + count && offsets.length < countMax; offset++) {
          offsets.push(offset)
        }
      })
      start = this.#index.liveFrom(start + size)
    }
    return offsets
  }

  /**
   * A view of a message that waits, null where it does not; rejects with `EngineError`. Whoever reads
   * several in order hands in one cursor for them.
   */
  async read(
    offset: number,
    cursor: RecordCursor = new RecordCursor(),
  ): Promise<StoredMessage | null> {
    if (!this.#index.isLive(offset)) return null
    if (!this.#shard.seek(cursor, offset)) {
      await new Promise<void>((resolve, reject) => {
        this.#shard.load(cursor, offset, (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
    }
    const view = new StoredMessage()
    view.set(cursor.entry!.data, cursor.start, cursor.entry!.timestampMs)
    return view
  }

  onTimer(offset: number, dueMs: number): void {
    this.#timers.set(offset, -dueMs)
    this.#due.push(offset)
    this.#vhost.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#loading) return
    const due = this.#due
    for (let left = DISPATCH_COUNT_MAX; this.#dueAt < due.length; left--) {
      const offset = due[this.#dueAt]!
      if (this.#isDue(offset)) {
        if (left === 0) this.#vhost.turn.dispatch(this)
        if (left === 0 || !this.#look(offset)) return
        this.#route(offset)
      }
      this.#dueAt++
    }
    this.#due = []
    this.#dueAt = 0
    this.#rest()
  }

  /** The virtual host is gone: so is what it held back. */
  dispose(): void {
    this.#vhost.timers.cancelAll(this)
    this.#shard.members.delete(this.id)
    this.#index.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      this.#shard.releaseRun(start, count)
    })
    this.#index = new QueueIndex()
    this.#timers.clear()
    this.ids.clear()
    this.#rest()
  }

  /** Lets go of what was read. */
  #rest(): void {
    this.#cursor.forget()
    this.#view.forget()
  }

  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void {
    const view = this.#view
    view.set(data, start, timestampMs)
    this.#index.push(offset)
    this.#timers.set(offset, -view.dueAtMs)
    const scheduleId = view.annotations?.scheduleId
    if (scheduleId !== undefined) this.#noteId(scheduleId, data, view.addressStart, offset)
  }

  recoverSettled(start: number, count: number): void {
    for (let offset = start; offset < start + count; offset++) {
      this.#index.settle(offset)
      this.#timers.delete(offset)
    }
  }

  /** Its time was changed. */
  recoverAttempts(offset: number, _attempts: number, notBeforeMs: number): void {
    if (this.#index.isLive(offset)) this.#timers.set(offset, -notBeforeMs)
  }

  recoverFailure(): void {}

  recoverBytes(): void {}

  recovered(): void {
    this.#rest()
    // In the order they came: so those of one time fire as they would have.
    this.#timers.visit((offset, value) => {
      this.#timers.set(offset, this.#vhost.timers.schedule(-value, this, offset))
    })
  }

  /** u32 count, f64 offsets, as many f64 due times; the index; the ids. */
  encodeState(): Buffer {
    const { timers } = this.#vhost
    const { size } = this.#timers
    const numbers = new Float64Array(2 * size)
    let at = 0
    this.#timers.visit((offset, value) => {
      numbers[at] = offset
      numbers[at + size] = value > 0 ? timers.dueMsOf(value) : -value
      at++
    })
    const count = Buffer.allocUnsafe(4)
    count.writeUInt32BE(size, 0)
    return Buffer.concat([count, bigEndian(numbers), this.#index.encode(), this.ids.encode()])
  }

  decodeState(bytes: Buffer): void {
    const size = bytes.readUInt32BE(0)
    const duesStart = 4 + 8 * size
    for (let at = 0; at < 8 * size; at += 8) {
      this.#timers.set(bytes.readDoubleBE(4 + at), -bytes.readDoubleBE(duesStart + at))
    }
    this.ids.decode(bytes, this.#index.decode(bytes, 4 + 16 * size))
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    this.#index.visitLive(from, to, visit)
  }

  get shard(): Shard {
    return this.#shard
  }

  /** No message before it, from `from` on, is here; Infinity: none at all. */
  liveFrom(from: number): number {
    return this.#index.liveFrom(from)
  }

  isLive(offset: number): boolean {
    return this.#index.isLive(offset)
  }

  #noteId(id: string, address: Buffer, addressStart: number, offset: number): void {
    const exchange = exchangeOf(address, addressStart)
    if (exchange !== digestedExchange) digestText(exchange, exchangeDigest)
    digestedExchange = exchange
    digestText(id, idDigest)
    this.ids.set(idDigest, exchangeDigest, offset)
  }

  /** Whether its timer fired, and it was neither cancelled nor moved since. */
  #isDue(offset: number): boolean {
    return this.#index.isLive(offset) && this.#timers.get(offset)! <= 0
  }

  #settle(offset: number): void {
    this.#index.settle(offset)
    this.#timers.delete(offset)
    this.#shard.settle(this, offset)
  }

  #look(offset: number): boolean {
    if (this.#shard.seek(this.#cursor, offset)) {
      this.#view.set(this.#cursor.entry!.data, this.#cursor.start, this.#cursor.entry!.timestampMs)
      return true
    }
    this.#loading = true
    this.#shard.load(this.#cursor, offset, (error) => {
      this.#loading = false
      if (error !== null) {
        if (error.kind === 'closed') return
        this.#vhost.log.error({ err: error }, `a delayed message cannot be read at ${offset}`)
        // It stays stored and unsettled: the store can be repaired, what is dropped cannot.
        this.#dueAt++
      }
      this.#vhost.turn.dispatch(this)
    })
    return false
  }

  #trace(trace: number, offset: number, dueAtMs: number): void {
    const { tracer } = this.#vhost
    tracer.place(trace, this.#shard, offset, 1)
    const detail = `until ${new Date(dueAtMs).toISOString()}`
    tracer.step(trace, 'delayed', { offset, detail })
  }

  #traceCancelled(offset: number): void {
    const { tracer } = this.#vhost
    const trace = tracer.traceOf(this.#shard, offset)
    if (trace === 0) return
    tracer.step(trace, 'dropped', { offset, detail: 'it was cancelled while it was delayed' })
    tracer.ended(this.#shard, offset)
  }

  /** Publishes the message in `#view` and settles its held copy in one entry. */
  #route(offset: number): void {
    const view = this.#view
    const exchangeName = exchangeOf(view.data, view.addressStart)
    const routingKey = routingKeyOf(view.data, view.addressStart, view.addressEnd)
    const exchange = this.#vhost.exchange(exchangeName)
    this.#shard.beginHold()
    const trace = this.#vhost.tracer.traceOf(this.#shard, offset)
    if (trace !== 0) this.#vhost.tracer.step(trace, 'due', { at: exchangeName })
    if (exchange !== undefined) {
      const now = this.#vhost.now()
      const dueMs = this.dueMsOf(offset)
      const takenBy = view.annotations?.takenBy
      const draft = new MessageDraft()
      draft.form = view.form
      draft.persistent = view.persistent
      draft.priority = view.priority
      // It was due at another time than it was stored with if somebody moved it.
      const expiresAtMs = view.expiresAtMs + (dueMs - view.dueAtMs)
      draft.ttlMs = view.expiresAtMs === 0 ? -1 : Math.max(0, expiresAtMs - now)
      const address = encodeAddress(exchangeName, routingKey)
      draft.setAddress(address, 0, address.length)
      draft.setHeader(view.data, view.headerStart, view.headerEnd)
      draft.setBody(view.data, view.bodyStart, view.bodyEnd)
      draft.owner = this.#vhost.flows.ownerOf(view)
      draft.trace = trace
      draft.annotations = encodeAnnotations({
        ...NO_ANNOTATIONS,
        // At least 1: whoever gets it is told that it did wait.
        delayedMs: Math.max(1, dueMs - view.timestampMs),
      })
      const extraKeys =
        this.#vhost.form(view.form)?.extraKeys(view.data, view.headerStart, view.headerEnd) ?? []
      this.#vhost.publishExcept(
        exchange,
        [routingKey, ...extraKeys],
        draft,
        (name) => name === takenBy,
      )
    }
    this.#settle(offset)
    this.#shard.endHold()
    if (trace !== 0) this.#vhost.tracer.ended(this.#shard, offset)
  }
}

const IS_LITTLE_ENDIAN = new Uint8Array(Float64Array.of(1).buffer)[7] !== 0

/** The numbers as they are stored, at the speed of memory. */
function bigEndian(numbers: Float64Array): Buffer {
  const bytes = Buffer.from(numbers.buffer)
  return IS_LITTLE_ENDIAN ? bytes.swap64() : bytes
}
