import { constants, PerformanceObserver } from 'node:perf_hooks'
import type { ProcessFigures } from '../admin/index.ts'
import { Histogram, LATENCY_BOUNDS } from '../lib/histogram.ts'

/** How often it is looked whether timers come in time. */
const INTERVAL_MS = 100

const KINDS: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
}

/** Watches the process from the inside: one timer, and what the engine tells of its collections. */
export class ProcessMeter implements ProcessFigures, Disposable {
  readonly syncTimes: Histogram
  readonly eventLoopDelay: Histogram = new Histogram(LATENCY_BOUNDS)
  readonly collections: Map<string, Histogram> = new Map()
  readonly #timer: NodeJS.Timeout
  readonly #observer: PerformanceObserver

  constructor(syncTimes: Histogram) {
    this.syncTimes = syncTimes
    let expectedMs = performance.now() + INTERVAL_MS
    this.#timer = setInterval(() => {
      const nowMs = performance.now()
      this.eventLoopDelay.record(Math.max(0, nowMs - expectedMs) / 1000)
      expectedMs = nowMs + INTERVAL_MS
    }, INTERVAL_MS)
    this.#timer.unref()
    this.#observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        // Node's types leave out what it adds to entries of this kind.
        const { detail } = entry as unknown as { readonly detail?: { readonly kind?: number } }
        this.#collected(KINDS[detail?.kind ?? 0] ?? 'other').record(entry.duration / 1000)
      }
    })
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  cpuSeconds(): { readonly user: number; readonly system: number } {
    const { user, system } = process.cpuUsage()
    return { user: user / 1e6, system: system / 1e6 }
  }

  memory(): NodeJS.MemoryUsage {
    return process.memoryUsage()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#observer.disconnect()
  }

  #collected(kind: string): Histogram {
    const known = this.collections.get(kind)
    if (known !== undefined) return known
    const histogram = new Histogram(LATENCY_BOUNDS)
    this.collections.set(kind, histogram)
    return histogram
  }
}
