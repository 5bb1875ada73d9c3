import { VarintReader, VarintWriter } from '../lib/varint.ts'
import { CHUNK_COUNT_MAX, IndexChunk, type RangeVisitor, STATE, visitRuns } from './index-chunk.ts'

const { READY, OUT, SETTLED, RETURNED } = STATE

/** Dead chunks are taken out of the list together, once so many have gathered. */
const DEAD_CHUNKS_MIN = 32

/**
 * The waiting and the handed-out messages of one queue, as offsets in a log, in ascending order.
 *
 * Consecutive offsets cost a few bytes for thousands, scattered ones four bytes each; states are
 * kept only for stretches a consumer has touched. So ten million waiting messages need megabytes.
 */
export class QueueIndex {
  #chunks: IndexChunk[] = []
  /** Dead chunks in the list. */
  #deadCount = 0
  /** The last chunk to die at the end, for reuse: a queue that is kept empty needs one over and over. */
  #spare: IndexChunk | null = null
  /** The first chunk that may hold a message never handed out, and the place in it. */
  #frontier = 0
  #frontierIndex = 0
  /** No message is RETURNED in chunks before this one. */
  #returnedFrom = 0
  #readyCount = 0
  #outCount = 0
  #returnedCount = 0
  #hint: IndexChunk | null = null
  /** Where `next` found the message that `take` takes. */
  #nextChunk: IndexChunk | null = null
  #nextIndex = 0

  get readyCount(): number {
    return this.#readyCount
  }

  get outCount(): number {
    return this.#outCount
  }

  get liveCount(): number {
    return this.#readyCount + this.#outCount
  }

  /** Adds a message; offsets must ascend. */
  push(offset: number): void {
    this.#pushChunk(offset).push(offset)
    this.#readyCount++
  }

  /** Adds a message that goes out to a consumer at once; nothing may be ready before it. */
  pushOut(offset: number): void {
    const chunk = this.#pushChunk(offset)
    chunk.push(offset)
    chunk.setState(chunk.count - 1, OUT)
    this.#frontier = this.#chunks.length - 1
    this.#frontierIndex = chunk.count
    this.#outCount++
  }

  /** The first offset that is ready, or -1. Returned ones stand in their old place. */
  next(): number {
    if (this.#readyCount === 0) return -1
    if (this.#returnedCount === 0) return this.#nextUntouched()
    const returned = this.#nextReturned()
    if (returned < this.#frontierOffset || this.#readyCount === this.#returnedCount) {
      return returned
    }
    // It was taken out of turn, so there may be others before it that never went out.
    const untouched = this.#nextUntouched()
    return untouched < returned ? untouched : this.#nextReturned()
  }

  /** Nothing before it is READY; what was taken out of turn may be RETURNED behind it. */
  get #frontierOffset(): number {
    const chunk = this.#chunks[this.#frontier]
    if (chunk === undefined) return Infinity
    const index = this.#frontierIndex
    return index < chunk.count ? chunk.offsetAt(index) : chunk.base + 1
  }

  /** The first offset that is ready and was not returned; there must be one. */
  #nextUntouched(): number {
    for (;;) {
      const chunk = this.#chunks[this.#frontier]!
      const states = chunk.states
      let index = this.#frontierIndex
      if (states === null) {
        if (index < chunk.count) return this.#found(chunk, index)
      } else {
        while (index < chunk.count && states[index] !== READY) index++
        this.#frontierIndex = index
        if (index < chunk.count) return this.#found(chunk, index)
      }
      this.#frontier++
      this.#frontierIndex = 0
    }
  }

  /** Whether the offset that `next` just gave was handed out before. */
  get nextIsReturned(): boolean {
    return this.#nextChunk!.stateAt(this.#nextIndex) === RETURNED
  }

  /** Takes the message that `next` just gave: it is out until settled or released. */
  take(): void {
    const chunk = this.#nextChunk!
    if (chunk.stateAt(this.#nextIndex) === RETURNED) {
      chunk.returnedCount--
      this.#returnedCount--
    } else if (chunk === this.#chunks[this.#frontier]) {
      this.#frontierIndex = this.#nextIndex + 1
    }
    chunk.setState(this.#nextIndex, OUT)
    this.#readyCount--
    this.#outCount++
  }

  /** Takes a message that is ready wherever it stands; false when it is not ready. */
  takeAt(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    if (index < 0) return false
    const state = chunk.stateAt(index)
    if (state !== READY && state !== RETURNED) return false
    if (state === RETURNED) {
      chunk.returnedCount--
      this.#returnedCount--
    }
    chunk.setState(index, OUT)
    this.#readyCount--
    this.#outCount++
    return true
  }

  /** Settles one message whatever its state; false when it is not here or settled already. */
  settle(offset: number): boolean {
    return this.#settle(offset, false)
  }

  /** Settles one message that is out; false when it is not. */
  settleOut(offset: number): boolean {
    return this.#settle(offset, true)
  }

  #settle(offset: number, outOnly: boolean): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    if (index < 0) return false
    const state = chunk.stateAt(index)
    if (state === SETTLED || (outOnly && state !== OUT)) return false
    if (state === OUT) this.#outCount--
    else this.#readyCount--
    if (state === RETURNED) {
      chunk.returnedCount--
      this.#returnedCount--
    }
    chunk.liveCount--
    if (chunk.liveCount === 0) this.#drop(chunk)
    else chunk.setState(index, SETTLED)
    return true
  }

  /**
   * Settles what is here of a run, while nothing is out or returned: at a restart. Whole chunks go
   * at once. Returns how many were settled.
   */
  settleRun(start: number, count: number): number {
    const end = start + count
    const before = this.#readyCount
    let from = start
    while (from < end) {
      const at = Math.max(0, this.#chunkIndex(from))
      const chunk = this.#chunks[at]
      if (chunk === undefined) break
      if (chunk.count === 0 || chunk.lastOffset < from) {
        const next = this.#chunks[at + 1]
        if (next === undefined) break
        from = next.base
        continue
      }
      const last = chunk.lastOffset
      if (chunk.base >= from && last < end) {
        this.#readyCount -= chunk.liveCount
        this.#drop(chunk)
      } else {
        const to = Math.min(end, last + 1)
        for (let offset = from; offset < to; offset++) this.settle(offset)
      }
      from = last + 1
    }
    return before - this.#readyCount
  }

  /** Puts a message that is out back to its old place; false when it is not out. */
  release(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    if (index < 0 || chunk.stateAt(index) !== OUT) return false
    chunk.setState(index, RETURNED)
    chunk.returnedCount++
    this.#returnedCount++
    this.#outCount--
    this.#readyCount++
    const at = this.#chunkIndex(offset)
    if (at < this.#returnedFrom || this.#returnedCount === 1) this.#returnedFrom = at
    return true
  }

  isOut(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    return index >= 0 && chunk.stateAt(index) === OUT
  }

  /** Whether it waits and is not out. */
  isReady(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    if (index < 0) return false
    const state = chunk.stateAt(index)
    return state === READY || state === RETURNED
  }

  /** Whether it was handed out and came back. */
  isReturned(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    return index >= 0 && chunk.stateAt(index) === RETURNED
  }

  /** The first message from `from` on that is not settled, whoever has it; Infinity: none. */
  nextLive(from: number): number {
    return this.#nextFrom(from, true)
  }

  /** The first message from `from` on that waits and is not out; Infinity: none. */
  nextReady(from: number): number {
    return this.#readyCount === 0 ? Infinity : this.#nextFrom(from, false)
  }

  #nextFrom(from: number, isOutToo: boolean): number {
    const chunks = this.#chunks
    for (let at = Math.max(0, this.#chunkIndex(from)); at < chunks.length; at++) {
      const chunk = chunks[at]!
      if (chunk.count === 0) continue
      for (let index = chunk.firstFrom(from); index < chunk.count; index++) {
        const state = chunk.stateAt(index)
        if (state !== SETTLED && (isOutToo || state !== OUT)) return chunk.offsetAt(index)
      }
    }
    return Infinity
  }

  /** No message before it, from `from` on, lives; Infinity: none at all. */
  liveFrom(from: number): number {
    for (const chunk of this.#chunks) {
      if (chunk.count > 0 && chunk.lastOffset >= from) return Math.max(from, chunk.base)
    }
    return Infinity
  }

  isLive(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const index = chunk.indexOf(offset)
    return index >= 0 && chunk.stateAt(index) !== SETTLED
  }

  /** Settles all that are ready, telling each run; returns how many. */
  purgeReady(visit: RangeVisitor): number {
    const purged = this.#readyCount
    for (const chunk of this.#chunks.slice()) {
      if (chunk.count === 0) continue
      if (chunk.states === null) {
        this.#readyCount -= chunk.count
        if (chunk.distances === null) visit(chunk.base, chunk.count)
        else visitRuns(chunk, () => true, visit)
        this.#drop(chunk)
        continue
      }
      this.#purgeTouched(chunk, visit)
    }
    return purged
  }

  /** Tells every message from `from` up to, not including, `to` that is not settled. */
  visitLive(from: number, to: number, visit: RangeVisitor): void {
    for (const chunk of this.#chunks) {
      if (chunk.base >= to) return
      if (chunk.count === 0 || chunk.lastOffset < from) continue
      if (chunk.distances === null && chunk.states === null) {
        const start = Math.max(from, chunk.base)
        visit(start, Math.min(to, chunk.base + chunk.count) - start)
        continue
      }
      visitRuns(
        chunk,
        (index) => {
          const offset = chunk.offsetAt(index)
          return offset >= from && offset < to && chunk.stateAt(index) !== SETTLED
        },
        visit,
      )
    }
  }

  /** Writes the unsettled messages as runs: how many, then for each its gap and its length. */
  encode(): Buffer {
    const out = new VarintWriter()
    let runs = 0
    let end = 0
    this.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      out.write(start - end)
      out.write(count)
      end = start + count
      runs++
    })
    const head = Buffer.allocUnsafe(4)
    head.writeUInt32BE(runs, 0)
    return Buffer.concat([head, out.bytes()])
  }

  /** Reads what `encode` wrote into an empty index; returns where it ended. */
  decode(bytes: Buffer, start: number): number {
    const reader = new VarintReader(bytes, start + 4)
    let end = 0
    for (let runs = bytes.readUInt32BE(start); runs > 0; runs--) {
      const from = end + reader.read()
      const count = reader.read()
      this.#pushRun(from, count)
      end = from + count
    }
    return reader.at
  }

  #pushRun(start: number, count: number): void {
    let offset = start
    let left = count
    while (left > 0) {
      const chunk = this.#pushChunk(offset)
      if (chunk.distances !== null || chunk.count > 0) {
        chunk.push(offset)
        offset++
        left--
        this.#readyCount++
        continue
      }
      const taken = Math.min(left, CHUNK_COUNT_MAX)
      chunk.count = taken
      chunk.liveCount = taken
      this.#readyCount += taken
      offset += taken
      left -= taken
    }
  }

  #pushChunk(offset: number): IndexChunk {
    const chunks = this.#chunks
    const last = chunks[chunks.length - 1]
    if (last !== undefined && last.takes(offset)) return last
    const chunk = this.#spare ?? new IndexChunk(offset)
    this.#spare = null
    chunk.base = offset
    chunks.push(chunk)
    return chunk
  }

  #found(chunk: IndexChunk, index: number): number {
    this.#nextChunk = chunk
    this.#nextIndex = index
    return chunk.offsetAt(index)
  }

  #nextReturned(): number {
    for (let at = this.#returnedFrom; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at]!
      this.#returnedFrom = at
      if (chunk.returnedCount === 0) continue
      const index = chunk.states!.indexOf(RETURNED)
      return this.#found(chunk, index)
    }
    throw new Error('a queue index counts returned messages that it does not hold')
  }

  #chunkOf(offset: number): IndexChunk | null {
    const hint = this.#hint
    if (hint !== null && offset >= hint.base && offset <= hint.lastOffset) return hint
    const at = this.#chunkIndex(offset)
    if (at < 0) return null
    const chunk = this.#chunks[at]!
    this.#hint = chunk
    return chunk
  }

  /** Index of the last chunk that starts at or before `offset`, or -1. */
  #chunkIndex(offset: number): number {
    const chunks = this.#chunks
    let low = 0
    let high = chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (chunks[middle]!.base <= offset) low = middle + 1
      else high = middle - 1
    }
    return high
  }

  /**
   * Nothing in it lives. Taking one chunk at a time out of a long list would move all the others
   * each time, so it stays, empty, until half of the list is dead.
   */
  #drop(chunk: IndexChunk): void {
    if (this.#hint === chunk) this.#hint = null
    const chunks = this.#chunks
    this.#deadCount++
    if (chunk === chunks[chunks.length - 1]) {
      chunk.rest()
      this.#spare = chunk
      this.#popDead()
      return
    }
    chunk.die()
    if (this.#deadCount >= DEAD_CHUNKS_MIN && this.#deadCount * 2 >= chunks.length) {
      this.#removeDead()
    }
  }

  /** A dead chunk at the end must not take the next message. */
  #popDead(): void {
    const chunks = this.#chunks
    while (chunks.length > 0 && chunks[chunks.length - 1]!.count === 0) {
      chunks.pop()
      this.#deadCount--
    }
    if (this.#frontier < chunks.length) return
    this.#frontier = chunks.length
    this.#frontierIndex = 0
  }

  #removeDead(): void {
    const frontier = this.#chunks[this.#frontier]
    const living: IndexChunk[] = []
    let frontierAt = -1
    let returnedFrom = -1
    for (const [at, chunk] of this.#chunks.entries()) {
      if (at === this.#frontier) frontierAt = living.length
      if (at === this.#returnedFrom) returnedFrom = living.length
      if (chunk.count > 0) living.push(chunk)
    }
    this.#chunks = living
    this.#deadCount = 0
    this.#frontier = frontierAt < 0 ? living.length : frontierAt
    if (frontier === undefined || frontier.count === 0) this.#frontierIndex = 0
    this.#returnedFrom = returnedFrom < 0 ? living.length : returnedFrom
  }

  #purgeTouched(chunk: IndexChunk, visit: RangeVisitor): void {
    const states = chunk.states!
    const isReady = (index: number): boolean => {
      const state = states[index]
      return state === READY || state === RETURNED
    }
    visitRuns(chunk, isReady, visit)
    let purged = 0
    for (let index = 0; index < chunk.count; index++) {
      if (!isReady(index)) continue
      states[index] = SETTLED
      purged++
    }
    this.#readyCount -= purged
    this.#returnedCount -= chunk.returnedCount
    chunk.returnedCount = 0
    chunk.liveCount -= purged
    if (chunk.liveCount === 0) this.#drop(chunk)
  }
}
