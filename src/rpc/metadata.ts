/** A value of a name that ends in `-bin` is bytes, any other is printable ASCII. */
export type MetadataValue = string | Uint8Array

const NAME = /^[0-9a-z_.-]+$/
const TEXT = /^[\x20-\x7e]*$/

/** Names and values beside a call, in their order; a name may come more than once. Immutable. */
export class Metadata implements Iterable<readonly [string, MetadataValue]> {
  static readonly EMPTY: Metadata = new Metadata([])
  /** Name, value, name, value: most calls have few, and nobody asks for most. */
  readonly #flat: readonly MetadataValue[]

  private constructor(flat: readonly MetadataValue[]) {
    this.#flat = flat
  }

  /** Names are made lower-case. Throws `RangeError` for what no wire could carry. */
  static from(entries: Iterable<readonly [string, MetadataValue]>): Metadata {
    const flat: MetadataValue[] = []
    for (const [givenName, value] of entries) {
      const name = givenName.toLowerCase()
      const fault = faultOf(name, value)
      if (fault !== null) throw new RangeError(fault)
      flat.push(name, value)
    }
    return flat.length === 0 ? Metadata.EMPTY : new Metadata(flat)
  }

  /** What a codec read: name, value, name, value. Throws as `from` does. */
  static fromFlat(flat: readonly MetadataValue[]): Metadata {
    if (flat.length === 0) return Metadata.EMPTY
    for (let index = 0; index < flat.length; index += 2) {
      const fault = faultOf(flat[index] as string, flat[index + 1]!)
      if (fault !== null) throw new RangeError(fault)
    }
    return new Metadata(flat)
  }

  /** As a codec writes it. */
  get flat(): readonly MetadataValue[] {
    return this.#flat
  }

  /** Of all names and values. */
  get byteLength(): number {
    let sum = 0
    for (const part of this.#flat) sum += part.length
    return sum
  }

  /** How many entries there are. */
  get size(): number {
    return this.#flat.length / 2
  }

  /** The first text value of a name; null when there is none. */
  get(name: string): string | null {
    const flat = this.#flat
    for (let index = 0; index < flat.length; index += 2) {
      const value = flat[index + 1]
      if (flat[index] === name && typeof value === 'string') return value
    }
    return null
  }

  /** All values of a name, in their order. */
  all(name: string): MetadataValue[] {
    const flat = this.#flat
    return flat.filter((_, index) => index % 2 === 1 && flat[index - 1] === name)
  }

  /** These entries, and one more behind them. */
  with(name: string, value: MetadataValue): Metadata {
    return Metadata.from([...this, [name, value]])
  }

  *[Symbol.iterator](): IterableIterator<readonly [string, MetadataValue]> {
    const flat = this.#flat
    for (let index = 0; index < flat.length; index += 2) {
      yield [flat[index] as string, flat[index + 1]!]
    }
  }
}

/** Why a name and its value cannot be carried; null when they can. */
export function faultOf(name: string, value: MetadataValue): string | null {
  if (!NAME.test(name)) return `'${name}' is no name of metadata`
  if (name.endsWith('-bin')) {
    return typeof value === 'string' ? `the value of '${name}' must be bytes` : null
  }
  if (typeof value !== 'string') return `bytes need a name that ends in -bin, not '${name}'`
  return TEXT.test(value) ? null : `the value of '${name}' is not printable ASCII`
}
