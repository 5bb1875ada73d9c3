import type { Clock, Timer } from '../lib/clock.ts'
import { ManualClock } from '../lib/clock.ts'
import { durationMs } from './duration.ts'

/**
 * The broker's time, which stands still until a test moves it. Everything the broker does by time
 * follows it: expiry, delay, retry, unused queues. Heartbeats and handshakes do not, since clients
 * have clocks of their own.
 */
export class TestClock {
  readonly #clock: ManualClock
  readonly #settle: () => Promise<void>

  /** `settle` resolves when what the last timer began is done. */
  constructor(startMs: number, settle: () => Promise<void>) {
    this.#clock = new ManualClock(startMs)
    this.#settle = settle
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.#clock.now()
  }

  /**
   * Moves time on by milliseconds or by a text such as `90s`, `30m`, `12h` or `2d`. What falls due
   * on the way happens in order, each at its own moment, and is stored and given out before time
   * goes on; clients in this process that answer at once are waited for.
   */
  async advance(span: number | string): Promise<void> {
    let leftMs = durationMs(span)
    await this.#settle()
    while (this.#clock.nextTimerMs <= leftMs) {
      const stepMs = this.#clock.nextTimerMs
      this.#clock.advance(stepMs)
      leftMs -= stepMs
      await this.#settle()
    }
    this.#clock.advance(leftMs)
    await this.#settle()
  }

  /** The clock of one broker: its timers end with it, time itself goes on. */
  forOneLife(): MortalClock {
    return new MortalClock(this.#clock)
  }
}

/** A clock whose timers can be stopped all at once, as they are when a process is killed. */
export class MortalClock implements Clock {
  readonly #clock: Clock
  readonly #timers = new Set<Timer>()
  #isDead = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    if (this.#isDead) return { cancel: () => {} }
    const inner = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer)
      callback()
    })
    const timer: Timer = {
      cancel: () => {
        this.#timers.delete(timer)
        inner.cancel()
      },
    }
    this.#timers.add(timer)
    return timer
  }

  die(): void {
    this.#isDead = true
    for (const timer of Array.from(this.#timers)) timer.cancel()
  }
}
