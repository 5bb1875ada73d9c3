import type { Histogram } from '../../lib/histogram.ts'

/** Label values by name; a label without a value is left out. */
export type Labels = Readonly<Record<string, string | null>>

export type Sample = readonly [labels: Labels, value: number]

/** Takes metrics, whatever form they leave in. Names are Prometheus's: the unit last. */
export interface MetricWriter {
  gauge(name: string, help: string, samples: Iterable<Sample>): void
  /** Names of counters end in `_total`. */
  counter(name: string, help: string, samples: Iterable<Sample>): void
  histogram(name: string, help: string, histograms: Iterable<readonly [Labels, Histogram]>): void
}
