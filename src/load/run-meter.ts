import { nowMs } from './clock.ts'
import type { Latencies } from './histogram.ts'
import { rateBetween, Sampler } from './sampler.ts'

/** What was done so far. */
export interface RunCounts {
  /** And acknowledged, where the publisher asked for it. */
  readonly published: number
  readonly consumed: number
}

export interface RunResult extends RunCounts {
  readonly seconds: number
  readonly publishedPerSecond: number
  readonly consumedPerSecond: number
  readonly redelivered: number
  /** Null: nothing is acknowledged. */
  readonly confirmLatencies: Latencies | null
  /** Null: nobody consumed. */
  readonly deliveryLatencies: Latencies | null
}

/** Left out of rates where a run is long enough: compilers warm up, files are opened. */
const WARM_UP_MS = 1_000
const WARM_UP_PART = 4

/** Takes the rates of a run, without its beginning. */
export class RunMeter {
  readonly #published = new Sampler()
  readonly #consumed = new Sampler()
  readonly #read: () => RunCounts
  readonly #startMs = nowMs()
  #publishedAtMs = 0

  constructor(read: () => RunCounts) {
    this.#read = read
    this.#published.start(() => read().published)
    this.#consumed.start(() => read().consumed)
  }

  /** The last message was published. */
  published(): Pick<RunResult, 'publishedPerSecond' | 'seconds'> {
    this.#published.stop()
    this.#publishedAtMs = nowMs()
    const rate = this.#rate(this.#published, this.#read().published, this.#publishedAtMs)
    return { publishedPerSecond: rate, seconds: (this.#publishedAtMs - this.#startMs) / 1000 }
  }

  /** The last message was consumed. */
  end(): Pick<RunResult, 'consumedPerSecond'> {
    this.#consumed.stop()
    const { consumed } = this.#read()
    if (consumed === 0) return { consumedPerSecond: 0 }
    return { consumedPerSecond: this.#rate(this.#consumed, consumed, nowMs()) }
  }

  stop(): void {
    this.#published.stop()
    this.#consumed.stop()
  }

  #rate({ samples }: Sampler, count: number, toMs: number): number {
    const whole = toMs - this.#startMs
    const isLong = whole >= WARM_UP_PART * WARM_UP_MS
    const steady = isLong
      ? rateBetween(samples, this.#startMs + WARM_UP_MS, this.#publishedAtMs)
      : 0
    return steady > 0 ? steady : (count * 1000) / Math.max(1, whole)
  }
}
