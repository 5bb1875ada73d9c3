import type { StateTable } from '../state-table.ts'

/** So many are reserved at once, so that most of them cost no write. */
const BLOCK = 1000

/** Gives out ids for producers, each only once, whatever happens to the broker in between. */
export class ProducerIds {
  readonly #key: string
  readonly #state: StateTable
  #next = -1
  #end = 0

  constructor(key: string, state: StateTable) {
    this.#key = key
    this.#state = state
  }

  /** One that nobody has, as soon as the commit of this turn is on disk. */
  take(): number {
    if (this.#next < 0) {
      this.#next = this.#state.get(this.#key)?.readDoubleBE(0) ?? 0
      this.#end = this.#next
    }
    if (this.#next === this.#end) {
      this.#end += BLOCK
      const value = Buffer.allocUnsafe(8)
      value.writeDoubleBE(this.#end, 0)
      this.#state.set(this.#key, value)
    }
    return this.#next++
  }

  dispose(): void {
    this.#state.delete(this.#key)
  }
}
