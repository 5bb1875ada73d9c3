/** Something that two versions of a contract do not have alike. */
export interface Finding {
  /** Somebody who holds to the old version may fail with the new one. */
  readonly isBreaking: boolean
  /** Such as `shop.v1.Orders/place in.sku`. */
  readonly where: string
  readonly text: string
}

/** Gathers findings about one place and those within it. */
export class Findings {
  readonly all: Finding[]
  readonly #where: string

  constructor(where = '', all: Finding[] = []) {
    this.#where = where
    this.all = all
  }

  at(place: string): Findings {
    return new Findings(`${this.#where}${place}`, this.all)
  }

  breaking(text: string): void {
    this.all.push({ isBreaking: true, where: this.#where, text })
  }

  note(text: string): void {
    this.all.push({ isBreaking: false, where: this.#where, text })
  }
}
