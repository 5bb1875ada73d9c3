const CHUNK_COUNT = 1024
/** Chunks are not made smaller than this. */
const CHUNK_COUNT_MIN = 16
const GONE = Number.NaN

/** A run of entries in order of their offsets; one that was deleted has no value. */
interface Chunk {
  offsets: Float64Array
  values: Float64Array
  /** Entries, with those that were deleted. */
  count: number
  live: number
}

/**
 * Numbers by offset, for offsets that come in rising order: 16 bytes each in typed arrays, walked
 * in order as fast as memory goes. That is what a snapshot of a million does, while all else waits.
 */
export class OffsetList {
  /** In order; none is empty. */
  readonly #chunks: Chunk[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(offset: number): number | undefined {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return undefined
    const value = chunk.values[placeIn(chunk, offset)]!
    return Number.isNaN(value) ? undefined : value
  }

  /** Replaces the value of an offset that is there, or adds one that is above all others. */
  set(offset: number, value: number): void {
    const last = this.#chunks.at(-1)
    if (last === undefined || offset > last.offsets[last.count - 1]!) {
      this.#append(offset, value)
      return
    }
    const chunk = this.#chunkOf(offset)
    const place = chunk === null ? -1 : placeIn(chunk, offset)
    if (chunk === null || Number.isNaN(chunk.values[place] ?? GONE)) {
      throw new RangeError(`offset ${offset} comes after a higher one`)
    }
    chunk.values[place] = value
  }

  /** False when it is not there. */
  delete(offset: number): boolean {
    const chunk = this.#chunkOf(offset)
    if (chunk === null) return false
    const place = placeIn(chunk, offset)
    if (Number.isNaN(chunk.values[place] ?? GONE)) return false
    chunk.values[place] = GONE
    chunk.live--
    this.#size--
    if (chunk.live === 0) this.#chunks.splice(this.#chunks.indexOf(chunk), 1)
    // The last one is still being filled.
    else if (chunk.live * 4 < chunk.count && chunk !== this.#chunks.at(-1)) shrink(chunk)
    return true
  }

  clear(): void {
    this.#chunks.length = 0
    this.#size = 0
  }

  /** In rising order; values may be replaced meanwhile, and nothing else. */
  visit(visit: (offset: number, value: number) => void): void {
    for (const { offsets, values, count } of this.#chunks) {
      for (let place = 0; place < count; place++) {
        const value = values[place]!
        if (!Number.isNaN(value)) visit(offsets[place]!, value)
      }
    }
  }

  #append(offset: number, value: number): void {
    let chunk = this.#chunks.at(-1)
    if (chunk === undefined || chunk.count === CHUNK_COUNT) {
      const offsets = new Float64Array(CHUNK_COUNT_MIN)
      chunk = { offsets, values: new Float64Array(CHUNK_COUNT_MIN), count: 0, live: 0 }
      this.#chunks.push(chunk)
    } else if (chunk.count === chunk.offsets.length) resize(chunk, chunk.count * 2)
    chunk.offsets[chunk.count] = offset
    chunk.values[chunk.count] = value
    chunk.count++
    chunk.live++
    this.#size++
  }

  /** The one that holds the offset, if any does. */
  #chunkOf(offset: number): Chunk | null {
    const chunks = this.#chunks
    let low = 0
    let high = chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const chunk = chunks[middle]!
      if (offset < chunk.offsets[0]!) high = middle - 1
      else if (offset > chunk.offsets[chunk.count - 1]!) low = middle + 1
      else return chunk
    }
    return null
  }
}

/** Where the offset stands, or -1. */
function placeIn({ offsets, count }: Chunk, offset: number): number {
  let low = 0
  let high = count - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const found = offsets[middle]!
    if (found === offset) return middle
    if (found < offset) low = middle + 1
    else high = middle - 1
  }
  return -1
}

function resize(chunk: Chunk, capacity: number): void {
  const { offsets, values } = chunk
  chunk.offsets = new Float64Array(capacity)
  chunk.values = new Float64Array(capacity)
  chunk.offsets.set(offsets)
  chunk.values.set(values)
}

/** Drops what was deleted: a few that wait for long pin no memory. */
function shrink(chunk: Chunk): void {
  const { offsets, values, count, live } = chunk
  if (offsets.length <= CHUNK_COUNT_MIN) return
  chunk.offsets = new Float64Array(live)
  chunk.values = new Float64Array(live)
  let place = 0
  for (let from = 0; from < count; from++) {
    if (Number.isNaN(values[from]!)) continue
    chunk.offsets[place] = offsets[from]!
    chunk.values[place++] = values[from]!
  }
  chunk.count = live
}
