import type { Clock, Timer } from '../lib/clock.ts'
import { EXPIRY_CHECK_MS } from './limits.ts'
import type { User } from './user-store.ts'

/** Tells when the login of a connection is over: that of a token ends with it, others never. */
export class LoginExpiry {
  readonly #clock: Clock
  readonly #over: () => void
  #timer: Timer | null = null
  #expiresAtMs = Infinity

  constructor(clock: Clock, over: () => void) {
    this.#clock = clock
    this.#over = over
  }

  /** Milliseconds that are left; null: it has no end. */
  get leftMs(): number | null {
    return this.#expiresAtMs === Infinity ? null : this.#expiresAtMs - this.#clock.now()
  }

  /** At a login, and again at each one that renews it. */
  renew({ expiresAtMs = Infinity }: User): void {
    this.stop()
    this.#expiresAtMs = expiresAtMs
    if (expiresAtMs !== Infinity) this.#arm()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #arm(): void {
    const leftMs = this.#expiresAtMs - this.#clock.now()
    this.#timer = this.#clock.setTimer(Math.min(leftMs, EXPIRY_CHECK_MS), () => {
      if (this.#clock.now() < this.#expiresAtMs) this.#arm()
      else this.#over()
    })
  }
}
