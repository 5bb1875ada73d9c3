import type { Clock, Timer } from '../lib/clock.ts'

export interface IdleWatchOptions {
  readonly clock: Clock
  readonly idleMs: number
  /** Octets that came so far: what tells that the peer lives. */
  readonly receivedBytes: () => number
  /** Asks the peer whether it is there. */
  readonly ask: () => void
  /** It has not answered. */
  readonly silent: () => void
}

/** Asks a peer that is silent, and gives it up when it says nothing for as long again. */
export class IdleWatch {
  readonly #options: IdleWatchOptions
  #lastBytes = -1
  #isAsked = false
  #timer: Timer

  constructor(options: IdleWatchOptions) {
    this.#options = options
    this.#timer = options.clock.setTimer(options.idleMs, () => this.#tick())
  }

  stop(): void {
    this.#timer.cancel()
  }

  #tick(): void {
    const { clock, idleMs, receivedBytes, ask, silent } = this.#options
    const isSilent = receivedBytes() === this.#lastBytes
    if (isSilent && this.#isAsked) {
      silent()
      return
    }
    this.#lastBytes = receivedBytes()
    this.#isAsked = isSilent
    if (isSilent) ask()
    this.#timer = clock.setTimer(idleMs, () => this.#tick())
  }
}
