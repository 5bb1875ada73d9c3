/** What an entry takes beside its octets (RFC 7541 §4.1). */
const ENTRY_OVERHEAD_BYTES = 32

/**
 * The dynamic table of RFC 7541 §2.3.2: fields in the order they came, the oldest of which leave
 * when there is no room. It never holds more than `bytesMax`, nor entries than fit into that.
 */
export class DynamicTable {
  readonly #names: string[]
  readonly #values: string[]
  /** A mark of whoever decodes, such as whether the field is well-formed. */
  readonly #marks: string[]
  readonly #mask: number
  #oldest = 0
  /** Entries ever added; it changes whenever an index changes its meaning by an addition. */
  addedCount = 0
  #bytes = 0
  #bytesMax: number

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, bytesMax / ENTRY_OVERHEAD_BYTES)))
    this.#names = Array.from({ length: capacity }, () => '')
    this.#values = Array.from({ length: capacity }, () => '')
    this.#marks = Array.from({ length: capacity }, () => '')
    this.#mask = capacity - 1
  }

  get count(): number {
    return this.addedCount - this.#oldest
  }

  get sizeBytes(): number {
    return this.#bytes
  }

  /** The newest has index 0. */
  name(index: number): string {
    return this.#names[(this.addedCount - 1 - index) & this.#mask]!
  }

  value(index: number): string {
    return this.#values[(this.addedCount - 1 - index) & this.#mask]!
  }

  mark(index: number): string {
    return this.#marks[(this.addedCount - 1 - index) & this.#mask]!
  }

  /** May not be above the one it was made with. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax
    this.#evict(bytesMax)
  }

  /** Returns whether it is in the table now: one that is too large empties it instead (§4.4). */
  add(name: string, value: string, mark = ''): boolean {
    const bytes = name.length + value.length + ENTRY_OVERHEAD_BYTES
    this.#evict(this.#bytesMax - bytes)
    if (bytes > this.#bytesMax) return false
    const slot = this.addedCount & this.#mask
    this.#names[slot] = name
    this.#values[slot] = value
    this.#marks[slot] = mark
    this.addedCount++
    this.#bytes += bytes
    return true
  }

  #evict(bytesMax: number): void {
    while (this.#bytes > bytesMax && this.#oldest < this.addedCount) {
      const slot = this.#oldest & this.#mask
      this.#bytes -= this.#names[slot]!.length + this.#values[slot]!.length + ENTRY_OVERHEAD_BYTES
      this.#names[slot] = ''
      this.#values[slot] = ''
      this.#oldest++
    }
  }
}
