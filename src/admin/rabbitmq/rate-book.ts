import type { Clock } from '../../lib/clock.ts'
import { RATES_NAMED_MAX } from '../limits.ts'

/** As RabbitMQ counts: rates are those of the last stretch of this length. */
const STRETCH_MS = 5000

interface Sample {
  readonly atMs: number
  readonly totals: Readonly<Record<string, number>>
}

interface Page {
  /** The start of the stretch that is measured. */
  from: Sample
  last: Sample
}

/**
 * Rates of counters that others keep, made when somebody asks: nothing is counted and no timer runs
 * for those who do not. The first answer for a thing is 0. What is gone is forgotten with it.
 */
export class RateBook {
  readonly #clock: Clock
  readonly #pages = new WeakMap<object, Page>()
  readonly #named = new Map<string, Page>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Each counter with its rate in a second. A name is for what is no object that stays. */
  stats(thing: object | string, totals: Readonly<Record<string, number>>): Record<string, unknown> {
    const now: Sample = { atMs: this.#clock.now(), totals: { ...totals } }
    let page = typeof thing === 'string' ? this.#named.get(thing) : this.#pages.get(thing)
    if (page === undefined) {
      page = { from: now, last: now }
      if (typeof thing === 'string') this.#keep(thing, page)
      else this.#pages.set(thing, page)
    } else if (now.atMs - page.last.atMs >= STRETCH_MS) {
      page.from = page.last
      page.last = now
    }
    const stats: Record<string, unknown> = {}
    const { from } = page
    const seconds = (now.atMs - from.atMs) / 1000
    for (const [name, total] of Object.entries(totals)) {
      const rate = seconds <= 0 ? 0 : (total - (from.totals[name] ?? total)) / seconds
      stats[name] = total
      stats[`${name}_details`] = { rate: Math.round(rate * 10) / 10 }
    }
    return stats
  }

  /** With too many the one that was met first is forgotten, and its rate starts again from 0. */
  #keep(name: string, page: Page): void {
    if (this.#named.size >= RATES_NAMED_MAX) {
      for (const oldest of this.#named.keys()) {
        this.#named.delete(oldest)
        break
      }
    }
    this.#named.set(name, page)
  }
}
