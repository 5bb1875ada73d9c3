import type { Histogram } from '../../lib/histogram.ts'

/** What the composition root knows of the process and of the device. */
export interface ProcessFigures {
  /** How long the device took to make commits durable, in seconds. */
  readonly syncTimes: Histogram
  /** How much later than asked a timer came, in seconds. */
  readonly eventLoopDelay: Histogram
  /** By kind of collection. */
  readonly collections: ReadonlyMap<string, Histogram>
  cpuSeconds(): { readonly user: number; readonly system: number }
  memory(): {
    readonly heapUsed: number
    readonly heapTotal: number
    readonly external: number
  }
}
