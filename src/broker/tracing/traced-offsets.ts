import { OffsetMap } from '../offset-map.ts'

/** Room for so many traced messages of a log is kept while rules are on: 4 KiB of the cache. */
const KEPT = 256
/** A power of two: 2 KiB, for every message looks at its own. */
const MARKS = 1024

/**
 * Where traced messages of a log are. Every step of every message asks it, and nearly all are not
 * traced: one look at a small table in the order of the offsets says so.
 */
export class TracedOffsets extends OffsetMap {
  /** How many offsets with the same low bits are in the map. */
  readonly #marks = new Uint16Array(MARKS)

  constructor() {
    super(KEPT)
  }

  /** HOT: false: it is not there; true: look. */
  mayHold(offset: number): boolean {
    return this.#marks[offset & (MARKS - 1)] !== 0
  }

  override set(offset: number, value: number): void {
    const before = this.size
    super.set(offset, value)
    if (this.size > before) this.#marks[offset & (MARKS - 1)]!++
  }

  override take(offset: number): number | undefined {
    const value = super.take(offset)
    if (value !== undefined) this.#marks[offset & (MARKS - 1)]!--
    return value
  }

  override clear(): void {
    super.clear()
    this.#marks.fill(0)
  }
}
