/** Of what may pass in a second, so much may pass at once after a rest. */
export const BURST_MS_DEFAULT = 100

/** What sums of fractions may be off by. */
const ROUNDING = 1e-6

/** In every window of this length, or of five tokens' time, what passes evenly is within its rate. */
export const EVEN_WINDOW_MS = 100
const EVEN_TOKENS = 5
/** Timers may be so late without costing what passes evenly some of its rate. */
const LATE_MS = 4

/**
 * So many tokens come in a second, and no more are kept than a burst takes. What uses tokens may
 * leave a debt, so that one thing may be larger than the burst; nothing passes until it is paid.
 */
export class TokenBucket {
  readonly perSecond: number
  readonly burst: number
  #tokens: number
  #atMs: number

  private constructor(perSecond: number, burst: number, nowMs: number) {
    this.perSecond = perSecond
    this.burst = burst
    this.#tokens = burst
    this.#atMs = nowMs
  }

  /** After a rest, what comes in `burstMs` may pass at once. */
  static withBurst(perSecond: number, burstMs: number, nowMs: number): TokenBucket {
    return new TokenBucket(perSecond, Math.max(1, (perSecond * burstMs) / 1000), nowMs)
  }

  /**
   * No window has more than what comes in it, rounded up, and one more. To make up for timers that
   * are late a little more than one may pass at once; so that this is not above the rate in any
   * window, a little less than the rate comes: 96 % of 50 a second and more, nearly all of less.
   */
  static even(perSecond: number, nowMs: number): TokenBucket {
    const windowMs = Math.max(EVEN_WINDOW_MS, (EVEN_TOKENS * 1000) / perSecond)
    const coming = (perSecond * windowMs) / (windowMs + LATE_MS)
    return new TokenBucket(coming, 1 + (coming * LATE_MS) / 1000, nowMs)
  }

  /** Whether one token is there. `nowMs` is of a clock that never goes back. */
  admits(nowMs: number): boolean {
    return this.#fill(nowMs) >= 1 - ROUNDING
  }

  use(amount: number, nowMs: number): void {
    this.#tokens = this.#fill(nowMs) - amount
  }

  /** How long until one token is there; 0: one is. */
  waitMs(nowMs: number): number {
    return this.#msUntil(1, nowMs)
  }

  /** How long until as many are there as it keeps. */
  fullMs(nowMs: number): number {
    return this.#msUntil(this.burst, nowMs)
  }

  #msUntil(amount: number, nowMs: number): number {
    const missing = amount - this.#fill(nowMs)
    return missing <= ROUNDING ? 0 : Math.ceil((missing * 1000) / this.perSecond)
  }

  #fill(nowMs: number): number {
    const spanMs = nowMs - this.#atMs
    if (spanMs > 0) {
      this.#tokens = Math.min(this.burst, this.#tokens + (spanMs * this.perSecond) / 1000)
      this.#atMs = nowMs
    }
    return this.#tokens
  }
}
