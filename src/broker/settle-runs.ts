/**
 * The messages one queue settled since the last entry, as runs of consecutive offsets. Acks come
 * mostly in order, so thousands of them end in one run.
 */
export class SettleRuns {
  readonly #starts: number[] = []
  readonly #counts: number[] = []
  #lastStart = -1
  #lastEnd = -1

  get isEmpty(): boolean {
    return this.#lastEnd < 0
  }

  get runCount(): number {
    return this.#starts.length + (this.isEmpty ? 0 : 1)
  }

  add(offset: number, count: number): void {
    if (offset === this.#lastEnd) {
      this.#lastEnd += count
      return
    }
    if (this.#lastEnd >= 0) this.#close()
    this.#lastStart = offset
    this.#lastEnd = offset + count
  }

  /** Writes the runs, f64 start and u32 count each, and forgets them. */
  writeTo(out: Buffer, start: number): void {
    if (this.#lastEnd >= 0) this.#close()
    let at = start
    for (let index = 0; index < this.#starts.length; index++) {
      at = out.writeDoubleBE(this.#starts[index]!, at)
      at = out.writeUInt32BE(this.#counts[index]!, at)
    }
    this.#starts.length = 0
    this.#counts.length = 0
    this.#lastStart = -1
    this.#lastEnd = -1
  }

  #close(): void {
    this.#starts.push(this.#lastStart)
    this.#counts.push(this.#lastEnd - this.#lastStart)
  }
}
