import { BodyBytes } from './body-bytes.ts'
import { type FailureText, FailureTexts } from './failure-texts.ts'
import { OffsetMap } from './offset-map.ts'
import { decodeQueueState, encodeQueueState } from './queue-state.ts'
import type { RangeVisitor } from './index-chunk.ts'
import { QueueIndex } from './queue-index.ts'
import type { Shard, ShardMember } from './shard.ts'
import type { StoredMessage } from './stored-message.ts'

/** Where priorities are served fairly, those up to it count as normal (RabbitMQ, quorum queues). */
const FAIR_LOW_MAX = 4

/** Is told what becomes of messages. */
export interface ContentsWatcher {
  /** One that is out came to its end. */
  settled(offset: number): void
  /** One that was out is ready again. */
  released(offset: number): void
  /** One that was ready went out. */
  taken(offset: number): void
  /** Nothing is ready any more. */
  purged(): void
}

export interface QueueContentsOptions {
  /** Whose settlements and attempts these are in the shard. */
  readonly member: ShardMember
  readonly shard: Shard
  /** Levels of priority: one more than the highest that counts. */
  readonly levelCount: number
  /** Two levels, of which the lower one is served now and then although the higher has some. */
  readonly fair: boolean
}

/**
 * What a queue holds: which messages wait, which are out, how often each failed, how many bytes
 * they are. It is the state that records of the shard rebuild; when and to whom a message goes is
 * the queue's to say. The messages themselves stay in the log.
 */
export class QueueContents {
  /** Messages ever taken in, given out and settled since the broker started. */
  readonly totals = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0 }
  readonly bytes: BodyBytes = new BodyBytes()
  /** By priority, the lowest first. */
  levels: readonly QueueIndex[]
  readyCount = 0
  /** Of whoever gives out in an order of its own. */
  watcher: ContentsWatcher | null = null
  /** Failed attempts of messages that failed at least once. */
  readonly #attempts = new OffsetMap()
  readonly #failures: FailureTexts
  readonly #member: ShardMember
  readonly #shard: Shard
  readonly #fair: boolean
  /** Messages before it may have been given out before the broker was restarted. */
  #deliveredBefore = 0
  #deliveredMax = 0

  constructor({ member, shard, levelCount, fair }: QueueContentsOptions) {
    this.#member = member
    this.#shard = shard
    this.#fair = fair
    this.#failures = new FailureTexts(shard.limits.failureTextsMax)
    this.levels = Array.from({ length: levelCount }, () => new QueueIndex())
  }

  get outCount(): number {
    if (this.levels.length === 1) return this.levels[0]!.outCount
    let count = 0
    for (const level of this.levels) count += level.outCount
    return count
  }

  // --- taking in ---

  levelFor(priority: number): QueueIndex {
    const levels = this.levels
    if (levels.length === 1) return levels[0]!
    if (this.#fair) return levels[priority > FAIR_LOW_MAX ? 1 : 0]!
    return levels[Math.min(priority, levels.length - 1)]!
  }

  push(level: QueueIndex, offset: number, bodyBytes: number): void {
    level.push(offset)
    this.readyCount++
    this.bytes.ready += bodyBytes
  }

  /** Takes in a message that goes out at once; none may be ready before it. */
  pushOut(level: QueueIndex, offset: number, bodyBytes: number): void {
    level.pushOut(offset)
    this.bytes.wentOut(offset, bodyBytes)
  }

  // --- giving out ---

  /** The level to serve next: the highest that has something ready. Only asked while one has. */
  firstLevel(): QueueIndex {
    const levels = this.levels
    if (this.#fair) {
      const [low, high] = levels as [QueueIndex, QueueIndex]
      if (low.readyCount === 0) return high
      return high.readyCount > 0 && !this.isLowFirst ? high : low
    }
    let at = levels.length - 1
    while (at > 0 && levels[at]!.readyCount === 0) at--
    return levels[at]!
  }

  /** Whether the lowest level is the one to serve next, though a higher one may have some. */
  get isLowFirst(): boolean {
    return this.#fair && this.totals.delivered % 3 === 2
  }

  /** Whether the offset that `next` of the level just gave was given out before. */
  isRedelivered(level: QueueIndex, offset: number): boolean {
    return level.nextIsReturned || offset < this.#deliveredBefore
  }

  /** The same for any offset that is ready. */
  wasDelivered(level: QueueIndex, offset: number): boolean {
    return offset < this.#deliveredBefore || level.isReturned(offset)
  }

  /** The first message from `from` on, whoever has it; Infinity: none. */
  nextLive(from: number): number {
    const levels = this.levels
    let first = levels[0]!.nextLive(from)
    for (let at = 1; at < levels.length; at++) first = Math.min(first, levels[at]!.nextLive(from))
    return first
  }

  /** Takes the message that `next` of the level just gave: it is out until settled or released. */
  take(level: QueueIndex, offset: number, message: StoredMessage): void {
    level.take()
    this.#tookRead(offset, message)
  }

  /** The same for a message that is ready, wherever it stands. */
  takeRead(offset: number, message: StoredMessage): void {
    this.levelHolding(offset).takeAt(offset)
    this.#tookRead(offset, message)
  }

  #tookRead(offset: number, message: StoredMessage): void {
    const bodyBytes = message.bodyEnd - message.bodyStart
    this.readyCount--
    this.bytes.shrink(bodyBytes, this.readyCount)
    this.bytes.wentOut(offset, bodyBytes)
    this.watcher?.taken(offset)
  }

  /** The same where the message was not read, and no limit needs its size to the byte. */
  takeUnread(level: QueueIndex, offset: number): void {
    level.take()
    this.bytes.wentOut(offset, this.bytes.leftReady(this.readyCount))
    this.readyCount--
    this.watcher?.taken(offset)
  }

  /** Takes a message that is ready, wherever it stands, and that nobody read. */
  takeAt(offset: number): void {
    if (!this.levelHolding(offset).takeAt(offset)) return
    this.bytes.wentOut(offset, this.bytes.leftReady(this.readyCount))
    this.readyCount--
    this.watcher?.taken(offset)
  }

  countDelivery(offset: number, redelivered: boolean): void {
    const totals = this.totals
    totals.delivered++
    if (redelivered) totals.redelivered++
    if (offset >= this.#deliveredMax) this.#deliveredMax = offset + 1
  }

  // --- settlement ---

  levelHolding(offset: number): QueueIndex {
    const levels = this.levels
    let at = levels.length - 1
    while (at > 0 && !levels[at]!.isLive(offset)) at--
    return levels[at]!
  }

  isOut(offset: number): boolean {
    return this.levelHolding(offset).isOut(offset)
  }

  /** Done with a message that is out; nothing happens when it is not. */
  settleOut(level: QueueIndex, offset: number): void {
    if (!level.settleOut(offset)) return
    this.totals.settled++
    if (this.#attempts.size > 0) this.#attempts.delete(offset)
    if (this.#failures.size > 0) this.#failures.delete(offset)
    this.bytes.leftOut(offset, this.outCount)
    this.#shard.settle(this.#member, offset)
    this.watcher?.settled(offset)
  }

  /** Puts a message that is out back to its place; false when it is not out. */
  release(offset: number): boolean {
    if (!this.levelHolding(offset).release(offset)) return false
    this.readyCount++
    this.bytes.ready += this.bytes.leftOut(offset, this.outCount)
    this.watcher?.released(offset)
    return true
  }

  attemptsOf(offset: number): number {
    return this.#attempts.size === 0 ? 0 : (this.#attempts.get(offset) ?? 0)
  }

  keepAttempts(offset: number, attempts: number): void {
    this.#attempts.set(offset, attempts)
    this.#shard.keepAttempts(this.#member, offset, attempts)
  }

  /** What a consumer says of the failure of a message that is out. */
  keepFailure(offset: number, text: string): void {
    const both = this.#failures.add(offset, text)
    if (both !== null) this.#shard.keepFailure(this.#member, offset, both)
  }

  failureOf(offset: number): FailureText | null {
    return this.#failures.size === 0 ? null : this.#failures.get(offset)
  }

  keepRetry(offset: number, attempts: number, notBeforeMs: number): void {
    this.#attempts.set(offset, attempts)
    this.#shard.keepRetry(this.#member, { offset, attempts, notBeforeMs })
  }

  /** Settles all that is ready; returns how many. */
  purge(): number {
    let purged = 0
    for (const level of this.levels) {
      purged += level.purgeReady((start, count) => {
        this.#shard.settleRun(this.#member, start, count)
      })
    }
    this.readyCount = 0
    this.watcher?.purged()
    this.bytes.ready = 0
    this.totals.settled += purged
    this.#attempts.deleteWhere((offset) => !this.isLive(offset))
    this.#failures.deleteWhere((offset) => !this.isLive(offset))
    return purged
  }

  /** Nothing is held any more, and space is given back. */
  clear(): void {
    this.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      this.#shard.releaseRun(start, count)
    })
    // Channels may hold deliveries of it for long: what they settle is not here any more.
    this.levels = [new QueueIndex()]
    this.readyCount = 0
    this.watcher = null
    this.bytes.reset(0)
    this.#attempts.clear()
    this.#failures.deleteWhere(() => true)
  }

  isLive(offset: number): boolean {
    return this.levels.some((level) => level.isLive(offset))
  }

  isReady(offset: number): boolean {
    return this.levels.some((level) => level.isReady(offset))
  }

  /** No message before it, from `from` on, lives; Infinity: none at all. */
  liveFrom(from: number): number {
    return Math.min(...this.levels.map((level) => level.liveFrom(from)))
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    for (const level of this.levels) level.visitLive(from, to, visit)
  }

  // --- recovery ---

  recoverMessage(offset: number, message: StoredMessage): void {
    this.push(this.levelFor(message.priority), offset, message.bodyEnd - message.bodyStart)
  }

  recoverSettled(start: number, count: number): void {
    let settled = 0
    for (const level of this.levels) settled += level.settleRun(start, count)
    this.bytes.shrink((this.bytes.ready / this.readyCount) * settled, this.readyCount - settled)
    this.readyCount -= settled
    if (count <= this.#attempts.size) {
      for (let offset = start; offset < start + count; offset++) this.#attempts.delete(offset)
    } else this.#attempts.deleteWhere((offset) => offset >= start && offset < start + count)
    if (this.#failures.size > 0) {
      this.#failures.deleteWhere((offset) => offset >= start && offset < start + count)
    }
    this.#recoverDelivered(start + count)
  }

  recoverFailure(offset: number, text: FailureText): void {
    if (this.isLive(offset)) this.#failures.recover(offset, text)
  }

  recoverAttempts(offset: number, attempts: number): void {
    if (this.isLive(offset)) this.#attempts.set(offset, attempts)
    this.#recoverDelivered(offset + 1)
  }

  encodeState(mayExpire: boolean, notBefore: OffsetMap): Buffer {
    return encodeQueueState({
      deliveredBefore: this.#deliveredMax,
      liveBytes: this.bytes.live,
      mayExpire,
      attempts: this.#attempts,
      levels: this.levels,
      notBefore,
      failures: this.#failures,
    })
  }

  /** Reads what `encodeState` wrote into fresh contents; tells whether messages may expire. */
  decodeState(bytes: Buffer, notBefore: OffsetMap): { readonly mayExpire: boolean } {
    const { levels } = this
    const state = decodeQueueState(bytes, {
      attempts: this.#attempts,
      levels,
      notBefore,
      failures: this.#failures,
    })
    this.#deliveredBefore = state.deliveredBefore
    this.#deliveredMax = state.deliveredBefore
    this.bytes.reset(state.liveBytes)
    this.readyCount = 0
    for (const level of this.levels) this.readyCount += level.readyCount
    return state
  }

  #recoverDelivered(end: number): void {
    this.#deliveredBefore = Math.max(this.#deliveredBefore, end)
    this.#deliveredMax = this.#deliveredBefore
  }
}
