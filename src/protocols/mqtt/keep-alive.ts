import type { Clock, Timer } from '../../lib/clock.ts'

/** Section 3.1.2.10: half as long again as the client promised to be silent at most. */
const GRACE = 1.5

/** Notices that nothing came for too long. */
export class KeepAlive {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #silent: () => boolean
  #lastMs: number
  #timer: Timer

  /** `silent` says whether that is the end; otherwise the time starts anew. */
  constructor(clock: Clock, seconds: number, silent: () => boolean) {
    this.#clock = clock
    this.#limitMs = seconds * 1000 * GRACE
    this.#silent = silent
    this.#lastMs = clock.monotonicMs()
    this.#timer = clock.setTimer(this.#limitMs, () => this.#tick())
  }

  /** Something came. */
  received(): void {
    this.#lastMs = this.#clock.monotonicMs()
  }

  stop(): void {
    this.#timer.cancel()
  }

  #tick(): void {
    const leftMs = this.#lastMs + this.#limitMs - this.#clock.monotonicMs()
    if (leftMs <= 0 && this.#silent()) return
    const nextMs = leftMs > 0 ? leftMs : this.#limitMs
    this.#timer = this.#clock.setTimer(nextMs, () => this.#tick())
  }
}
