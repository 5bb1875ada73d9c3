import type { Clock, Timer } from '../../lib/clock.ts'
import type { Allowance } from './allowance.ts'
import { Meter, type Rates } from './meter.ts'

/**
 * Lets something through no faster than a few rates together allow: its own, and those of the user
 * and the virtual host. One timer at most, and none while it is open.
 */
export class Pace {
  readonly #clock: Clock
  readonly #allowances: readonly Allowance[]
  readonly #opened: () => void
  #own: Meter | null = null
  #timer: Timer | null = null

  /** `opened`: it was closed, and something may pass again. */
  constructor(clock: Clock, allowances: readonly Allowance[], opened: () => void) {
    this.#clock = clock
    this.#allowances = allowances
    this.#opened = opened
  }

  /** Whether it has a rate of its own. */
  get isSet(): boolean {
    return this.#own !== null
  }

  setRates(about: string, rates: Rates): void {
    this.#own = Meter.for(this.#own, about, rates, this.#clock.monotonicMs())
  }

  /** HOT: counts what passed; false: nothing more may, until `opened` is called. */
  passed(bytes: number): boolean {
    let isMetered = this.#own !== null
    for (const { consume } of this.#allowances) isMetered ||= consume !== null
    if (!isMetered) return true
    const nowMs = this.#clock.monotonicMs()
    this.#own?.use(1, bytes, nowMs)
    for (const { consume } of this.#allowances) consume?.use(1, bytes, nowMs)
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
    const meters = [this.#own, ...this.#allowances.map(({ consume }) => consume)]
    const closed = meters.find((meter) => meter?.admits(nowMs) === false)
    return closed?.toString() ?? null
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #waitMs(): number {
    const nowMs = this.#clock.monotonicMs()
    let waitMs = this.#own?.waitMs(nowMs) ?? 0
    for (const { consume } of this.#allowances) {
      if (consume !== null) waitMs = Math.max(waitMs, consume.waitMs(nowMs))
    }
    return waitMs
  }
}
