/** Counts values by size, in memory that never grows; read by whoever asks. */
export class Histogram {
  /** Upper bounds, ascending; what is above the last one is in `count` alone. */
  readonly bounds: readonly number[]
  /** By bound: values up to it and above the one before. */
  readonly counts: Float64Array
  count = 0
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length)
  }

  record(value: number): void {
    this.count++
    this.sum += value
    const { bounds } = this
    for (let at = 0; at < bounds.length; at++) {
      if (value > bounds[at]!) continue
      this.counts[at]!++
      return
    }
  }
}

/** Seconds, from a fast disk to a hung one. */
export const LATENCY_BOUNDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]
