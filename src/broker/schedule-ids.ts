import type { Digest } from '../lib/digest.ts'

const FIRST_CAPACITY = 16
const EMPTY = -1

/** Bytes of one entry in `encode`. */
const ENTRY_BYTES = 32

/**
 * Which id a publisher gave to which message that waits: 32 bytes each in typed arrays that are a
 * third to two thirds full, and no text. Of id and exchange there are digests; the id itself is in the message.
 *
 * Nobody says when a message is gone: an entry whose message does not live is none, and goes when
 * the table would grow.
 */
export class ScheduleIds {
  readonly #isLive: (offset: number) => boolean
  #highs = new Float64Array(FIRST_CAPACITY)
  #lows = new Float64Array(FIRST_CAPACITY)
  /** Digests of the exchanges, high halves: who may publish there may replace and cancel. */
  #exchanges = new Float64Array(FIRST_CAPACITY)
  #offsets = new Float64Array(FIRST_CAPACITY).fill(EMPTY)
  #used = 0

  constructor(isLive: (offset: number) => boolean) {
    this.#isLive = isLive
  }

  /** Entries, with those of messages that are gone. */
  get used(): number {
    return this.#used
  }

  /** Bytes of memory. */
  get bytes(): number {
    return this.#offsets.length * ENTRY_BYTES
  }

  /** The offset of the message that waits under this id, or -1. */
  find(id: Digest): number {
    if (this.#used === 0) return EMPTY
    const offset = this.#offsets[this.#placeOf(id.high, id.low)]!
    return offset !== EMPTY && this.#isLive(offset) ? offset : EMPTY
  }

  /** Whether what `find` found was published to that exchange. */
  isOf(id: Digest, exchange: Digest): boolean {
    return this.#exchanges[this.#placeOf(id.high, id.low)] === exchange.high
  }

  set(id: Digest, exchange: Digest, offset: number): void {
    this.#put(id.high, id.low, exchange.high, offset)
  }

  /** Drops what is gone; returns how many are left. Looks at all there are. */
  sweep(): number {
    this.#resize(this.#offsets.length, this.#isLive)
    return this.#used
  }

  encode(): Buffer {
    const live: number[] = []
    for (let place = 0; place < this.#offsets.length; place++) {
      if (this.#isUsed(place) && this.#isLive(this.#offsets[place]!)) live.push(place)
    }
    const out = Buffer.allocUnsafe(4 + ENTRY_BYTES * live.length)
    let at = out.writeUInt32BE(live.length, 0)
    for (const place of live) {
      at = out.writeDoubleBE(this.#highs[place]!, at)
      at = out.writeDoubleBE(this.#lows[place]!, at)
      at = out.writeDoubleBE(this.#exchanges[place]!, at)
      at = out.writeDoubleBE(this.#offsets[place]!, at)
    }
    return out
  }

  /** Adds what `encode` wrote at `start`; the messages may not be known yet. */
  decode(bytes: Buffer, start: number): void {
    let at = start + 4
    for (let left = bytes.readUInt32BE(start); left > 0; left--) {
      const exchange = bytes.readDoubleBE(at + 16)
      this.#put(
        bytes.readDoubleBE(at),
        bytes.readDoubleBE(at + 8),
        exchange,
        bytes.readDoubleBE(at + 24),
      )
      at += ENTRY_BYTES
    }
  }

  clear(): void {
    this.#resize(FIRST_CAPACITY, () => false)
  }

  #isUsed(place: number): boolean {
    return this.#offsets[place] !== EMPTY
  }

  #put(high: number, low: number, exchange: number, offset: number): void {
    let place = this.#placeOf(high, low)
    if (!this.#isUsed(place)) {
      if ((this.#used + 1) * 3 > this.#offsets.length * 2) {
        this.#makeRoom()
        place = this.#placeOf(high, low)
      }
      this.#used++
    }
    this.#highs[place] = high
    this.#lows[place] = low
    this.#exchanges[place] = exchange
    this.#offsets[place] = offset
  }

  /** Drops what is gone; more room only where a third of it would be taken again. */
  #makeRoom(): void {
    let live = 0
    for (const offset of this.#offsets) if (offset !== EMPTY && this.#isLive(offset)) live++
    const capacity = this.#offsets.length
    this.#resize(live * 3 > capacity ? capacity * 2 : capacity, this.#isLive)
  }

  #resize(capacity: number, keeps: (offset: number) => boolean): void {
    const [highs, lows, exchanges] = [this.#highs, this.#lows, this.#exchanges]
    const offsets = this.#offsets
    this.#highs = new Float64Array(capacity)
    this.#lows = new Float64Array(capacity)
    this.#exchanges = new Float64Array(capacity)
    this.#offsets = new Float64Array(capacity).fill(EMPTY)
    this.#used = 0
    for (let from = 0; from < offsets.length; from++) {
      const offset = offsets[from]!
      if (offset === EMPTY || !keeps(offset)) continue
      const place = this.#placeOf(highs[from]!, lows[from]!)
      this.#highs[place] = highs[from]!
      this.#lows[place] = lows[from]!
      this.#exchanges[place] = exchanges[from]!
      this.#offsets[place] = offset
      this.#used++
    }
  }

  /** Where the id stands, or where it would; digests are spread already. */
  #placeOf(high: number, low: number): number {
    const mask = this.#offsets.length - 1
    let place = (high % 0x1_0000_0000) & mask
    while (this.#isUsed(place) && (this.#highs[place] !== high || this.#lows[place] !== low)) {
      place = (place + 1) & mask
    }
    return place
  }
}
