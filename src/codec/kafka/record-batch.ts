import { RecordError } from './record-error.ts'
import { readRecordHeaders } from './record-headers.ts'
import type { RecordHeader } from './record-headers.ts'

/**
 * Where the fields of a record batch are (message format v2, magic 2). The checksum covers all from
 * ATTRIBUTES on; base offset and leader epoch lie in front, so a broker sets them in place.
 *
 *     0 baseOffset int64         23 lastOffsetDelta int32     51 producerEpoch int16
 *     8 batchLength int32        27 baseTimestamp int64       53 baseSequence int32
 *    12 leaderEpoch int32        35 maxTimestamp int64        57 recordCount int32
 *    16 magic int8               43 producerId int64          61 records, one block when compressed
 *    17 crc uint32 (CRC-32C)
 *    21 attributes int16: 0-2 codec, 3 append time, 4 transactional, 5 control
 */
export const BATCH_FIELD = {
  BASE_OFFSET: 0,
  BATCH_LENGTH: 8,
  LEADER_EPOCH: 12,
  MAGIC: 16,
  CRC: 17,
  ATTRIBUTES: 21,
  LAST_OFFSET_DELTA: 23,
  BASE_TIMESTAMP: 27,
  MAX_TIMESTAMP: 35,
  PRODUCER_ID: 43,
  PRODUCER_EPOCH: 51,
  BASE_SEQUENCE: 53,
  RECORD_COUNT: 57,
  RECORDS: 61,
} as const

/** Octets of base offset and length, which the length does not count. */
export const BATCH_PREFIX_BYTES = 12

/** A batch without a record. */
export const BATCH_HEADER_BYTES = 61

export const CODEC: {
  readonly NONE: 0
  readonly GZIP: 1
  readonly SNAPPY: 2
  readonly LZ4: 3
  readonly ZSTD: 4
} = { NONE: 0, GZIP: 1, SNAPPY: 2, LZ4: 3, ZSTD: 4 }

/** Which bits of the attributes are the codec. */
export const CODEC_MASK = 0x07
const APPEND_TIME = 0x08
export const TRANSACTIONAL = 0x10
export const CONTROL = 0x20

/** CRC-32C of a window, handed in: the codec uses no package. */
export type Crc32c = (bytes: Uint8Array) => number

/**
 * A look at the header of one batch. It owns nothing; `open` sets it on the next batch, so that
 * looking makes no object. Whoever opens it made sure that the 61 octets are there.
 */
export class RecordBatchView {
  bytes: Buffer = Buffer.alloc(0)
  start = 0

  open(bytes: Buffer, start: number): this {
    this.bytes = bytes
    this.start = start
    return this
  }

  /** The first octet behind the batch, as it says itself. */
  get end(): number {
    return this.start + batchSize(this.bytes, this.start)
  }

  get baseOffset(): number {
    return readInt64(this.bytes, this.start)
  }

  get magic(): number {
    return this.bytes.readInt8(this.start + BATCH_FIELD.MAGIC)
  }

  get crc(): number {
    return this.bytes.readUInt32BE(this.start + BATCH_FIELD.CRC)
  }

  get attributes(): number {
    return this.bytes.readInt16BE(this.start + BATCH_FIELD.ATTRIBUTES)
  }

  /** One of `CODEC`, or 5 to 7, which mean nothing. */
  get codec(): number {
    return this.attributes & CODEC_MASK
  }

  /** The broker stamped it, and every record has its maximum timestamp. */
  get hasAppendTime(): boolean {
    return (this.attributes & APPEND_TIME) !== 0
  }

  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL) !== 0
  }

  get isControl(): boolean {
    return (this.attributes & CONTROL) !== 0
  }

  get lastOffsetDelta(): number {
    return this.bytes.readInt32BE(this.start + BATCH_FIELD.LAST_OFFSET_DELTA)
  }

  get baseTimestampMs(): number {
    return readInt64(this.bytes, this.start + BATCH_FIELD.BASE_TIMESTAMP)
  }

  get maxTimestampMs(): number {
    return readInt64(this.bytes, this.start + BATCH_FIELD.MAX_TIMESTAMP)
  }

  /** -1: none. */
  get producerId(): number {
    return readInt64(this.bytes, this.start + BATCH_FIELD.PRODUCER_ID)
  }

  get producerEpoch(): number {
    return this.bytes.readInt16BE(this.start + BATCH_FIELD.PRODUCER_EPOCH)
  }

  /** -1: the producer does not count. */
  get baseSequence(): number {
    return this.bytes.readInt32BE(this.start + BATCH_FIELD.BASE_SEQUENCE)
  }

  get recordCount(): number {
    return this.bytes.readInt32BE(this.start + BATCH_FIELD.RECORD_COUNT)
  }

  get recordsStart(): number {
    return this.start + BATCH_HEADER_BYTES
  }
}

/** Octets of the batch that starts at `start`, as it says itself; needs its first 12 octets. */
export function batchSize(bytes: Buffer, start: number): number {
  return BATCH_PREFIX_BYTES + bytes.readInt32BE(start + BATCH_FIELD.BATCH_LENGTH)
}

/** Gives a batch its place in the log. The checksum stays right. */
export function placeBatch(bytes: Buffer, start: number, baseOffset: number): void {
  writeInt64(bytes, start, baseOffset)
  bytes.writeInt32BE(0, start + BATCH_FIELD.LEADER_EPOCH)
}

/**
 * Stamps a batch with the time of the broker, or with the largest timestamp of its records, and
 * computes its checksum anew.
 */
export function stampBatch(
  bytes: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
  stamp: { readonly maxTimestampMs: number; readonly isAppendTime: boolean },
  crc32c: Crc32c,
): void {
  const at = start + BATCH_FIELD.ATTRIBUTES
  const attributes = bytes.readInt16BE(at)
  bytes.writeInt16BE(stamp.isAppendTime ? attributes | APPEND_TIME : attributes & ~APPEND_TIME, at)
  writeInt64(bytes, start + BATCH_FIELD.MAX_TIMESTAMP, stamp.maxTimestampMs)
  bytes.writeUInt32BE(crc32c(bytes.subarray(at, end)), start + BATCH_FIELD.CRC)
}

/**
 * Walks over the records of one block, uncompressed.
 *
 *     size varint, attributes int8, timestampDelta varlong, offsetDelta varint,
 *     key size varint (-1 null) and octets, value alike,
 *     header count varint, and each header: key size and octets, value size (-1 null) and octets
 *
 * `next` sets the fields on the next record and checks that it is one: every size against what is
 * left of the record, and the record against its own size. It makes nothing.
 */
export class RecordCursor {
  bytes: Buffer = Buffer.alloc(0)
  /** Where the record is, with its size in front. */
  recordStart = 0
  recordEnd = 0
  timestampDeltaMs = 0
  offsetDelta = 0
  attributes = 0
  /** -1: null. */
  keyStart = -1
  keyEnd = -1
  /** -1: null, a tombstone. */
  valueStart = -1
  valueEnd = -1
  /** Count and headers, up to the end of the record. */
  headersStart = 0
  #at = 0
  #end = 0
  #left = 0

  /** `count` records are in the window, and nothing else. */
  open(
    bytes: Buffer,
    { start, end }: { readonly start: number; readonly end: number },
    count: number,
  ): this {
    this.bytes = bytes
    this.#at = start
    this.#end = end
    this.#left = count
    return this
  }

  /** False behind the last; throws `RecordError` where there is no record. */
  next(): boolean {
    if (this.#left <= 0) {
      if (this.#at === this.#end) return false
      throw new RecordError('Incorrect declared batch size, records still remaining in file')
    }
    this.#left -= 1
    if (this.#at >= this.#end) {
      throw new RecordError('Incorrect declared batch size, premature EOF reached')
    }
    this.recordStart = this.#at
    const blockEnd = this.#end
    const size = this.#varint(blockEnd)
    const start = this.#at
    if (size < 0 || size > blockEnd - start) {
      const left = blockEnd - start
      throw new RecordError(`Invalid record size: expected ${size} bytes, and ${left} are left`)
    }
    const end = start + size
    this.recordEnd = end
    this.#body(end)
    if (this.#at !== end) {
      const read = this.#at - start
      throw new RecordError(
        `Invalid record size: expected to read ${size} bytes in record payload, but instead read ${read}`,
      )
    }
    return true
  }

  #body(end: number): void {
    if (this.#at >= end) throw structure()
    this.attributes = this.bytes[this.#at++]!
    this.timestampDeltaMs = this.#varlong(end)
    this.offsetDelta = this.#varint(end)
    const keySize = this.#varint(end)
    this.keyStart = keySize < 0 ? -1 : this.#at
    this.keyEnd = this.#skip(keySize, end)
    const valueSize = this.#varint(end)
    this.valueStart = valueSize < 0 ? -1 : this.#at
    this.valueEnd = this.#skip(valueSize, end)
    this.headersStart = this.#at
    const count = this.#varint(end)
    if (count < 0) throw new RecordError(`Found invalid number of record headers ${count}`)
    // A header takes two octets or more.
    if (count * 2 > end - this.#at) {
      throw new RecordError(
        `Found invalid number of record headers. ${count} is larger than the remaining size of the buffer`,
      )
    }
    for (let index = 0; index < count; index += 1) {
      const size = this.#varint(end)
      if (size < 0) throw new RecordError(`Invalid negative header key size ${size}`)
      this.#skip(size, end)
      this.#skip(this.#varint(end), end)
    }
  }

  /** Copies of the headers of the present record, in their order. */
  headers(): RecordHeader[] {
    return readRecordHeaders(this.bytes, this.headersStart, this.recordEnd)
  }

  /** Passes over `size` octets; returns the first behind them, or -1 for a negative size. */
  #skip(size: number, end: number): number {
    if (size < 0) return -1
    if (size > end - this.#at) throw structure()
    this.#at += size
    return this.#at
  }

  /** Zigzag, 32 bits. */
  #varint(end: number): number {
    const { bytes } = this
    let raw = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (this.#at >= end) throw structure()
      const octet = bytes[this.#at++]!
      raw |= (octet & 0x7f) << shift
      if (octet < 0x80) return (raw >>> 1) ^ -(raw & 1)
    }
    throw structure()
  }

  /** Zigzag, 64 bits; beyond 2^53 only about right, and no such time is ever allowed. */
  #varlong(end: number): number {
    const { bytes } = this
    let raw = 0
    let scale = 1
    let isNegative = false
    for (let count = 0; count < 10; count += 1) {
      if (this.#at >= end) throw structure()
      const octet = bytes[this.#at++]!
      if (count === 0) isNegative = (octet & 1) !== 0
      raw += (octet & 0x7f) * scale
      if (octet < 0x80) return isNegative ? -(raw + 1) / 2 : raw / 2
      scale *= 128
    }
    throw structure()
  }
}

function structure(): RecordError {
  return new RecordError('Found invalid record structure')
}

/** As `KafkaReader.int64`: the nearest safe integer. */
function readInt64(bytes: Buffer, at: number): number {
  const value = bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4)
  if (value > Number.MAX_SAFE_INTEGER) return Number.MAX_SAFE_INTEGER
  return Math.max(value, Number.MIN_SAFE_INTEGER)
}

function writeInt64(bytes: Buffer, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  bytes.writeInt32BE(high, at)
  bytes.writeUInt32BE(value - high * 0x1_0000_0000, at + 4)
}
