/**
 * Time as a parameter: whoever needs the time or a timer is handed a `Clock`, so that a test can
 * run an hour in a millisecond and replay a failure.
 */

/** A timer that was set and may be taken back; cancelling one that fired does nothing. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since the epoch. May jump when somebody sets the machine's clock. */
  now(): number
  /** Milliseconds since some fixed moment, with fractions; never goes back. */
  monotonicMs(): number
  /**
   * Calls back once, never inside this call, after at least `delayMs` (below 0 counts as 0).
   * A delay above `TIMER_DELAY_MS_MAX` is cut to it: the callback must look at the clock again.
   */
  setTimer(delayMs: number, callback: () => void): Timer
}

/** Node fires a timer with a longer delay after one millisecond, so none is ever asked for. */
export const TIMER_DELAY_MS_MAX = 0x7fff_ffff

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout

  constructor(delayMs: number, callback: () => void) {
    this.#timeout = setTimeout(callback, delayMs)
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }
}

/** The machine's clock. Its timers keep the process alive until they fire or are cancelled. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, callback) => new SystemTimer(boundedDelayMs(delayMs), callback),
}

interface ManualTimer extends Timer {
  readonly dueMs: number
  readonly callback: () => void
}

/** So many timers in one `advance` mean a timer that sets itself again without a delay. */
const TIMERS_PER_ADVANCE_MAX = 1_000_000

/** A clock that stands still until a test moves it. */
export class ManualClock implements Clock {
  #monotonicMs = 0
  #nowMs: number
  /** In order of due time; timers due at the same moment in the order they were set. */
  readonly #timers: ManualTimer[] = []

  constructor(nowMs = 1_700_000_000_000) {
    this.#nowMs = nowMs
  }

  /** How many timers are set and neither fired nor cancelled. */
  get timerCount(): number {
    return this.#timers.length
  }

  /** How long until the first timer fires, in milliseconds; Infinity: none is set. */
  get nextTimerMs(): number {
    const first = this.#timers[0]
    return first === undefined ? Infinity : Math.max(first.dueMs - this.#monotonicMs, 0)
  }

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#monotonicMs
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const dueMs = this.#monotonicMs + boundedDelayMs(delayMs)
    const timer: ManualTimer = { dueMs, callback, cancel: () => this.#remove(timer) }
    const index = this.#timers.findIndex((other) => other.dueMs > dueMs)
    this.#timers.splice(index === -1 ? this.#timers.length : index, 0, timer)
    return timer
  }

  /**
   * Moves the time on and fires what falls due, in order, each at its own moment; timers that
   * the callbacks set are fired too when they fall into the span. `advance(0)` fires what is due.
   */
  advance(spanMs: number): void {
    if (!(spanMs >= 0)) throw new RangeError(`cannot advance the clock by ${spanMs} ms`)
    const endMs = this.#monotonicMs + spanMs
    for (let fired = 0; ; fired++) {
      const timer = this.#timers[0]
      if (timer === undefined || timer.dueMs > endMs) break
      if (fired === TIMERS_PER_ADVANCE_MAX) throw new Error('a timer sets itself again for ever')
      this.#timers.shift()
      this.#moveTo(timer.dueMs)
      timer.callback()
    }
    this.#moveTo(endMs)
  }

  /** Sets the wall clock as an administrator would: timers and `monotonicMs` stay as they are. */
  setWallClock(nowMs: number): void {
    this.#nowMs = nowMs
  }

  #moveTo(monotonicMs: number): void {
    this.#nowMs += monotonicMs - this.#monotonicMs
    this.#monotonicMs = monotonicMs
  }

  #remove(timer: ManualTimer): void {
    const index = this.#timers.indexOf(timer)
    if (index !== -1) this.#timers.splice(index, 1)
  }
}

function boundedDelayMs(delayMs: number): number {
  return Math.min(Math.max(delayMs, 0), TIMER_DELAY_MS_MAX)
}
