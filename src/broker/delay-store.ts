import { encodeAddress, exchangeOf, routingKeyOf } from '../model/address.ts'
import { MessageDraft } from '../model/message-draft.ts'
import type { TurnTask } from '../lib/turn.ts'
import { encodeAnnotations, NO_ANNOTATIONS } from './annotations.ts'
import { OffsetMap } from './offset-map.ts'
import { QueueIndex, type RangeVisitor } from './queue-index.ts'
import { RecordCursor } from './record-cursor.ts'
import { SettleRuns } from './settle-runs.ts'
import type { Shard, ShardMember } from './shard.ts'
import { StoredMessage } from './stored-message.ts'
import type { TimerTarget } from './timer-index.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many messages are routed before others have their turn. */
const DISPATCH_COUNT_MAX = 1000

/**
 * Messages that delayed exchanges of one virtual host hold back. They are stored like any other,
 * with the time they are due; the timer index wakes them and they are published again, routed as
 * bindings stand then. What is held back survives a restart.
 */
export class DelayStore implements ShardMember, TurnTask, TimerTarget {
  turnQueued = false
  readonly id: number
  readonly settleRuns: SettleRuns = new SettleRuns()
  readonly exactBytes = -1
  readonly #vhost: VirtualHost
  readonly #shard: Shard
  #index = new QueueIndex()
  readonly #cursor = new RecordCursor()
  readonly #view = new StoredMessage()
  readonly #self: readonly DelayStore[] = [this]
  /** When each is due; kept in the snapshot so that a restart need not read the messages. */
  readonly #dueMs = new OffsetMap()
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

  /** Keeps a message until its delay is over. */
  hold(draft: MessageDraft): void {
    const dueAtMs = this.#vhost.now() + draft.delayMs
    const expiresAtMs = draft.ttlMs < 0 ? 0 : dueAtMs + draft.ttlMs
    const offset = this.#shard.append(draft, this.#self, { expiresAtMs, dueAtMs })
    this.#add(offset, dueAtMs)
  }

  onTimer(offset: number): void {
    this.#due.push(offset)
    this.#vhost.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#loading) return
    const due = this.#due
    for (let left = DISPATCH_COUNT_MAX; this.#dueAt < due.length; left--) {
      const offset = due[this.#dueAt]!
      if (this.#index.isLive(offset)) {
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
    this.#dueMs.clear()
    this.#rest()
  }

  /** Lets go of what was read. */
  #rest(): void {
    this.#cursor.forget()
    this.#view.forget()
  }

  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void {
    this.#view.set(data, start, timestampMs)
    this.#index.push(offset)
    this.#dueMs.set(offset, this.#view.dueAtMs)
  }

  recoverSettled(start: number, count: number): void {
    for (let offset = start; offset < start + count; offset++) {
      this.#index.settle(offset)
      this.#dueMs.delete(offset)
    }
  }

  recoverAttempts(): void {}

  recoverBytes(): void {}

  recovered(): void {
    this.#rest()
    for (const [offset, dueMs] of this.#dueMs.entries())
      this.#vhost.timers.schedule(dueMs, this, offset)
  }

  encodeState(): Buffer {
    const times = Buffer.allocUnsafe(4 + 16 * this.#dueMs.size)
    let at = times.writeUInt32BE(this.#dueMs.size, 0)
    for (const [offset, dueMs] of this.#dueMs.entries()) {
      at = times.writeDoubleBE(offset, at)
      at = times.writeDoubleBE(dueMs, at)
    }
    return Buffer.concat([times, this.#index.encode()])
  }

  decodeState(bytes: Buffer): void {
    let at = 4
    for (let left = bytes.readUInt32BE(0); left > 0; left--) {
      this.#dueMs.set(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8))
      at += 16
    }
    this.#index.decode(bytes, at)
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    this.#index.visitLive(from, to, visit)
  }

  isLive(offset: number): boolean {
    return this.#index.isLive(offset)
  }

  #add(offset: number, dueAtMs: number): void {
    this.#index.push(offset)
    this.#dueMs.set(offset, dueAtMs)
    this.#vhost.timers.schedule(dueAtMs, this, offset)
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

  /** Publishes the message in `#view` and settles its held copy in one entry. */
  #route(offset: number): void {
    const view = this.#view
    const exchangeName = exchangeOf(view.data, view.addressStart)
    const routingKey = routingKeyOf(view.data, view.addressStart, view.addressEnd)
    const exchange = this.#vhost.exchange(exchangeName)
    this.#shard.beginHold()
    if (exchange !== undefined) {
      const now = this.#vhost.now()
      const draft = new MessageDraft()
      draft.form = view.form
      draft.persistent = view.persistent
      draft.priority = view.priority
      draft.ttlMs = view.expiresAtMs === 0 ? -1 : Math.max(0, view.expiresAtMs - now)
      const address = encodeAddress(exchangeName, routingKey)
      draft.setAddress(address, 0, address.length)
      draft.setHeader(view.data, view.headerStart, view.headerEnd)
      draft.setBody(view.data, view.bodyStart, view.bodyEnd)
      draft.annotations = encodeAnnotations({
        ...NO_ANNOTATIONS,
        delayedMs: view.dueAtMs - view.timestampMs,
      })
      const extraKeys =
        this.#vhost.form(view.form)?.extraKeys(view.data, view.headerStart, view.headerEnd) ?? []
      this.#vhost.publishExcept(exchange, [routingKey, ...extraKeys], draft, () => false)
    }
    this.#index.settle(offset)
    this.#dueMs.delete(offset)
    this.#shard.settle(this, offset)
    this.#shard.endHold()
  }
}
