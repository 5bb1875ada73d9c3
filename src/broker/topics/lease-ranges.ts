import { VarintReader, VarintWriter } from '../../lib/varint.ts'

/** What becomes of the messages of a range. */
export const RANGE: { readonly AVAILABLE: 0; readonly LEASED: 1; readonly SETTLED: 2 } = {
  AVAILABLE: 0,
  LEASED: 1,
  SETTLED: 2,
}
export type RangeState = 0 | 1 | 2

/** How many states one octet tells apart, beside the attempts in it. */
const STATE_COUNT = 3
/** More attempts than these are counted as these. */
const ATTEMPTS_MAX = 80

/**
 * The offsets of one partition between what is settled all along and what was never given out, in
 * ranges of one fate each. Neighbours that are alike are one range, so it is as large as the
 * disorder in it, not as the messages. Parallel arrays; a range ends where the next one starts.
 */
export class LeaseRanges {
  readonly #starts: number[] = []
  readonly #states: RangeState[] = []
  readonly #attempts: number[] = []
  /** Who holds a leased one; empty otherwise. */
  readonly #owners: string[] = []
  /** When the lease of a leased one ends; 0 otherwise. */
  readonly #deadlines: number[] = []
  #end: number
  #settledCount = 0

  constructor(start: number) {
    this.#end = start
  }

  /** Everything below it is settled. */
  get start(): number {
    return this.#starts[0] ?? this.#end
  }

  /** Everything from it on was never given out. */
  get end(): number {
    return this.#end
  }

  /** How many ranges there are. */
  get count(): number {
    return this.#starts.length
  }

  /** How many offsets from `start` to `end` are settled. */
  get settledCount(): number {
    return this.#settledCount
  }

  /** How many are leased; counted when somebody asks. */
  get leasedCount(): number {
    let count = 0
    for (let index = 0; index < this.count; index++) {
      if (this.#states[index] === RANGE.LEASED) count += this.endAt(index) - this.#starts[index]!
    }
    return count
  }

  startAt(index: number): number {
    return this.#starts[index]!
  }

  endAt(index: number): number {
    return this.#starts[index + 1] ?? this.#end
  }

  stateAt(index: number): RangeState {
    return this.#states[index]!
  }

  attemptsAt(index: number): number {
    return this.#attempts[index]!
  }

  ownerAt(index: number): string {
    return this.#owners[index]!
  }

  deadlineAt(index: number): number {
    return this.#deadlines[index]!
  }

  /** The first offset that is available, or the end. */
  get firstAvailable(): number {
    const index = this.#states.indexOf(RANGE.AVAILABLE)
    return index < 0 ? this.#end : this.#starts[index]!
  }

  /** The index of the range that holds `offset`, from `start` to below `end`. */
  find(offset: number): number {
    let low = 0
    let high = this.#starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#starts[middle]! <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Cuts at `offset`; returns the index of the range that starts there, or the count. */
  cut(offset: number): number {
    if (offset >= this.#end) return this.#starts.length
    const index = this.find(offset)
    if (this.#starts[index] === offset) return index
    this.#starts.splice(index + 1, 0, offset)
    this.#states.splice(index + 1, 0, this.#states[index]!)
    this.#attempts.splice(index + 1, 0, this.#attempts[index]!)
    this.#owners.splice(index + 1, 0, this.#owners[index]!)
    this.#deadlines.splice(index + 1, 0, this.#deadlines[index]!)
    return index + 1
  }

  /** A range of its own after the last one. */
  push(end: number, state: RangeState, attempts: number): number {
    this.#starts.push(this.#end)
    this.#states.push(state)
    this.#attempts.push(attempts)
    this.#owners.push('')
    this.#deadlines.push(0)
    if (state === RANGE.SETTLED) this.#settledCount += end - this.#end
    this.#end = end
    return this.#starts.length - 1
  }

  lease(index: number, owner: string, deadlineMs: number, attempts: number): void {
    this.#change(index, RANGE.LEASED, Math.min(attempts, ATTEMPTS_MAX))
    this.#owners[index] = owner
    this.#deadlines[index] = deadlineMs
  }

  makeAvailable(index: number, attempts: number): void {
    this.#change(index, RANGE.AVAILABLE, attempts)
  }

  settle(index: number): void {
    this.#change(index, RANGE.SETTLED, 0)
  }

  /** Makes neighbours that are alike one, and forgets what is settled in front. */
  tidy(): void {
    let kept = 0
    for (let index = 0; index < this.#starts.length; index++) {
      if (kept === 0 && this.#states[index] === RANGE.SETTLED) {
        this.#settledCount -= this.endAt(index) - this.#starts[index]!
        continue
      }
      if (kept > 0 && this.#isLike(kept - 1, index)) continue
      this.#starts[kept] = this.#starts[index]!
      this.#states[kept] = this.#states[index]!
      this.#attempts[kept] = this.#attempts[index]!
      this.#owners[kept] = this.#owners[index]!
      this.#deadlines[kept] = this.#deadlines[index]!
      kept++
    }
    this.#starts.length = kept
    this.#states.length = kept
    this.#attempts.length = kept
    this.#owners.length = kept
    this.#deadlines.length = kept
  }

  /** Forgets all of it and goes on from `offset`. */
  reset(offset: number): void {
    for (const array of [this.#starts, this.#states, this.#attempts]) array.length = 0
    this.#owners.length = 0
    this.#deadlines.length = 0
    this.#settledCount = 0
    this.#end = offset
  }

  /**
   * Start and ranges: f64 start, then of each range its length as a varint and one octet for state
   * and attempts. What is leased is stored as available: a lease does not survive.
   */
  encode(): Buffer {
    const writer = new VarintWriter()
    for (let index = 0; index < this.#starts.length; index++) {
      const state = this.#states[index] === RANGE.LEASED ? RANGE.AVAILABLE : this.#states[index]!
      writer.write(this.endAt(index) - this.#starts[index]!)
      writer.write(this.#attempts[index]! * STATE_COUNT + state)
    }
    const ranges = writer.bytes()
    const bytes = Buffer.allocUnsafe(8 + ranges.length)
    bytes.writeDoubleBE(this.start, 0)
    ranges.copy(bytes, 8)
    return bytes
  }

  static decode(bytes: Buffer): LeaseRanges {
    const ranges = new LeaseRanges(bytes.readDoubleBE(0))
    const reader = new VarintReader(bytes, 8)
    while (reader.at < bytes.length) {
      const length = reader.read()
      const fate = reader.read()
      const state = (fate % STATE_COUNT) as RangeState
      ranges.push(ranges.end + length, state, Math.floor(fate / STATE_COUNT))
    }
    ranges.tidy()
    return ranges
  }

  #change(index: number, state: RangeState, attempts: number): void {
    const length = this.endAt(index) - this.#starts[index]!
    if (this.#states[index] === RANGE.SETTLED) this.#settledCount -= length
    if (state === RANGE.SETTLED) this.#settledCount += length
    this.#states[index] = state
    this.#attempts[index] = attempts
    this.#owners[index] = ''
    this.#deadlines[index] = 0
  }

  #isLike(index: number, other: number): boolean {
    return (
      this.#states[index] === this.#states[other] &&
      this.#attempts[index] === this.#attempts[other] &&
      this.#owners[index] === this.#owners[other] &&
      this.#deadlines[index] === this.#deadlines[other]
    )
  }
}
