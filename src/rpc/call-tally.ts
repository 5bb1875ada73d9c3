/** So many values are looked back on: half as much counts what is older. */
const VALUES_MAX = 4096

/** The first calls are timed, and then one of so many. */
const ALL_TIMED = 64
const TIMED_EVERY = 8

/** Quarters of each power of two, of microseconds: no answer is off by more than a fifth. */
const BUCKETS = 32 * 4

/** How the calls of one provider went. Memory and work of a call stay the same for ever. */
export class CallTally {
  /** That did not end with OK, or not in time. */
  failedCount = 0
  readonly #buckets = new Uint32Array(BUCKETS)
  #size = 0

  /** Whether the provider's call of that number is timed: looking at a clock costs, so not each is. */
  static isTimed(number: number): boolean {
    return number < ALL_TIMED || number % TIMED_EVERY === 0
  }

  /** A timed call has ended, so long after the provider got it. */
  add(tookMs: number): void {
    this.#buckets[bucketOf(tookMs)]! += 1
    this.#size += 1
    if (this.#size === VALUES_MAX) this.#fade()
  }

  /** What several providers' calls were together. */
  static of(tallies: Iterable<CallTally>): CallTally {
    const sum = new CallTally()
    for (const tally of tallies) {
      sum.failedCount += tally.failedCount
      sum.#size += tally.#size
      for (let at = 0; at < BUCKETS; at++) sum.#buckets[at]! += tally.#buckets[at]!
    }
    return sum
  }

  /** How long that part of the calls of late took at most, such as 0.99; null: there were none. */
  quantileMs(part: number): number | null {
    let left = Math.ceil(this.#size * part)
    if (left === 0) return null
    for (let at = 0; at < BUCKETS; at++) {
      left -= this.#buckets[at]!
      if (left <= 0) return boundMs(at)
    }
    return null
  }

  #fade(): void {
    this.#size = 0
    for (let at = 0; at < BUCKETS; at++) {
      this.#buckets[at]! >>= 1
      this.#size += this.#buckets[at]!
    }
  }
}

function bucketOf(tookMs: number): number {
  const micros = Math.max(4, Math.min(tookMs * 1000, 0xffff_ffff)) >>> 0
  const exponent = 31 - Math.clz32(micros)
  return exponent * 4 + ((micros >>> (exponent - 2)) & 3)
}

/** What is below is in this bucket or one before. */
function boundMs(at: number): number {
  const exponent = at >>> 2
  return (2 ** exponent * (1 + ((at & 3) + 1) / 4)) / 1000
}
