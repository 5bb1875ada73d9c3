import { BURST_MS_DEFAULT, TokenBucket } from './token-bucket.ts'

/** What may pass in a second. Whatever is absent is unlimited. */
export interface Rates {
  readonly messages?: number | undefined
  readonly bytes?: number | undefined
  /** What may pass at once after a rest, in milliseconds' worth. Absent: as `isEven` says. */
  readonly burstMs?: number | undefined
  /** No window has more than its rate. Default false: 100 ms' worth may pass at once. */
  readonly isEven?: boolean
}

/** A rate of messages, of bytes, or both, that something is held to. */
export class Meter {
  /** Whose rate it is, such as `publish rate of queue 'orders'`. */
  readonly about: string
  readonly #rates: Rates
  readonly #messages: TokenBucket | null
  readonly #bytes: TokenBucket | null

  private constructor(about: string, rates: Rates, nowMs: number) {
    const { messages, bytes } = rates
    this.about = about
    this.#rates = rates
    this.#messages = messages === undefined ? null : bucketOf(messages, rates, nowMs)
    this.#bytes = bytes === undefined ? null : bucketOf(bytes, rates, nowMs)
  }

  /** The one there was while its rates stay the same; null where there is no rate. */
  static for(before: Meter | null, about: string, rates: Rates, nowMs: number): Meter | null {
    if (rates.messages === undefined && rates.bytes === undefined) return null
    if (before?.about === about && isSame(before.#rates, rates)) return before
    return new Meter(about, rates, nowMs)
  }

  /** Whether something may pass now, however large it is. */
  admits(nowMs: number): boolean {
    return this.#messages?.admits(nowMs) !== false && this.#bytes?.admits(nowMs) !== false
  }

  use(count: number, bytes: number, nowMs: number): void {
    this.#messages?.use(count, nowMs)
    this.#bytes?.use(bytes, nowMs)
  }

  /** How long until something may pass. */
  waitMs(nowMs: number): number {
    return Math.max(this.#messages?.waitMs(nowMs) ?? 0, this.#bytes?.waitMs(nowMs) ?? 0)
  }

  /** How long until as much may pass at once as ever: whoever is held back comes again then. */
  restMs(nowMs: number): number {
    return Math.max(this.#messages?.fullMs(nowMs) ?? 0, this.#bytes?.fullMs(nowMs) ?? 0)
  }

  toString(): string {
    const { messages, bytes } = this.#rates
    const rates = [
      ...(messages === undefined ? [] : [`${messages}/s`]),
      ...(bytes === undefined ? [] : [`${bytes} B/s`]),
    ]
    return `${this.about} is ${rates.join(', ')}`
  }
}

function bucketOf(
  perSecond: number,
  { burstMs, isEven = false }: Rates,
  nowMs: number,
): TokenBucket {
  return burstMs === undefined && isEven
    ? TokenBucket.even(perSecond, nowMs)
    : TokenBucket.withBurst(perSecond, burstMs ?? BURST_MS_DEFAULT, nowMs)
}

function isSame(a: Rates, b: Rates): boolean {
  return a.messages === b.messages && a.bytes === b.bytes && a.burstMs === b.burstMs
}
