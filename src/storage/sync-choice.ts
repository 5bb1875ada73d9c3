import type { LoopTimes } from '../lib/loop-times.ts'

/** Above this a sync in the call would be felt by whoever does not wait for the device. */
const SLOW_SYNC_MS = 2
/** After a slow one the thread has the syncs for so long; twice as long each time in a row. */
const REST_MS_MIN = 200
const REST_MS_MAX = 60_000
/** So many quick ones in a row, and the device counts as quick again. */
const QUICK_RUN = 100
/** How long the loop is watched before its use is judged anew. */
const WINDOW_MS = 20
/** Up to this share of the time the loop may work beside the syncs. */
const BUSY_SHARE_MAX = 0.5

/**
 * Whether the next sync is made in the call or handed to a thread.
 *
 * To wake a thread and to be woken by it costs more processor time than all else a small commit
 * needs, and on a machine with few processors more time than the device takes. But while a call
 * syncs, the loop does nothing: so only when it would be idle anyway, and only while the device
 * answers faster than anyone would notice. One sync of a device that hangs is made in the call at
 * most, as it is with the write before it.
 */
export class SyncChoice {
  readonly #loop: () => LoopTimes
  readonly #nowMs: () => number
  #last: LoopTimes
  /** Of the window that runs: active time that was waiting for the device. */
  #syncMs = 0
  #hasTime = false
  #restUntilMs = 0
  #restMs = REST_MS_MIN
  #quickCount = 0

  constructor(loop: () => LoopTimes, nowMs: () => number) {
    this.#loop = loop
    this.#nowMs = nowMs
    this.#last = loop()
  }

  isInCall(): boolean {
    if (this.#nowMs() < this.#restUntilMs) return false
    const times = this.#loop()
    const activeMs = times.activeMs - this.#last.activeMs
    const allMs = activeMs + times.idleMs - this.#last.idleMs
    if (allMs >= WINDOW_MS) {
      this.#hasTime = activeMs - this.#syncMs <= allMs * BUSY_SHARE_MAX
      this.#last = times
      this.#syncMs = 0
    }
    return this.#hasTime
  }

  /** Tells how long a sync in the call took. */
  took(milliseconds: number): void {
    this.#syncMs += milliseconds
    if (milliseconds <= SLOW_SYNC_MS) {
      if (++this.#quickCount >= QUICK_RUN) this.#restMs = REST_MS_MIN
      return
    }
    this.#quickCount = 0
    this.#restUntilMs = this.#nowMs() + this.#restMs
    this.#restMs = Math.min(this.#restMs * 2, REST_MS_MAX)
  }
}
