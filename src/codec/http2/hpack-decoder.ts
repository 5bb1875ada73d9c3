import { DynamicTable } from './dynamic-table.ts'
import { HeaderList } from './header-list.ts'
import { fieldFault } from './header-rules.ts'
import { Http2Error } from './http2-error.ts'
import { STATIC_TABLE } from './hpack-tables.gen.ts'
import { decodeHuffman } from './huffman.ts'
import { HEADER_BLOCK_BYTES_MAX, HEADER_LIST_BYTES_MAX, HEADER_TABLE_BYTES_MAX } from './limits.ts'
import { ERROR } from './spec.ts'

const FIELD_OVERHEAD_BYTES = 32
const STATIC_COUNT: number = STATIC_TABLE.length
const STATIC_NAMES: readonly string[] = STATIC_TABLE.map(([name]) => name)
const STATIC_VALUES: readonly string[] = STATIC_TABLE.map(([, value]) => value)

/** Where Huffman's strings are decoded, one at a time: the shortest code has 5 bits. */
const scratch: Buffer = Buffer.allocUnsafeSlow(Math.ceil((HEADER_BLOCK_BYTES_MAX * 8) / 5) + 8)

/**
 * Decodes header blocks (RFC 7541 §6). A block must be whole, and every block of a connection must
 * come here in order, also one whose message nobody wants: the dynamic table follows from them.
 *
 * Its memory is the table and one list; a list beyond `HEADER_LIST_BYTES_MAX` is only counted.
 */
export class HpackDecoder {
  readonly #table = new DynamicTable(HEADER_TABLE_BYTES_MAX)
  #bytes: Buffer = scratch
  #at = 0
  #end = 0
  #fault = ''
  /** The last block that changed nothing, and what it meant. */
  #known: Buffer = Buffer.alloc(0)
  #knownList: HeaderList | null = null
  #knownAdded = -1

  get tableBytes(): number {
    return this.#table.sizeBytes
  }

  /** Throws `Http2Error` with COMPRESSION_ERROR; the connection is lost then. */
  decode(bytes: Buffer, start: number, end: number): HeaderList {
    const knownList = this.#knownList
    if (
      knownList !== null &&
      end - start === this.#known.length &&
      this.#knownAdded === this.#table.addedCount &&
      bytes.compare(this.#known, 0, this.#known.length, start, end) === 0
    ) {
      return knownList
    }
    const addedCount = this.#table.addedCount
    this.#bytes = bytes
    this.#at = start
    this.#end = end
    this.#fault = ''
    const list = new HeaderList()
    const resized = this.#resize()
    while (this.#at < end) this.#field(list)
    list.fieldFault = this.#fault
    this.#bytes = scratch
    if (!resized && this.#table.addedCount === addedCount) {
      this.#known = Buffer.from(bytes.subarray(start, end))
      this.#knownList = list
      this.#knownAdded = addedCount
    }
    return list
  }

  /** §4.2 and §6.3: size updates come first, and none is above what we told the peer. */
  #resize(): boolean {
    let resized = false
    while (this.#at < this.#end && (this.#bytes[this.#at]! & 0xe0) === 0x20) {
      const bytesMax = this.#integer(5)
      if (bytesMax > HEADER_TABLE_BYTES_MAX) {
        throw bad(`a dynamic table of ${bytesMax} octets, limit is ${HEADER_TABLE_BYTES_MAX}`)
      }
      this.#table.resize(bytesMax)
      this.#knownList = null
      resized = true
    }
    return resized
  }

  #field(list: HeaderList): void {
    const octet = this.#bytes[this.#at]!
    if (octet >= 0x80) {
      const index = this.#integer(7)
      this.#add(list, this.#nameAt(index), this.#valueAt(index))
      if (index > STATIC_COUNT) this.#fault ||= this.#table.mark(index - STATIC_COUNT - 1)
      return
    }
    if (octet >= 0x20 && octet < 0x40) throw bad('a size update after a field')
    const isKept = octet >= 0x40
    const nameIndex = this.#integer(isKept ? 6 : 4)
    const name = nameIndex === 0 ? this.#string() : this.#nameAt(nameIndex)
    const value = this.#string()
    const fault = fieldFault(name, value)
    if (fault !== '') this.#fault ||= fault
    if (isKept) this.#table.add(name, value, fault)
    this.#add(list, name, value)
  }

  #add(list: HeaderList, name: string, value: string): void {
    list.sizeBytes += name.length + value.length + FIELD_OVERHEAD_BYTES
    if (list.sizeBytes <= HEADER_LIST_BYTES_MAX) list.fields.push(name, value)
  }

  #nameAt(index: number): string {
    if (index > STATIC_COUNT) return this.#table.name(this.#dynamic(index))
    if (index === 0) throw bad('index 0')
    return STATIC_NAMES[index - 1]!
  }

  #valueAt(index: number): string {
    if (index > STATIC_COUNT) return this.#table.value(this.#dynamic(index))
    return STATIC_VALUES[index - 1]!
  }

  #dynamic(index: number): number {
    const position = index - STATIC_COUNT - 1
    if (position >= this.#table.count) {
      throw bad(`index ${index}, the table ends at ${STATIC_COUNT + this.#table.count}`)
    }
    return position
  }

  /** §5.1: what does not fit into the prefix follows in groups of 7 bits, the lowest first. */
  #integer(prefixBits: number): number {
    const most = (1 << prefixBits) - 1
    let value = this.#bytes[this.#at++]! & most
    if (value < most) return value
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) throw bad('an integer is cut off')
      const octet = this.#bytes[this.#at++]!
      value += (octet & 0x7f) << shift
      if (octet < 0x80) return value
    }
    throw bad('an integer of more than 28 bits')
  }

  /** §5.2 */
  #string(): string {
    if (this.#at >= this.#end) throw bad('a string is missing')
    const isCoded = this.#bytes[this.#at]! >= 0x80
    const size = this.#integer(7)
    const start = this.#at
    if (size > this.#end - start) {
      throw bad(`a string of ${size} octets, ${this.#end - start} are left`)
    }
    this.#at = start + size
    if (!isCoded) return this.#bytes.toString('latin1', start, this.#at)
    const decoded = decodeHuffman(this.#bytes, start, this.#at, scratch)
    if (decoded < 0) throw bad('a string that is not in the Huffman code')
    return scratch.toString('latin1', 0, decoded)
  }
}

function bad(what: string): Http2Error {
  return new Http2Error(ERROR.COMPRESSION_ERROR, `header block: ${what}`)
}
