import { RecordError } from './record-error.ts'

/** A header of a record. */
export interface RecordHeader {
  readonly key: string
  readonly value: Buffer | null
}

/**
 * Reads the headers of a record from a window that holds nothing else: their count, and each with
 * the size of its key, the key, the size of its value (-1 null) and the value. The values are copies.
 */
export function readRecordHeaders(bytes: Buffer, start: number, end: number): RecordHeader[] {
  const reader = new Reader(bytes, start, end)
  const headers: RecordHeader[] = []
  for (let left = reader.varint(); left > 0; left -= 1) {
    const key = reader.octets(reader.varint()).toString('utf8')
    const size = reader.varint()
    headers.push({ key, value: size < 0 ? null : Buffer.from(reader.octets(size)) })
  }
  return headers
}

/** What `readRecordHeaders` reads. */
export function encodeRecordHeaders(headers: readonly RecordHeader[]): Buffer {
  const parts: Buffer[] = [varint(headers.length)]
  for (const { key, value } of headers) {
    const name = Buffer.from(key)
    parts.push(varint(name.length), name, varint(value === null ? -1 : value.length))
    if (value !== null) parts.push(value)
  }
  return Buffer.concat(parts)
}

class Reader {
  readonly #bytes: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** Zigzag, 32 bits. */
  varint(): number {
    let raw = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const octet = this.octets(1)[0]!
      raw |= (octet & 0x7f) << shift
      if (octet < 0x80) return (raw >>> 1) ^ -(raw & 1)
    }
    throw new RecordError('Found invalid record structure')
  }

  octets(size: number): Buffer {
    if (size < 0 || size > this.#end - this.#at) {
      throw new RecordError('Found invalid record structure')
    }
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }
}

function varint(value: number): Buffer {
  const octets: number[] = []
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80)
  return Buffer.from([...octets, rest])
}
