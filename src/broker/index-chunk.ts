/** Where a message stands in its queue. */
export const STATE = { READY: 0, OUT: 1, SETTLED: 2, RETURNED: 3 } as const

const { READY } = STATE

/** Messages of one chunk: so many states are kept where a consumer has touched one of them. */
export const CHUNK_COUNT_MAX = 4096
const DENSE_COUNT_MIN = 32

/** Called with a run of consecutive offsets. */
export type RangeVisitor = (start: number, count: number) => void

/** A stretch of messages of one queue, in the order they came. Dead while `count` is 0. */
export class IndexChunk {
  base: number
  count = 0
  /** Distance from `base` for each message; null while they are consecutive. */
  distances: Uint32Array | null = null
  /** One state for each message; null while all are READY. */
  states: Uint8Array | null = null
  liveCount = 0
  returnedCount = 0

  constructor(base: number) {
    this.base = base
  }

  offsetAt(index: number): number {
    return this.distances === null ? this.base + index : this.base + this.distances[index]!
  }

  get lastOffset(): number {
    return this.offsetAt(this.count - 1)
  }

  /** Index of `offset`, or -1 when this chunk does not hold it. */
  indexOf(offset: number): number {
    const distance = offset - this.base
    const distances = this.distances
    if (distances === null) return distance < this.count ? distance : -1
    let low = 0
    let high = this.count - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = distances[middle]!
      if (found === distance) return middle
      if (found < distance) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  /** Index of the first message at or behind `offset`; `count` where there is none. */
  firstFrom(offset: number): number {
    const distance = Math.max(0, offset - this.base)
    const distances = this.distances
    if (distances === null) return Math.min(distance, this.count)
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (distances[middle]! < distance) low = middle + 1
      else high = middle
    }
    return low
  }

  stateAt(index: number): number {
    return this.states === null ? READY : this.states[index]!
  }

  setState(index: number, state: number): void {
    if (this.states === null) this.states = new Uint8Array(roomFor(this.count))
    else if (index >= this.states.length) this.states = grown8(this.states, this.count)
    this.states[index] = state
  }

  push(offset: number): void {
    const distance = offset - this.base
    if (this.distances === null) {
      if (distance !== this.count) {
        const distances = new Uint32Array(roomFor(this.count + 1))
        for (let index = 0; index < this.count; index++) distances[index] = index
        this.distances = distances
      }
    }
    if (this.distances !== null) {
      if (this.count >= this.distances.length) {
        const wider = new Uint32Array(roomFor(this.count + 1))
        wider.set(this.distances)
        this.distances = wider
      }
      this.distances[this.count] = distance
    }
    this.count++
    this.liveCount++
    if (this.states !== null && this.count > this.states.length) {
      this.states = grown8(this.states, this.count)
    }
  }

  /** Settled to the last message: keeps its place in the list and nothing else. */
  die(): void {
    this.count = 0
    this.distances = null
    this.states = null
    this.liveCount = 0
    this.returnedCount = 0
  }

  /** Dies too, but keeps its states for another life, all of them READY again. */
  rest(): void {
    const { states, count } = this
    this.die()
    this.states = states?.fill(READY, 0, count) ?? null
  }

  /** Whether `offset` may come next without widening what a distance can hold. */
  takes(offset: number): boolean {
    if (this.count >= CHUNK_COUNT_MAX) return false
    if (offset - this.base > 0xffff_ffff) return false
    // A long consecutive run costs nothing; start anew rather than list it.
    return (
      this.distances !== null || this.count < DENSE_COUNT_MIN || offset === this.base + this.count
    )
  }
}

/** Tells the messages of a chunk that `wanted` picks, in runs of consecutive offsets. */
export function visitRuns(
  chunk: IndexChunk,
  wanted: (index: number) => boolean,
  visit: RangeVisitor,
): void {
  let start = -1
  let count = 0
  for (let index = 0; index < chunk.count; index++) {
    if (!wanted(index)) continue
    const offset = chunk.offsetAt(index)
    if (count > 0 && offset === start + count) {
      count++
      continue
    }
    if (count > 0) visit(start, count)
    start = offset
    count = 1
  }
  if (count > 0) visit(start, count)
}

function roomFor(count: number): number {
  let room = 16
  while (room < count) room *= 2
  return Math.min(room, CHUNK_COUNT_MAX)
}

function grown8(states: Uint8Array, count: number): Uint8Array {
  const wider = new Uint8Array(roomFor(count))
  wider.set(states)
  return wider
}
