import { Http2Error } from './http2-error.ts'
import {
  EARLY_ENDS_MAX,
  EARLY_ENDS_REPLENISHED,
  IDLE_FRAMES_MAX,
  IDLE_FRAMES_REPLENISHED,
} from './limits.ts'
import { ERROR } from './spec.ts'

/**
 * Counts what costs a peer little and us much (§10.5), less what is of use. Above the limits of
 * `limits.ts` it throws ENHANCE_YOUR_CALM. Without a clock: `replenish` is called once a second.
 */
export class FloodGuard {
  #earlyEnds = 0
  #idleFrames = 0

  /** A stream that a peer opened ended before its answer: rapid reset (CVE-2023-44487). */
  endedEarly(): void {
    if (++this.#earlyEnds > EARLY_ENDS_MAX) {
      throw calm(`more than ${EARLY_ENDS_MAX} streams were ended before their answer`)
    }
  }

  endedWell(): void {
    if (this.#earlyEnds > 0) this.#earlyEnds--
  }

  /** A frame that moves nothing: PING, SETTINGS, PRIORITY, empty DATA and so on. */
  idle(): void {
    if (++this.#idleFrames > IDLE_FRAMES_MAX) {
      throw calm(`more than ${IDLE_FRAMES_MAX} frames that move nothing`)
    }
  }

  useful(): void {
    this.#idleFrames = this.#idleFrames < 4 ? 0 : this.#idleFrames - 4
  }

  replenish(): void {
    this.#earlyEnds = Math.max(0, this.#earlyEnds - EARLY_ENDS_REPLENISHED)
    this.#idleFrames = Math.max(0, this.#idleFrames - IDLE_FRAMES_REPLENISHED)
  }
}

function calm(text: string): Http2Error {
  return new Http2Error(ERROR.ENHANCE_YOUR_CALM, text)
}
