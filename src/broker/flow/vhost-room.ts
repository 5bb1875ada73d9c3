import type { Clock } from '../../lib/clock.ts'
import type { Allowance } from './allowance.ts'

/** Somewhere that can be full. */
export interface Room {
  /** What is full, in a sentence for whoever publishes; null: there is room. */
  readonly fullBecause: string | null
}

/** What waits in one destination. */
export interface Stored {
  readonly readyCount: number
  readonly readyBytes: number
}

/** It is counted no more often: with ten thousand destinations that takes a millisecond. */
const RECOUNT_MS = 20

/** Whether the destinations of a virtual host may take more, all of them together. */
export class VhostRoom implements Room {
  readonly #allowance: Allowance
  readonly #all: () => Iterable<Stored>
  readonly #clock: Clock
  /** As counted, and what was published since. */
  #messages = 0
  #bytes = 0
  #countedMs = -Infinity

  constructor(allowance: Allowance, all: () => Iterable<Stored>, clock: Clock) {
    this.#allowance = allowance
    this.#all = all
    this.#clock = clock
  }

  get isLimited(): boolean {
    const { limits } = this.#allowance
    return limits['max-length'] !== undefined || limits['max-length-bytes'] !== undefined
  }

  get fullBecause(): string | null {
    const messagesMax = this.#allowance.max('max-length')
    const bytesMax = this.#allowance.max('max-length-bytes')
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#countedMs >= RECOUNT_MS) {
      this.#count()
      this.#countedMs = nowMs
    }
    const { title } = this.#allowance
    if (this.#messages >= messagesMax)
      return `${title} is full, it may hold ${messagesMax} messages`
    if (this.#bytes >= bytesMax) return `${title} is full, it may hold ${bytesMax} bytes`
    return null
  }

  #count(): void {
    this.#messages = 0
    this.#bytes = 0
    for (const { readyCount, readyBytes } of this.#all()) {
      this.#messages += readyCount
      this.#bytes += readyBytes
    }
  }

  published(bodyBytes: number, count: number): void {
    this.#messages += count
    this.#bytes += bodyBytes
  }
}
