import { UUID_BYTES, ZERO_UUID } from './uuid.ts'

/** Record batches to be sent: pieces of `size` octets together, copied in order. */
export interface RecordsValue {
  readonly size: number
  readonly chunks: readonly Uint8Array[]
}

export const NO_RECORDS: RecordsValue = { size: 0, chunks: [] }

/** Writes one element; a function of a module, so that writing an array makes no closure. */
export type ElementWriter<T> = (writer: KafkaWriter, version: number, value: T) => void

/** Where a writer gets larger buffers from, and leaves those that it outgrew. */
export interface WriterBuffers {
  /** A buffer of at least `bytes`. */
  take(bytes: number): Buffer
  give(buffer: Buffer): void
}

const UNPOOLED: WriterBuffers = { take: (bytes) => Buffer.allocUnsafe(bytes), give: () => {} }

const START_BYTES = 4096

/**
 * Writes messages one behind the other into a buffer that it owns and that grows.
 *
 * `start` begins anew, `bytes` is what was written since; it is valid until the next `start`.
 * `flexible` is as in `KafkaReader`.
 */
export class KafkaWriter {
  flexible = false
  readonly #buffers: WriterBuffers
  #buffer: Buffer
  #at = 0

  constructor(capacity: number = START_BYTES, buffers: WriterBuffers = UNPOOLED) {
    this.#buffers = buffers
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  start(): this {
    // One large answer must not keep its memory for good.
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffers.give(this.detach())
    this.#at = 0
    this.flexible = false
    return this
  }

  get size(): number {
    return this.#at
  }

  /** What was written; a view. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  /** The whole buffer, which begins with what was written; the writer goes on with another. */
  detach(): Buffer {
    const buffer = this.#buffer
    this.#buffer = Buffer.allocUnsafe(START_BYTES)
    this.#at = 0
    return buffer
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  int8(value: number): void {
    const at = this.#take(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    const at = this.#take(2)
    this.#buffer[at] = value >> 8
    this.#buffer[at + 1] = value
  }

  uint16(value: number): void {
    this.int16(value)
  }

  int32(value: number): void {
    this.setInt32(this.#take(4), value)
  }

  /** Writes over four octets at `at`, such as a size that is known only now. */
  setInt32(at: number, value: number): void {
    const buffer = this.#buffer
    buffer[at] = value >> 24
    buffer[at + 1] = value >> 16
    buffer[at + 2] = value >> 8
    buffer[at + 3] = value
  }

  int64(value: number): void {
    const high = Math.floor(value / 0x1_0000_0000)
    this.int32(high)
    this.int32(value - high * 0x1_0000_0000)
  }

  float64(value: number): void {
    const at = this.#take(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  /** 22 characters of base64url. */
  uuid(value: string): void {
    const at = this.#take(UUID_BYTES)
    if (value === ZERO_UUID) this.#buffer.fill(0, at, at + UUID_BYTES)
    else if (this.#buffer.write(value, at, UUID_BYTES, 'base64url') !== UUID_BYTES) {
      throw new RangeError(`'${value}' is no uuid in base64url`)
    }
  }

  uvarint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.int8((rest & 0x7f) | 0x80)
      rest >>>= 7
    }
    this.int8(rest)
  }

  string(value: string): void {
    const size = Buffer.byteLength(value)
    if (this.flexible) this.uvarint(size + 1)
    else this.int16(checkedSize(size))
    const at = this.#take(size)
    this.#buffer.write(value, at, size, 'utf8')
  }

  nullableString(value: string | null): void {
    if (value !== null) this.string(value)
    else if (this.flexible) this.uvarint(0)
    else this.int16(-1)
  }

  byteString(value: Uint8Array): void {
    this.#length(value.length)
    this.#copy(value)
  }

  nullableByteString(value: Uint8Array | null): void {
    if (value === null) this.#length(-1)
    else this.byteString(value)
  }

  records(value: RecordsValue): void {
    this.#length(value.size)
    this.#room(value.size)
    for (const chunk of value.chunks) this.#copy(chunk)
  }

  nullableRecords(value: RecordsValue | null): void {
    if (value === null) this.#length(-1)
    else this.records(value)
  }

  array<T>(version: number, values: readonly T[], element: ElementWriter<T>): void {
    this.#length(values.length)
    for (const value of values) element(this, version, value)
  }

  nullableArray<T>(version: number, values: readonly T[] | null, element: ElementWriter<T>): void {
    if (values === null) this.#length(-1)
    else this.array(version, values, element)
  }

  nullableStruct<T>(version: number, value: T | null, struct: ElementWriter<T>): void {
    this.int8(value === null ? -1 : 1)
    if (value !== null) struct(this, version, value)
  }

  /** How many tagged fields follow; nothing unless the message is flexible. */
  tagCount(count: number): void {
    if (this.flexible) this.uvarint(count)
  }

  /** Begins a tagged field; returns what `endTag` wants. */
  startTag(tag: number): number {
    this.uvarint(tag)
    // The size mostly takes one octet; `endTag` makes room for more.
    return this.#take(1) + 1
  }

  endTag(start: number): void {
    const size = this.#at - start
    let extra = 0
    for (let rest = size >>> 7; rest > 0; rest >>>= 7) extra += 1
    if (extra > 0) {
      this.#take(extra)
      this.#buffer.copyWithin(start + extra, start, start + size)
    }
    const end = this.#at
    this.#at = start - 1
    this.uvarint(size)
    this.#at = end
  }

  #length(size: number): void {
    if (this.flexible) this.uvarint(size + 1)
    else this.int32(size)
  }

  #copy(bytes: Uint8Array): void {
    const at = this.#take(bytes.length)
    this.#buffer.set(bytes, at)
  }

  #take(size: number): number {
    const at = this.#at
    if (at + size > this.#buffer.length) this.#room(size)
    this.#at = at + size
    return at
  }

  #room(size: number): void {
    const needed = this.#at + size
    if (needed <= this.#buffer.length) return
    const narrow = this.#buffer
    const wider = this.#buffers.take(Math.max(narrow.length * 2, needed))
    narrow.copy(wider, 0, 0, this.#at)
    this.#buffer = wider
    this.#buffers.give(narrow)
  }
}

export function writeInt32(writer: KafkaWriter, _version: number, value: number): void {
  writer.int32(value)
}

export function writeInt64(writer: KafkaWriter, _version: number, value: number): void {
  writer.int64(value)
}

export function writeString(writer: KafkaWriter, _version: number, value: string): void {
  writer.string(value)
}

/** A buffer that grew beyond this is let go with the next message. */
const KEPT_BYTES_MAX = 1024 * 1024

function checkedSize(size: number): number {
  if (size <= 0x7fff) return size
  throw new RangeError(`a string of ${size} octets, limit is 32767`)
}
