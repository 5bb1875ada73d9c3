/**
 * Field tables and arrays on the wire (section 4.2.5.5), with RabbitMQ's type letters:
 *
 *     table  = size (uint32, octets) *entry          array = size (uint32, octets) *value
 *     entry  = key length (uint8) key value          value = type letter (uint8) octets
 */
import { exact, fieldTypeName, isFieldArray, isFieldTable } from './field-value.ts'
import type { FieldTable, FieldValue, TypedFieldValue } from './field-value.ts'
import { AmqpFrameError } from './frame-error.ts'
import { FIELD_DEPTH_MAX, FIELD_TABLE_BYTES_MAX, SHORT_STRING_BYTES_MAX } from './limits.ts'

/** How much of a stranger's table is taken. */
export interface FieldLimits {
  /** Tables and arrays inside one another, the outermost counts as 1. Default 32. */
  readonly depthMax?: number
  /** Octets of the whole table. Default 1 MiB. */
  readonly bytesMax?: number
}

const LETTERS = {
  void: 0x56,
  bool: 0x74,
  byte: 0x62,
  unsignedbyte: 0x42,
  short: 0x73,
  unsignedshort: 0x75,
  signedint: 0x49,
  unsignedint: 0x69,
  long: 0x6c,
  longL: 0x4c,
  float: 0x66,
  double: 0x64,
  decimal: 0x44,
  longstr: 0x53,
  array: 0x41,
  timestamp: 0x54,
  table: 0x46,
  binary: 0x78,
} as const

const UNKNOWN = -1
const COUNTED = -2
const NESTED = -3

/** By type letter: the octets of a value, or how to find out. */
const VALUE_BYTES = new Int8Array(256).fill(UNKNOWN)
for (const type of ['bool', 'byte', 'unsignedbyte'] as const) VALUE_BYTES[LETTERS[type]] = 1
for (const type of ['short', 'unsignedshort'] as const) VALUE_BYTES[LETTERS[type]] = 2
for (const type of ['signedint', 'unsignedint', 'float'] as const) VALUE_BYTES[LETTERS[type]] = 4
for (const type of ['long', 'longL', 'double', 'timestamp'] as const) {
  VALUE_BYTES[LETTERS[type]] = 8
}
VALUE_BYTES[LETTERS.void] = 0
VALUE_BYTES[LETTERS.decimal] = 5
VALUE_BYTES[LETTERS.longstr] = COUNTED
VALUE_BYTES[LETTERS.binary] = COUNTED
VALUE_BYTES[LETTERS.table] = NESTED
VALUE_BYTES[LETTERS.array] = NESTED

/**
 * Decodes the table that fills `[start, end)`, its size first. Nothing of `bytes` is kept.
 *
 * Throws `AmqpFrameError` SYNTAX_ERROR for octets that are no table or exceed `limits`; the whole
 * table is checked before the first value is made.
 */
export function decodeFieldTable(
  bytes: Buffer,
  start = 0,
  end: number = bytes.length,
  limits: FieldLimits = {},
): FieldTable {
  const content = fieldTableEnd(bytes, start, end)
  if (content !== end)
    throw syntax(`a table of ${content - start} octets, ${end - start} are there`)
  return decodeFieldTableContent(bytes, start + 4, end, limits)
}

/** As `decodeFieldTable`, for entries without a size in front (the response of AMQPLAIN). */
export function decodeFieldTableContent(
  bytes: Buffer,
  start = 0,
  end: number = bytes.length,
  limits: FieldLimits = {},
): FieldTable {
  const bytesMax = limits.bytesMax ?? FIELD_TABLE_BYTES_MAX
  if (end - start > bytesMax) {
    throw syntax(`a table of ${end - start} octets, the limit is ${bytesMax}`)
  }
  checkFieldTable(bytes, start, end, limits.depthMax)
  return new CheckedReader(bytes, start).table(end)
}

/** Encodes a table with its size in front. Throws `RangeError` for a value its type can't hold. */
export function encodeFieldTable(table: FieldTable): Buffer {
  const out = Buffer.allocUnsafe(fieldTableBytes(table))
  writeFieldTable(out, 0, table)
  return out
}

/** Octets of the encoded table, its size field included. */
export function fieldTableBytes(table: FieldTable): number {
  let bytes = 4
  for (const [key, value] of table) bytes += 1 + Buffer.byteLength(key) + fieldValueBytes(value)
  return bytes
}

/** Octets of an encoded value, its type letter included. */
export function fieldValueBytes(value: FieldValue): number {
  if (typeof value === 'string') return 5 + Buffer.byteLength(value)
  if (value instanceof Uint8Array) return 5 + value.length
  if (isFieldTable(value)) return 1 + fieldTableBytes(value)
  if (isFieldArray(value)) return value.reduce<number>((sum, one) => sum + fieldValueBytes(one), 5)
  const type = fieldTypeName(value)
  if (type === 'longstr') return 5 + (value as { readonly value: Uint8Array }).value.length
  return 1 + VALUE_BYTES[LETTERS[type]]!
}

/** Writes the table at `at` and returns the index behind it; `out` must have the room. */
export function writeFieldTable(out: Buffer, at: number, table: FieldTable): number {
  let next = at + 4
  for (const [key, value] of table) next = writeFieldEntry(out, next, key, value)
  out.writeUInt32BE(next - at - 4, at)
  return next
}

/** Writes one entry of a table, key and value, and returns the index behind it. */
export function writeFieldEntry(out: Buffer, at: number, key: string, value: FieldValue): number {
  const size = Buffer.byteLength(key)
  if (size > SHORT_STRING_BYTES_MAX) {
    throw new RangeError(`a table key of ${size} octets, the limit is ${SHORT_STRING_BYTES_MAX}`)
  }
  out[at] = size
  out.write(key, at + 1, 'utf8')
  return writeFieldValue(out, at + 1 + size, value)
}

function writeFieldValue(out: Buffer, at: number, value: FieldValue): number {
  const type = fieldTypeName(value)
  out[at] = LETTERS[type]
  const next = at + 1
  if (value === null) return next
  if (isFieldTable(value)) return writeFieldTable(out, next, value)
  if (isFieldArray(value)) {
    let end = next + 4
    for (const one of value) end = writeFieldValue(out, end, one)
    out.writeUInt32BE(end - next - 4, next)
    return end
  }
  if (value instanceof Uint8Array) return writeOctets(out, next, value)
  if (typeof value === 'object') return writeTypedValue(out, next, value)
  if (typeof value === 'boolean') return out.writeUInt8(value ? 1 : 0, next)
  if (typeof value === 'string') {
    out.writeUInt32BE(Buffer.byteLength(value), next)
    return next + 4 + out.write(value, next + 4, 'utf8')
  }
  if (type === 'signedint') return out.writeInt32BE(value, next)
  if (type === 'double') return out.writeDoubleBE(value, next)
  return out.writeBigInt64BE(BigInt(value), next)
}

function writeTypedValue(out: Buffer, at: number, typed: TypedFieldValue): number {
  switch (typed.type) {
    case 'byte':
      return out.writeInt8(typed.value, at)
    case 'unsignedbyte':
      return out.writeUInt8(typed.value, at)
    case 'short':
      return out.writeInt16BE(typed.value, at)
    case 'unsignedshort':
      return out.writeUInt16BE(typed.value, at)
    case 'unsignedint':
      return out.writeUInt32BE(typed.value, at)
    case 'float':
      return out.writeFloatBE(typed.value, at)
    case 'double':
      return out.writeDoubleBE(typed.value, at)
    case 'long':
    case 'longL':
      return out.writeBigInt64BE(BigInt(typed.value), at)
    case 'timestamp':
      return out.writeBigUInt64BE(BigInt(typed.value), at)
    case 'decimal':
      return out.writeInt32BE(typed.value, out.writeUInt8(typed.scale, at))
    case 'longstr':
      return writeOctets(out, at, typed.value)
  }
}

function writeOctets(out: Buffer, at: number, octets: Uint8Array): number {
  out.writeUInt32BE(octets.length, at)
  out.set(octets, at + 4)
  return at + 4 + octets.length
}

/** The index behind the table whose size stands at `start`; it is checked to lie within `end`. */
export function fieldTableEnd(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 4) throw syntax(`a table's size needs 4 octets, ${end - start} are left`)
  const size = readSize(bytes, start)
  if (size > end - start - 4) {
    throw syntax(`a table of ${size} octets, ${end - start - 4} are left`)
  }
  return start + 4 + size
}

/**
 * Checks that `[start, end)` holds whole entries of known types and bounded depth.
 *
 * It runs on each publish that carries headers, so it makes no value and no copy.
 */
export function checkFieldTable(
  bytes: Uint8Array,
  start: number,
  end: number,
  depthMax: number = FIELD_DEPTH_MAX,
): void {
  if (depthMax <= 0) throw syntax('tables and arrays are nested too deep')
  let at = start
  while (at < end) {
    at += 1 + bytes[at]!
    at = skipFieldValue(bytes, at, end, depthMax)
  }
}

/** The index behind the value whose type letter stands at `at`; its inside is checked as well. */
export function skipFieldValue(
  bytes: Uint8Array,
  at: number,
  end: number,
  depthMax: number = FIELD_DEPTH_MAX,
): number {
  if (at >= end) throw syntax('a table entry ends before its value')
  const letter = bytes[at]!
  const fixed = VALUE_BYTES[letter]!
  if (fixed >= 0) {
    if (fixed > end - at - 1) throw syntax(`a value of ${fixed} octets, ${end - at - 1} are left`)
    return at + 1 + fixed
  }
  if (fixed === UNKNOWN) throw syntax(`a value of the unknown type ${letter}`)
  const left = end - at - 5
  const size = left < 0 ? 0 : readSize(bytes, at + 1)
  if (left < 0 || size > left) {
    throw syntax(`a counted value of ${size} octets, ${Math.max(left, 0)} are left`)
  }
  const contentEnd = at + 5 + size
  if (letter === LETTERS.table) checkFieldTable(bytes, at + 5, contentEnd, depthMax - 1)
  if (letter === LETTERS.array) checkArray(bytes, at + 5, contentEnd, depthMax - 1)
  return contentEnd
}

function checkArray(bytes: Uint8Array, start: number, end: number, depthMax: number): void {
  if (depthMax <= 0) throw syntax('tables and arrays are nested too deep')
  let at = start
  while (at < end) at = skipFieldValue(bytes, at, end, depthMax)
}

/**
 * The index of the type letter of the first entry called `key`, or -1.
 *
 * `[start, end)` are the entries of a table that `checkFieldTable` has passed.
 */
export function findField(bytes: Buffer, start: number, end: number, key: string): number {
  const size = Buffer.byteLength(key)
  let at = start
  while (at < end) {
    const keyBytes = bytes[at]!
    const value = at + 1 + keyBytes
    if (keyBytes === size && keyMatches(bytes, at + 1, size, key)) return value
    at = skipFieldValue(bytes, value, end)
  }
  return -1
}

/** HOT: whether some key starts with `prefix`, which is ASCII. */
export function hasFieldLike(bytes: Buffer, start: number, end: number, prefix: string): boolean {
  const size = prefix.length
  for (let at = start; at < end;) {
    const keyBytes = bytes[at]!
    if (keyBytes >= size && keyMatches(bytes, at + 1, size, prefix)) return true
    at = skipFieldValue(bytes, at + 1 + keyBytes, end)
  }
  return false
}

/** Decodes the value whose type letter stands at `at`, inside a table that has been checked. */
export function decodeCheckedValue(bytes: Buffer, at: number): FieldValue {
  return new CheckedReader(bytes, at).value()
}

function keyMatches(bytes: Buffer, at: number, size: number, key: string): boolean {
  if (size !== key.length) return bytes.toString('utf8', at, at + size) === key
  for (let i = 0; i < size; i += 1) if (bytes[at + i] !== key.charCodeAt(i)) return false
  return true
}

function readSize(bytes: Uint8Array, at: number): number {
  const size = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return size >>> 0
}

function syntax(message: string): AmqpFrameError {
  return new AmqpFrameError('SYNTAX_ERROR', message)
}

/** Makes values of octets that have been checked whole: it trusts every size it meets. */
class CheckedReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  table(end: number): FieldTable {
    const table = new Map<string, FieldValue>()
    while (this.#at < end) {
      const size = this.#skip(1)
      const keyBytes = this.#bytes[size]!
      const keyAt = this.#skip(keyBytes)
      const key = this.#bytes.toString('utf8', keyAt, keyAt + keyBytes)
      const value = this.value()
      if (!table.has(key)) table.set(key, value)
    }
    return table
  }

  value(): FieldValue {
    const bytes = this.#bytes
    const letter = bytes[this.#skip(1)]!
    switch (letter) {
      case LETTERS.void:
        return null
      case LETTERS.bool:
        return bytes[this.#skip(1)] !== 0
      case LETTERS.signedint:
        return bytes.readInt32BE(this.#skip(4))
      case LETTERS.longstr:
        return textOrOctets(this.#octets())
      case LETTERS.binary:
        return Uint8Array.from(this.#octets())
      case LETTERS.table:
        return this.table(this.#nestedEnd())
      case LETTERS.array:
        return this.#array(this.#nestedEnd())
      default:
        return this.#typed(letter)
    }
  }

  #typed(letter: number): TypedFieldValue {
    const bytes = this.#bytes
    switch (letter) {
      case LETTERS.byte:
        return { type: 'byte', value: bytes.readInt8(this.#skip(1)) }
      case LETTERS.unsignedbyte:
        return { type: 'unsignedbyte', value: bytes.readUInt8(this.#skip(1)) }
      case LETTERS.short:
        return { type: 'short', value: bytes.readInt16BE(this.#skip(2)) }
      case LETTERS.unsignedshort:
        return { type: 'unsignedshort', value: bytes.readUInt16BE(this.#skip(2)) }
      case LETTERS.unsignedint:
        return { type: 'unsignedint', value: bytes.readUInt32BE(this.#skip(4)) }
      case LETTERS.float:
        return { type: 'float', value: bytes.readFloatBE(this.#skip(4)) }
      case LETTERS.double:
        return { type: 'double', value: bytes.readDoubleBE(this.#skip(8)) }
      case LETTERS.long:
        return { type: 'long', value: exact(bytes.readBigInt64BE(this.#skip(8))) }
      case LETTERS.longL:
        return { type: 'longL', value: exact(bytes.readBigInt64BE(this.#skip(8))) }
      case LETTERS.timestamp:
        return { type: 'timestamp', value: exact(bytes.readBigUInt64BE(this.#skip(8))) }
      case LETTERS.decimal:
        return {
          type: 'decimal',
          scale: bytes.readUInt8(this.#skip(1)),
          value: bytes.readInt32BE(this.#skip(4)),
        }
      default:
        throw syntax(`a value of the unknown type ${letter}`)
    }
  }

  #array(end: number): FieldValue[] {
    const values: FieldValue[] = []
    while (this.#at < end) values.push(this.value())
    return values
  }

  #octets(): Buffer {
    const size = readSize(this.#bytes, this.#skip(4))
    const at = this.#skip(size)
    return this.#bytes.subarray(at, at + size)
  }

  #nestedEnd(): number {
    const size = readSize(this.#bytes, this.#skip(4))
    return this.#at + size
  }

  #skip(size: number): number {
    const at = this.#at
    this.#at = at + size
    return at
  }
}

function textOrOctets(octets: Buffer): FieldValue {
  const text = octets.toString('utf8')
  // Only octets that were no UTF-8 (or spelt the mark itself) leave the replacement character.
  if (!text.includes('\ufffd') || Buffer.from(text).equals(octets)) return text
  return { type: 'longstr', value: Uint8Array.from(octets) }
}
