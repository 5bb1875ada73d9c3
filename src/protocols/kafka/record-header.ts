import { readRecordHeaders, type RecordHeader } from '../../codec/kafka/record-headers.ts'

/**
 * The header bytes of a record that stands alone, outside its batch: what queues keep of it, and
 * topics that it was routed to.
 *
 *     0 flags uint8: 1 has a key, 2 the value is null
 *     1 timestamp float64, milliseconds since 1970; -1 none
 *     9 with a key: its size uint32 and its octets
 *     .. headers as in a record: their count, and each with key and value
 *
 * An empty range says nothing: no key, no timestamp, no headers.
 */
const FLAG = { KEY: 1, NULL_VALUE: 2 } as const
const FRONT_BYTES = 9

/** What such header bytes say. */
export interface LoneRecord {
  /** -1: none. */
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly isNullValue: boolean
  readonly headers: readonly RecordHeader[]
}

const NOTHING: LoneRecord = { timestampMs: -1, key: null, isNullValue: false, headers: [] }

export function readLoneRecord(bytes: Buffer, start: number, end: number): LoneRecord {
  if (start === end) return NOTHING
  if (end - start < FRONT_BYTES) throw new RangeError('a record header cut short')
  const flags = bytes[start]!
  const timestampMs = bytes.readDoubleBE(start + 1)
  let at = start + FRONT_BYTES
  let key: Buffer | null = null
  if ((flags & FLAG.KEY) !== 0) {
    const keyEnd = at + 4 + bytes.readUInt32BE(at)
    if (keyEnd > end) throw new RangeError('a record header cut short')
    key = Buffer.from(bytes.subarray(at + 4, keyEnd))
    at = keyEnd
  }
  const headers = readRecordHeaders(bytes, at, end)
  return { timestampMs, key, isNullValue: (flags & FLAG.NULL_VALUE) !== 0, headers }
}

/** `headers` is encoded already. */
export function encodeLoneRecord(record: {
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly isNullValue: boolean
  readonly headers: Uint8Array
}): Buffer {
  const { key, headers } = record
  const keyBytes = key === null ? 0 : 4 + key.length
  const bytes = Buffer.allocUnsafe(FRONT_BYTES + keyBytes + headers.length)
  bytes[0] = (key === null ? 0 : FLAG.KEY) | (record.isNullValue ? FLAG.NULL_VALUE : 0)
  bytes.writeDoubleBE(record.timestampMs, 1)
  if (key !== null) {
    bytes.writeUInt32BE(key.length, FRONT_BYTES)
    bytes.set(key, FRONT_BYTES + 4)
  }
  bytes.set(headers, FRONT_BYTES + keyBytes)
  return bytes
}
