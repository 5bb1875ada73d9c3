import { ELEMENTS_MAX } from './limits.ts'
import { KafkaMessageError } from './message-error.ts'
import { UUID_BYTES, ZERO_UUID } from './uuid.ts'

/**
 * Reads the fields of one message from a window of bytes it does not own.
 *
 * Every read checks the end of the window, and every count is compared with what the window can
 * still hold before anything is made for it. `flexible` says which of the protocol's two dialects
 * the message speaks (KIP-482); the generated readers set it. One reader serves a connection:
 * `open` sets it on the next message.
 */
export class KafkaReader {
  bytes: Buffer = NOTHING
  at = 0
  end = 0
  /** Strings, bytes and arrays have compact lengths, structs end in tagged fields. */
  flexible = false
  #elementsLeft = 0

  open(bytes: Buffer, at: number, end: number): this {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.flexible = false
    this.#elementsLeft = ELEMENTS_MAX
    return this
  }

  get left(): number {
    return this.end - this.at
  }

  /** Octets behind the last field are a fault. */
  finish(): void {
    if (this.at !== this.end) {
      throw new KafkaMessageError(`a message with ${this.left} octets behind its last field`)
    }
  }

  bool(): boolean {
    return this.bytes[this.#take(1)]! !== 0
  }

  int8(): number {
    return (this.bytes[this.#take(1)]! << 24) >> 24
  }

  int16(): number {
    const at = this.#take(2)
    return ((this.bytes[at]! << 24) >> 16) | this.bytes[at + 1]!
  }

  uint16(): number {
    const at = this.#take(2)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  int32(): number {
    const { bytes } = this
    const at = this.#take(4)
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  /** A value no safe integer can hold becomes the nearest that is one. */
  int64(): number {
    const high = this.int32()
    const low = this.int32() >>> 0
    if (high >= 0x20_0000) return Number.MAX_SAFE_INTEGER
    if (high < -0x20_0000) return Number.MIN_SAFE_INTEGER
    return Math.max(high * 0x1_0000_0000 + low, Number.MIN_SAFE_INTEGER)
  }

  float64(): number {
    return this.bytes.readDoubleBE(this.#take(8))
  }

  /** 22 characters of base64url, as Kafka prints it. */
  uuid(): string {
    const { bytes } = this
    const at = this.#take(UUID_BYTES)
    let all = 0
    for (let index = at; index < at + UUID_BYTES; index += 1) all |= bytes[index]!
    return all === 0 ? ZERO_UUID : bytes.toString('base64url', at, at + UUID_BYTES)
  }

  /** An unsigned varint of 32 bits: seven bits an octet, lowest first. */
  uvarint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.bytes[this.#take(1)]!
      value |= (octet & 0x7f) << shift
      if (octet < 0x80) return value
    }
    const last = this.bytes[this.#take(1)]!
    if (last > 0x0f) throw new KafkaMessageError('a varint of more than 32 bits')
    return (value | (last << 28)) >>> 0
  }

  string(): string {
    return this.nullableString() ?? wasNull('string')
  }

  nullableString(): string | null {
    const size = this.flexible ? this.uvarint() - 1 : this.int16()
    if (size === -1) return null
    if (size === 0) return ''
    const at = this.#take(size)
    return this.bytes.toString('utf8', at, at + size)
  }

  /** A copy: who keeps it may outlive the window. */
  byteString(): Buffer {
    return this.nullableByteString() ?? wasNull('byte string')
  }

  nullableByteString(): Buffer | null {
    const view = this.records()
    return view === null ? null : Buffer.from(view)
  }

  /** Record batches: a view of the window, not a copy. */
  records(): Buffer | null {
    const size = this.flexible ? this.uvarint() - 1 : this.int32()
    if (size === -1) return null
    const at = this.#take(size)
    return this.bytes.subarray(at, at + size)
  }

  /**
   * An array of structs, each of which takes `sizeMin` octets or more: what the window cannot hold
   * is refused before the first is made.
   */
  array<T>(version: number, sizeMin: number, element: ElementReader<T>): T[] {
    return this.nullableArray(version, sizeMin, element) ?? wasNull('array')
  }

  nullableArray<T>(version: number, sizeMin: number, element: ElementReader<T>): T[] | null {
    const count = this.#count(sizeMin)
    if (count === -1) return null
    const elements: T[] = []
    for (let index = 0; index < count; index += 1) elements.push(element(this, version))
    return elements
  }

  /** A struct that may be absent: one octet says so. */
  nullableStruct<T>(version: number, struct: ElementReader<T>): T | null {
    return this.int8() < 0 ? null : struct(this, version)
  }

  /** How many tagged fields end a struct; none unless the message is flexible. */
  tagCount(): number {
    return this.flexible ? this.uvarint() : 0
  }

  /** The tag of the next tagged field; they ascend, so `before` is the one in front of it or -1. */
  tag(before: number): number {
    const tag = this.uvarint()
    if (tag <= before) throw new KafkaMessageError(`tagged field ${tag} behind ${before}`)
    return tag
  }

  /** Reads the size of a tagged field; returns where it ends. */
  tagEnd(): number {
    const size = this.uvarint()
    if (size > this.left) throw tooShort()
    return this.at + size
  }

  /** A tagged field must take all it said it takes. */
  expectAt(end: number): void {
    if (this.at !== end) throw new KafkaMessageError('a tagged field of another size than it says')
  }

  /** Passes over tagged fields that nobody here knows. */
  skipTags(): void {
    let tag = -1
    for (let left = this.tagCount(); left > 0; left -= 1) {
      tag = this.tag(tag)
      this.at = this.tagEnd()
    }
  }

  /** Array counts: int32, or in flexible messages a uvarint of one more; -1 is null. */
  #count(sizeMin: number): number {
    const count = this.flexible ? this.uvarint() - 1 : this.int32()
    if (count < -1) throw new KafkaMessageError(`an array of ${count} elements`)
    if (count * sizeMin > this.left) throw tooShort()
    this.#elementsLeft -= count
    if (this.#elementsLeft < 0) {
      throw new KafkaMessageError(`a request of more than ${ELEMENTS_MAX} elements`)
    }
    return count
  }

  #take(size: number): number {
    const { at } = this
    if (size < 0 || size > this.end - at) throw tooShort()
    this.at = at + size
    return at
  }
}

/** Reads one element; a function of a module, so that reading an array makes no closure. */
export type ElementReader<T> = (reader: KafkaReader, version: number) => T

export function readInt8(reader: KafkaReader): number {
  return reader.int8()
}

export function readInt32(reader: KafkaReader): number {
  return reader.int32()
}

export function readInt64(reader: KafkaReader): number {
  return reader.int64()
}

export function readString(reader: KafkaReader): string {
  return reader.string()
}

const NOTHING = Buffer.alloc(0)

function tooShort(): KafkaMessageError {
  return new KafkaMessageError('a field that goes beyond the end of its message')
}

function wasNull(what: string): never {
  throw new KafkaMessageError(`a ${what} that is null and must not be`)
}
