export interface Latencies {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

const BUCKETS_PER_MS = 100
const LATENCY_MAX_MS = 10_000

/** Counts latencies in steps of 10 µs up to 10 s; longer ones fall into the last bucket. */
export class LatencyHistogram {
  readonly #buckets: Uint32Array = new Uint32Array(BUCKETS_PER_MS * LATENCY_MAX_MS)
  #count = 0
  #maxMs = 0

  record(latencyMs: number): void {
    const bucket = Math.max(0, Math.floor(latencyMs * BUCKETS_PER_MS))
    const index = Math.min(bucket, this.#buckets.length - 1)
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1
    this.#count++
    if (latencyMs > this.#maxMs) this.#maxMs = latencyMs
  }

  latencies(): Latencies {
    return {
      count: this.#count,
      p50Ms: this.#percentile(0.5),
      p99Ms: this.#percentile(0.99),
      p999Ms: this.#percentile(0.999),
      maxMs: this.#maxMs,
    }
  }

  /** The upper edge of the bucket below which the given part of all latencies lies. */
  #percentile(part: number): number {
    let left = Math.ceil(this.#count * part)
    for (const [index, count] of this.#buckets.entries()) {
      left -= count
      if (left <= 0) return this.#count === 0 ? 0 : (index + 1) / BUCKETS_PER_MS
    }
    return LATENCY_MAX_MS
  }
}
