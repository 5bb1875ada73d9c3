import type { Clock, Timer } from '../../lib/clock.ts'
import type { Allowance } from './allowance.ts'
import { Meter, type Rates } from './meter.ts'

/**
 * Lets something through no faster than a few rates together allow: its own, and those of the user
 * and the virtual host. One timer at most, and none while it is open.
 */
export class Pace {
  readonly #clock: Clock
  readonly #user: Allowance | null
  readonly #vhost: Allowance | null
  readonly #opened: () => void
  #own: Meter | null = null
  #timer: Timer | null = null

  /** `opened`: it was closed, and something may pass again. */
  constructor(
    clock: Clock,
    of: { readonly user: Allowance; readonly vhost: Allowance } | null,
    opened: () => void,
  ) {
    this.#clock = clock
    this.#user = of?.user ?? null
    this.#vhost = of?.vhost ?? null
    this.#opened = opened
  }

  /** Itself with these rates; null, and stopped, where there are none. */
  withRates(about: string, rates: Rates): Pace | null {
    this.setRates(about, rates)
    if (this.#own !== null) return this
    this.stop()
    return null
  }

  setRates(about: string, rates: Rates): void {
    this.#own = Meter.for(this.#own, about, { ...rates, isEven: true }, this.#clock.monotonicMs())
  }

  /** HOT: counts what passed; false: nothing more may, until `opened` is called. */
  passed(bytes: number): boolean {
    const own = this.#own
    const user = this.#user === null ? null : this.#user.consume
    const vhost = this.#vhost === null ? null : this.#vhost.consume
    if (own === null && user === null && vhost === null) return true
    const nowMs = this.#clock.monotonicMs()
    own?.use(1, bytes, nowMs)
    user?.use(1, bytes, nowMs)
    vhost?.use(1, bytes, nowMs)
    return this.isOpen()
  }

  /** False: `opened` will be called. */
  isOpen(): boolean {
    if (this.#timer !== null) return false
    const waitMs = this.#waitMs()
    if (waitMs === 0) return true
    this.#timer = this.#clock.setTimer(waitMs, () => {
      this.#timer = null
      if (this.isOpen()) this.#opened()
    })
    return false
  }

  /** The rate that lets nothing pass now; null: none does. */
  get heldBackBy(): string | null {
    if (this.#timer === null) return null
    const nowMs = this.#clock.monotonicMs()
    const closed = this.#meters().find((meter) => meter?.admits(nowMs) === false)
    return closed?.toString() ?? null
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #meters(): readonly (Meter | null | undefined)[] {
    return [this.#own, this.#user?.consume, this.#vhost?.consume]
  }

  #waitMs(): number {
    const nowMs = this.#clock.monotonicMs()
    let waitMs = 0
    for (const meter of this.#meters()) waitMs = Math.max(waitMs, meter?.waitMs(nowMs) ?? 0)
    return waitMs
  }
}
