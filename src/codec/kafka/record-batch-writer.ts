import {
  BATCH_FIELD,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  CODEC,
  CONTROL,
  TRANSACTIONAL,
} from './record-batch.ts'
import type { Crc32c } from './record-batch.ts'

/** What is the same for all records of a batch. */
export interface BatchStart {
  readonly baseOffset: number
  readonly baseTimestampMs: number
  /** Without a codec. */
  readonly attributes?: number
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
}

/** A record to be written. */
export interface RecordInput {
  readonly offsetDelta: number
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeaderInput[]
}

export interface RecordHeaderInput {
  readonly key: string
  readonly value: Uint8Array | null
}

/** How the block of records is compressed. */
export interface Packing {
  readonly codec: number
  readonly compress: (block: Buffer) => Uint8Array
}

/**
 * Writes one record batch after the other: `start`, any number of `add` or `addRaw`, `finish`. The
 * buffer is its own and grows; what `finish` returns is a copy.
 */
export class RecordBatchWriter {
  #buffer: Buffer
  #at = 0
  #start: BatchStart = { baseOffset: 0, baseTimestampMs: 0 }
  #count = 0
  #lastOffsetDelta = 0
  #maxTimestampMs = -1

  constructor(capacity = 1024) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  get count(): number {
    return this.#count
  }

  /** Octets so far, uncompressed. */
  get size(): number {
    return this.#at
  }

  start(start: BatchStart): void {
    this.#start = start
    this.#at = BATCH_HEADER_BYTES
    this.#room(0)
    this.#count = 0
    this.#lastOffsetDelta = 0
    this.#maxTimestampMs = -1
  }

  add(record: RecordInput): void {
    const delta = record.timestampMs - this.#start.baseTimestampMs
    const size = bodySize(record, delta)
    this.#room(size + VARINT_BYTES_MAX)
    this.#varint(size)
    this.#buffer[this.#at++] = 0
    this.#varint(delta)
    this.#varint(record.offsetDelta)
    this.#octets(record.key)
    this.#octets(record.value)
    this.#varint(record.headers.length)
    for (const { key, value } of record.headers) {
      const keySize = Buffer.byteLength(key)
      this.#varint(keySize)
      this.#at += this.#buffer.write(key, this.#at, keySize, 'utf8')
      this.#octets(value)
    }
    this.#note(record.offsetDelta, record.timestampMs)
  }

  /** A record as it stood in a batch with the same base timestamp, with its size in front. */
  addRaw(
    bytes: Uint8Array,
    place: { readonly offsetDelta: number; readonly timestampMs: number },
  ): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
    this.#note(place.offsetDelta, place.timestampMs)
  }

  /**
   * `lastOffsetDelta` is that of the last record, unless the batch takes more offsets than it has
   * records left.
   */
  finish(
    crc32c: Crc32c,
    given: { readonly packing?: Packing; readonly lastOffsetDelta?: number } = {},
  ): Buffer {
    const { packing, lastOffsetDelta = this.#lastOffsetDelta } = given
    const block = this.#buffer.subarray(BATCH_HEADER_BYTES, this.#at)
    const records = packing === undefined ? block : packing.compress(block)
    const batch = Buffer.allocUnsafe(BATCH_HEADER_BYTES + records.length)
    const { baseOffset, baseTimestampMs } = this.#start
    const { attributes = 0, producerId = -1, producerEpoch = -1, baseSequence = -1 } = this.#start
    batch.writeBigInt64BE(BigInt(baseOffset), BATCH_FIELD.BASE_OFFSET)
    batch.writeInt32BE(batch.length - BATCH_PREFIX_BYTES, BATCH_FIELD.BATCH_LENGTH)
    batch.writeInt32BE(0, BATCH_FIELD.LEADER_EPOCH)
    batch.writeInt8(2, BATCH_FIELD.MAGIC)
    batch.writeInt16BE(attributes | (packing?.codec ?? CODEC.NONE), BATCH_FIELD.ATTRIBUTES)
    batch.writeInt32BE(lastOffsetDelta, BATCH_FIELD.LAST_OFFSET_DELTA)
    batch.writeBigInt64BE(BigInt(baseTimestampMs), BATCH_FIELD.BASE_TIMESTAMP)
    batch.writeBigInt64BE(BigInt(this.#maxTimestampMs), BATCH_FIELD.MAX_TIMESTAMP)
    batch.writeBigInt64BE(BigInt(producerId), BATCH_FIELD.PRODUCER_ID)
    batch.writeInt16BE(producerEpoch, BATCH_FIELD.PRODUCER_EPOCH)
    batch.writeInt32BE(baseSequence, BATCH_FIELD.BASE_SEQUENCE)
    batch.writeInt32BE(this.#count, BATCH_FIELD.RECORD_COUNT)
    batch.set(records, BATCH_FIELD.RECORDS)
    batch.writeUInt32BE(crc32c(batch.subarray(BATCH_FIELD.ATTRIBUTES)), BATCH_FIELD.CRC)
    return batch
  }

  #note(offsetDelta: number, timestampMs: number): void {
    this.#count += 1
    this.#lastOffsetDelta = Math.max(this.#lastOffsetDelta, offsetDelta)
    this.#maxTimestampMs = Math.max(this.#maxTimestampMs, timestampMs)
  }

  #octets(value: Uint8Array | null): void {
    this.#varint(value === null ? -1 : value.length)
    if (value === null) return
    this.#buffer.set(value, this.#at)
    this.#at += value.length
  }

  /** Zigzag; room is there. */
  #varint(value: number): void {
    let rest = zigzag(value)
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#at++] = rest
  }

  #room(size: number): void {
    const needed = this.#at + size
    if (needed <= this.#buffer.length) return
    const wider = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, needed))
    this.#buffer.copy(wider, 0, 0, this.#at)
    this.#buffer = wider
  }
}

/**
 * A control batch: it ends a transaction of a producer in a partition and takes one offset.
 *
 *     key: version int16 0, type int16: 0 abort, 1 commit
 *     value: version int16 0, coordinator epoch int32
 */
export function encodeMarker(
  marker: {
    readonly producerId: number
    readonly producerEpoch: number
    readonly isCommit: boolean
    readonly timestampMs: number
  },
  crc32c: Crc32c,
): Buffer {
  const { producerId, producerEpoch, timestampMs } = marker
  const writer = new RecordBatchWriter(128)
  writer.start({
    baseOffset: 0,
    baseTimestampMs: timestampMs,
    attributes: TRANSACTIONAL | CONTROL,
    producerId,
    producerEpoch,
  })
  const key = Buffer.of(0, 0, 0, marker.isCommit ? 1 : 0)
  writer.add({ offsetDelta: 0, timestampMs, key, value: Buffer.alloc(6), headers: [] })
  return writer.finish(crc32c)
}

const VARINT_BYTES_MAX = 10

function bodySize(record: RecordInput, timestampDelta: number): number {
  let size = 1 + varintSize(timestampDelta) + varintSize(record.offsetDelta)
  size += octetsSize(record.key) + octetsSize(record.value) + varintSize(record.headers.length)
  for (const { key, value } of record.headers) {
    const keySize = Buffer.byteLength(key)
    size += varintSize(keySize) + keySize + octetsSize(value)
  }
  return size
}

function octetsSize(value: Uint8Array | null): number {
  return value === null ? 1 : varintSize(value.length) + value.length
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1
  return size
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value
}
