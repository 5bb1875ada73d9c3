import type { Clock } from '../lib/clock.ts'
import {
  FAILURE_DELAY_MS_MAX,
  FAILURE_DELAY_MS_MIN,
  FAILURE_MEMORY_MS,
  FAILURE_WAIT_MS_MAX,
  FAILURES_FREE,
  FAILURES_REMEMBERED_MAX,
} from './limits.ts'

interface Failures {
  count: number
  /** When the next attempt is admitted. */
  nextMs: number
  lastMs: number
}

/**
 * Slows down who guesses passwords. After a few failures of one user from one address, attempts
 * are admitted one after the other, at a distance that doubles with each failure; what would have
 * to wait too long is refused unseen. A success ends it.
 */
export class LoginThrottle {
  readonly #clock: Clock
  /** In order of the last failure. */
  readonly #failures = new Map<string, Failures>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#failures.size
  }

  /** How long the attempt must wait, in milliseconds; null: it is refused unseen. */
  admit(username: string, address: string): number | null {
    const key = keyOf(username, address)
    const nowMs = this.#clock.monotonicMs()
    const entry = this.#failures.get(key)
    if (entry === undefined || isForgotten(entry, nowMs)) {
      this.#failures.delete(key)
      return 0
    }
    const startMs = Math.max(nowMs, entry.nextMs)
    if (startMs - nowMs > FAILURE_WAIT_MS_MAX) return null
    entry.nextMs = startMs + delayMs(entry.count)
    return startMs - nowMs
  }

  failed(username: string, address: string): void {
    const key = keyOf(username, address)
    const nowMs = this.#clock.monotonicMs()
    const entry = this.#failures.get(key) ?? { count: 0, nextMs: 0, lastMs: nowMs }
    entry.count += 1
    entry.lastMs = nowMs
    entry.nextMs = Math.max(entry.nextMs, nowMs + delayMs(entry.count))
    this.#failures.delete(key)
    this.#failures.set(key, entry)
    this.#forget(nowMs)
  }

  succeeded(username: string, address: string): void {
    this.#failures.delete(keyOf(username, address))
  }

  #forget(nowMs: number): void {
    for (const [key, entry] of this.#failures) {
      const isFull = this.#failures.size > FAILURES_REMEMBERED_MAX
      if (!isFull && !isForgotten(entry, nowMs)) return
      this.#failures.delete(key)
    }
  }
}

function isForgotten(entry: Failures, nowMs: number): boolean {
  return nowMs - entry.lastMs > FAILURE_MEMORY_MS
}

function delayMs(failureCount: number): number {
  if (failureCount < FAILURES_FREE) return 0
  return Math.min(FAILURE_DELAY_MS_MIN * 2 ** (failureCount - FAILURES_FREE), FAILURE_DELAY_MS_MAX)
}

function keyOf(username: string, address: string): string {
  return `${address} ${username}`
}
