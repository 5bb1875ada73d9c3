/** Counts what cases led to, so that a run that reached nothing is seen. */
export class Tally {
  readonly #counts = new Map<string, number>()

  add(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1)
  }

  /** How many different things were counted. */
  get size(): number {
    return this.#counts.size
  }

  has(what: string): boolean {
    return this.#counts.has(what)
  }

  /** `501 ×12, 404 ×3`, most often first. */
  get text(): string {
    return [...this.#counts]
      .toSorted(([, one], [, other]) => other - one)
      .map(([what, count]) => `${what} ×${count}`)
      .join(', ')
  }
}
