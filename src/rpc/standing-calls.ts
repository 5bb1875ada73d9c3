import type { Clock, Timer } from '../lib/clock.ts'
import { EXPIRY_CHECK_MS } from './limits.ts'
import { RpcError, type Status, statusOf } from './status.ts'

/** Who is logged in, and until when; a login without a token has no end. */
export interface Account {
  readonly name: string
  /** Milliseconds since the epoch. */
  readonly expiresAtMs?: number
}

/** A call without an end of its own. */
export interface StandingCall {
  /** It is to end, with this, as soon as it well can. */
  drain(status: Status): void
}

/**
 * The calls of one login that stand for as long as its connection: they are bounded in number, and
 * told when the login ends or the broker does.
 */
export class StandingCalls {
  readonly #calls = new Set<StandingCall>()
  readonly #max: number
  readonly #account: Account
  readonly #clock: Clock
  #timer: Timer | null = null

  constructor(clock: Clock, account: Account, max: number) {
    this.#clock = clock
    this.#account = account
    this.#max = max
  }

  /** Throws `RpcError` RESOURCE_EXHAUSTED. */
  add(call: StandingCall): void {
    if (this.#calls.size >= this.#max) {
      const text = `${this.#max} calls of the login stand on the connection, which is the limit`
      throw new RpcError('RESOURCE_EXHAUSTED', text)
    }
    this.#calls.add(call)
    // The time of a token is watched only while there is something to end by it.
    if (this.#timer === null && this.#account.expiresAtMs !== undefined) this.#arm()
  }

  delete(call: StandingCall): void {
    this.#calls.delete(call)
    if (this.#calls.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  drain(status: Status): void {
    for (const call of [...this.#calls]) call.drain(status)
  }

  /** The clock on the wall may be set meanwhile. */
  #arm(): void {
    const { name, expiresAtMs = Infinity } = this.#account
    const leftMs = expiresAtMs - this.#clock.now()
    this.#timer = this.#clock.setTimer(Math.min(leftMs, EXPIRY_CHECK_MS), () => {
      this.#timer = null
      if (this.#clock.now() < expiresAtMs) this.#arm()
      else this.drain(statusOf('UNAUTHENTICATED', `the token of user '${name}' has expired`))
    })
  }
}
