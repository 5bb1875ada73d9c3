import { DynamicTable } from './dynamic-table.ts'
import { STATIC_TABLE } from './hpack-tables.gen.ts'
import { huffmanSize, writeHuffman } from './huffman.ts'
import { CODED_LISTS_MAX, HEADER_TABLE_BYTES_MAX } from './limits.ts'

const STATIC_COUNT: number = STATIC_TABLE.length
/** Index by name, and by name and value in one string. */
const staticNames: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map(([name], index) => [name, index + 1] as const).toReversed(),
)
const staticFields: ReadonlyMap<string, number> = new Map(
  STATIC_TABLE.map(([name, value], index) => [`${name}\n${value}`, index + 1] as const),
)

/** Fields that no intermediary may put into a table, so that nobody can guess at them (§7.1.3). */
const SECRET_FIELDS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'set-cookie'])

interface CodedList {
  readonly bytes: Buffer
  readonly addedCount: number
}

/**
 * Encodes header blocks. Lists that come again, by identity, are `fixed`: their fields go into the
 * dynamic table and their coded octets are kept, so that such a block is one copy. What differs
 * each time goes in as `extra` and stays out of the table.
 */
export class HpackEncoder {
  readonly #table = new DynamicTable(HEADER_TABLE_BYTES_MAX)
  /** The table's entries by name and value: the count of entries before them. */
  readonly #entries = new Map<string, number>()
  readonly #coded = new Map<readonly string[], CodedList>()
  #tableMax = HEADER_TABLE_BYTES_MAX
  /** Sizes the table was set to since the last block: the smallest and the last; -1 none. */
  #smallest = -1
  #buffer: Buffer = Buffer.allocUnsafeSlow(1024)
  #at = 0

  /** SETTINGS_HEADER_TABLE_SIZE of the peer. */
  setTableBytesMax(peerMax: number): void {
    const bytesMax = Math.min(peerMax, HEADER_TABLE_BYTES_MAX)
    if (bytesMax === this.#tableMax) return
    this.#tableMax = bytesMax
    this.#smallest = this.#smallest < 0 ? bytesMax : Math.min(this.#smallest, bytesMax)
    this.#table.resize(bytesMax)
    this.#coded.clear()
    this.#entries.clear()
  }

  /** The block of both lists; it is overwritten by the next one. */
  encode(fixed: readonly string[], extra: readonly string[] | null): Buffer {
    this.#at = 0
    if (this.#smallest >= 0) this.#sizeUpdates()
    const coded = this.#coded.get(fixed)
    if (coded !== undefined && coded.addedCount === this.#table.addedCount) {
      if (extra === null && this.#at === 0) return coded.bytes
      this.#reserve(coded.bytes.length)
      this.#buffer.set(coded.bytes, this.#at)
      this.#at += coded.bytes.length
    } else this.#encodeFixed(fixed)
    if (extra !== null) {
      for (let index = 0; index < extra.length; index += 2) {
        this.#literal(extra[index]!, extra[index + 1]!, false)
      }
    }
    return this.#buffer.subarray(0, this.#at)
  }

  #sizeUpdates(): void {
    this.#reserve(16)
    if (this.#smallest < this.#tableMax) this.#integer(0x20, 5, this.#smallest)
    this.#integer(0x20, 5, this.#tableMax)
    this.#smallest = -1
  }

  #encodeFixed(fixed: readonly string[]): void {
    const start = this.#at
    const addedCount = this.#table.addedCount
    for (let index = 0; index < fixed.length; index += 2) {
      const name = fixed[index]!
      const value = fixed[index + 1]!
      const known = this.#indexOf(`${name}\n${value}`)
      this.#reserve(16)
      if (known > 0) this.#integer(0x80, 7, known)
      else this.#literal(name, value, !SECRET_FIELDS.has(name))
    }
    // Only what says the same again may be kept: nothing was added.
    if (this.#table.addedCount !== addedCount) return
    if (this.#coded.size >= CODED_LISTS_MAX) this.#coded.clear()
    this.#coded.set(fixed, {
      bytes: Buffer.from(this.#buffer.subarray(start, this.#at)),
      addedCount,
    })
  }

  #indexOf(field: string): number {
    const fixed = staticFields.get(field)
    if (fixed !== undefined) return fixed
    const before = this.#entries.get(field)
    if (before === undefined) return 0
    const age = this.#table.addedCount - 1 - before
    if (age < this.#table.count) return STATIC_COUNT + 1 + age
    this.#entries.delete(field)
    return 0
  }

  /** §6.2: with a place in the table, without one, or never to be given one. */
  #literal(name: string, value: string, isKept: boolean): void {
    this.#reserve(name.length + value.length + 32)
    const nameIndex = staticNames.get(name) ?? 0
    if (isKept) this.#integer(0x40, 6, nameIndex)
    else this.#integer(SECRET_FIELDS.has(name) ? 0x10 : 0, 4, nameIndex)
    if (nameIndex === 0) this.#string(name)
    this.#string(value)
    if (!isKept) return
    const before = this.#table.addedCount
    if (!this.#table.add(name, value)) return
    // Entries that left the table are forgotten by and by; all of them when there are many.
    if (this.#entries.size > 2 * this.#table.count + 16) this.#entries.clear()
    this.#entries.set(`${name}\n${value}`, before)
  }

  #string(text: string): void {
    const coded = huffmanSize(text)
    if (coded < text.length) {
      this.#integer(0x80, 7, coded)
      this.#at = writeHuffman(text, this.#buffer, this.#at)
      return
    }
    this.#integer(0, 7, text.length)
    this.#at += this.#buffer.write(text, this.#at, 'latin1')
  }

  #integer(flags: number, prefixBits: number, value: number): void {
    const most = (1 << prefixBits) - 1
    if (value < most) {
      this.#buffer[this.#at++] = flags | value
      return
    }
    this.#buffer[this.#at++] = flags | most
    let rest = value - most
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[this.#at++] = (rest & 0x7f) | 0x80
    this.#buffer[this.#at++] = rest
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafeSlow(2 * (this.#at + bytes))
    larger.set(this.#buffer.subarray(0, this.#at), 0)
    this.#buffer = larger
  }
}
