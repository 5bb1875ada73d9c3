/** Of what may pass in a second, so much may pass at once after a rest. */
export const BURST_MS_DEFAULT = 100

/** What sums of fractions may be off by. */
const ROUNDING = 1e-6

/**
 * So many tokens come in a second, and no more are kept than a burst takes. What uses tokens may
 * leave a debt, so that one thing may be larger than the burst; nothing passes until it is paid.
 */
export class TokenBucket {
  readonly perSecond: number
  readonly burst: number
  #tokens: number
  #atMs: number

  constructor(perSecond: number, burstMs: number, nowMs: number) {
    this.perSecond = perSecond
    this.burst = Math.max(1, (perSecond * burstMs) / 1000)
    this.#tokens = this.burst
    this.#atMs = nowMs
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
