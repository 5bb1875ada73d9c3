import { nowMs } from './clock.ts'

export interface Sample {
  readonly timeMs: number
  readonly count: number
}

const INTERVAL_MS = 100
/** Ten minutes' worth; a longer run keeps its first ten minutes. */
const SAMPLES_MAX = 6_000

/** Notes a counter ten times a second, so that a rate can be taken over any part of a run. */
export class Sampler {
  readonly samples: Sample[] = []
  #timer: NodeJS.Timeout | undefined

  start(read: () => number): void {
    const take = (): void => {
      if (this.samples.length < SAMPLES_MAX) this.samples.push({ timeMs: nowMs(), count: read() })
    }
    take()
    this.#timer = setInterval(take, INTERVAL_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/** Counts a second between two times, from the samples inside; 0 if there are fewer than two. */
export function rateBetween(samples: readonly Sample[], fromMs: number, toMs: number): number {
  const inside = samples.filter((sample) => sample.timeMs >= fromMs && sample.timeMs <= toMs)
  const first = inside[0]
  const last = inside.at(-1)
  if (first === undefined || last === undefined || first === last) return 0
  return ((last.count - first.count) * 1000) / (last.timeMs - first.timeMs)
}
