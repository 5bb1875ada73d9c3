/**
 * The payload of a content header frame (section 4.2.6.1):
 *
 *     class id (uint16) weight = 0 (uint16) body size (uint64) property flags (uint16) *property
 *
 * A flag's place is its property's place, from bit 15 down; a property that is absent takes no
 * octets. Bit 0 would announce more flags, which class basic never needs.
 */
import {
  checkFieldTable,
  decodeCheckedValue,
  decodeFieldTableContent,
  fieldTableBytes,
  fieldTableEnd,
  findField,
  hasFieldLike,
  writeFieldTable,
} from './field-table.ts'
import { exact } from './field-value.ts'
import type { FieldTable, FieldValue } from './field-value.ts'
import { AmqpFrameError } from './frame-error.ts'
import { SHORT_STRING_BYTES_MAX } from './limits.ts'
import { CLASS, PROPERTIES, PROPERTY } from './spec.gen.ts'
import type { BasicProperties, PropertyName } from './spec.gen.ts'

/** Octets in front of the first property. */
export const CONTENT_HEADER_FIXED_BYTES = 14

const BODY_SIZE_OFFSET = 4

const PROPERTY_COUNT = PROPERTIES.length
const FIRST_FLAG = 0x8000
/** Flags that stand for no property. */
const UNUSED_FLAGS = 0xffff & ~(0xffff << (16 - PROPERTY_COUNT))

const SHORT_TEXT = 0
const TABLE = 1
const OCTET = 2
const SECONDS = 3
const KINDS = Uint8Array.from(PROPERTIES, ({ type }) => {
  if (type === 'shortstr') return SHORT_TEXT
  if (type === 'table') return TABLE
  return type === 'octet' ? OCTET : SECONDS
})

/** The place of a property: a member of `PROPERTY`. */
export type PropertyPlace = (typeof PROPERTY)[keyof typeof PROPERTY]

/**
 * What a content header says, read where it lies.
 *
 * One object serves all headers of a connection: `read` walks the payload once, checks every
 * length in it (the headers table to its last value) and notes where the properties start. It
 * borrows the payload: nothing may be asked of it once the payload's memory is used again.
 */
export class ContentHeaderView {
  /** Octets of the body; a number above 2^53 is not exact, and far above any limit. */
  bodySize = 0
  flags = 0
  /** 1 transient, 2 persistent; 0 when the publisher gave none, which means transient. */
  deliveryMode = 0
  /** -1 when the publisher gave none. */
  priority = -1
  /** Where the entries of the headers table start and end; -1 when there is no table. */
  headersStart = -1
  headersEnd = -1
  #bytes: Buffer = EMPTY
  #end = 0
  /** By place: where the value starts; valid only where the flag is set. */
  readonly #starts = new Int32Array(PROPERTY_COUNT)

  /**
   * Throws `AmqpFrameError`: FRAME_ERROR for a payload that can't be one, UNEXPECTED_FRAME for a
   * header of another class, SYNTAX_ERROR for properties that are not well-formed to their last
   * octet (RabbitMQ fails there with 541, when it looks at them at all). After a throw the view
   * must not be asked.
   */
  read(bytes: Buffer, start: number, end: number): void {
    checkFixedPart(bytes, start, end)
    this.#bytes = bytes
    this.#end = end
    this.bodySize = readLong(bytes, start + 4) * 0x1_0000_0000 + readLong(bytes, start + 8)
    const flags = (bytes[start + 12]! << 8) | bytes[start + 13]!
    if ((flags & UNUSED_FLAGS) !== 0) throw syntax(`property flags ${flags} name no property`)
    this.flags = flags
    this.deliveryMode = 0
    this.priority = -1
    this.headersStart = -1
    this.headersEnd = -1
    const at = this.#walk(start + CONTENT_HEADER_FIXED_BYTES, end)
    if (at !== end) throw syntax(`${end - at} octets follow the last property`)
  }

  has(place: PropertyPlace): boolean {
    return (this.flags & (FIRST_FLAG >> place)) !== 0
  }

  /** A text property; null when it is absent or no text. */
  text(place: PropertyPlace): string | null {
    if (KINDS[place] !== SHORT_TEXT || !this.has(place)) return null
    return this.#bytes.toString('utf8', this.textStart(place), this.textEnd(place))
  }

  /** The index of the first octet of a text property, behind its length; -1 when absent. */
  textStart(place: PropertyPlace): number {
    return this.has(place) ? this.#starts[place]! + 1 : -1
  }

  /** The index behind a text property; -1 when absent. */
  textEnd(place: PropertyPlace): number {
    if (!this.has(place)) return -1
    const start = this.#starts[place]!
    return start + 1 + this.#bytes[start]!
  }

  /** Seconds since 1970; null when absent. */
  timestamp(): number | bigint | null {
    if (!this.has(PROPERTY.TIMESTAMP)) return null
    return exact(this.#bytes.readBigUInt64BE(this.#starts[PROPERTY.TIMESTAMP]!))
  }

  /** All headers; null when the publisher sent no table. */
  headers(): FieldTable | null {
    if (this.headersStart === -1) return null
    // The frame it came in has bounded it already.
    const limits = { bytesMax: Infinity }
    return decodeFieldTableContent(this.#bytes, this.headersStart, this.headersEnd, limits)
  }

  /** One header, without decoding the others; undefined when there is none of that key. */
  header(key: string): FieldValue | undefined {
    if (this.headersStart === -1) return undefined
    const at = findField(this.#bytes, this.headersStart, this.headersEnd, key)
    return at === -1 ? undefined : decodeCheckedValue(this.#bytes, at)
  }

  /** Whether the name of some header starts so. */
  hasHeaderLike(prefix: string): boolean {
    return hasFieldLike(this.#bytes, this.headersStart, this.headersEnd, prefix)
  }

  /** Where the octets of a property start (a text's length, a table's size); -1 when absent. */
  valueStart(place: PropertyPlace): number {
    return this.has(place) ? this.#starts[place]! : -1
  }

  /** The index behind the octets of a property; -1 when absent. */
  valueEnd(place: PropertyPlace): number {
    if (!this.has(place)) return -1
    if (place === PROPERTY.HEADERS) return this.headersEnd
    return valueEnd(this.#bytes, KINDS[place]!, this.#starts[place]!, this.#end)
  }

  #walk(first: number, end: number): number {
    const bytes = this.#bytes
    const starts = this.#starts
    let at = first
    // The set flag furthest left is the next property: nothing is done for absent ones.
    for (let rest = this.flags << 16; rest !== 0;) {
      const place = Math.clz32(rest)
      rest &= ~(0x8000_0000 >>> place)
      starts[place] = at
      const next = valueEnd(bytes, KINDS[place]!, at, end)
      if (place === PROPERTY.DELIVERY_MODE) this.deliveryMode = bytes[at]!
      else if (place === PROPERTY.PRIORITY) this.priority = bytes[at]!
      else if (place === PROPERTY.HEADERS) {
        checkFieldTable(bytes, at + 4, next)
        this.headersStart = at + 4
        this.headersEnd = next
      }
      at = next
    }
    return at
  }
}

/** A content header taken apart. */
export interface ContentHeader {
  readonly bodySize: number
  readonly properties: BasicProperties
}

/** Decodes a whole payload into values of its own; throws as `ContentHeaderView.read` does. */
export function decodeContentHeader(
  bytes: Buffer,
  start = 0,
  end: number = bytes.length,
): ContentHeader {
  const view = new ContentHeaderView()
  view.read(bytes, start, end)
  const properties: Record<string, unknown> = {}
  for (const [index, { name, type }] of PROPERTIES.entries()) {
    const place = index as PropertyPlace
    if (!view.has(place)) continue
    if (type === 'shortstr') properties[name] = view.text(place)
    else if (type === 'table') properties[name] = view.headers()
    else if (type === 'octet') properties[name] = bytes[view.valueStart(place)]
    else properties[name] = view.timestamp()
  }
  return { bodySize: view.bodySize, properties: properties as BasicProperties }
}

/** Encodes a payload, without a frame around it; throws `RangeError` for a value that can't be. */
export function encodeContentHeader(bodySize: number, properties: BasicProperties = {}): Buffer {
  let flags = 0
  let bytes = CONTENT_HEADER_FIXED_BYTES
  for (const [place, { name }] of PROPERTIES.entries()) {
    if (properties[name] === undefined) continue
    flags |= FIRST_FLAG >> place
    bytes += propertyBytes(properties, name)
  }
  const out = Buffer.allocUnsafe(bytes)
  writeContentHeaderStart(out, bodySize, flags)
  let at = CONTENT_HEADER_FIXED_BYTES
  for (const { name } of PROPERTIES) at = writeProperty(out, at, properties, name)
  return out
}

/** Writes the fixed part of a payload at the front of `out`. */
export function writeContentHeaderStart(out: Buffer, bodySize: number, flags: number): void {
  out.writeUInt16BE(CLASS.BASIC, 0)
  out.writeUInt16BE(0, 2)
  out.writeBigUInt64BE(BigInt(bodySize), BODY_SIZE_OFFSET)
  out.writeUInt16BE(flags, 12)
}

/** Octets of one property's value; 0 when `properties` does not have it. */
export function propertyBytes(properties: BasicProperties, name: PropertyName): number {
  const value = properties[name]
  if (value === undefined) return 0
  if (typeof value === 'string') return 1 + Buffer.byteLength(value)
  if (typeof value === 'object') return fieldTableBytes(value)
  return name === 'timestamp' ? 8 : 1
}

/** Writes one property's value, if `properties` has it, and returns the index behind it. */
export function writeProperty(
  out: Buffer,
  at: number,
  properties: BasicProperties,
  name: PropertyName,
): number {
  const value = properties[name]
  if (value === undefined) return at
  if (typeof value === 'object') return writeFieldTable(out, at, value)
  if (typeof value === 'string') {
    const size = Buffer.byteLength(value)
    if (size > SHORT_STRING_BYTES_MAX) {
      throw new RangeError(`${name} has ${size} octets, the limit is ${SHORT_STRING_BYTES_MAX}`)
    }
    out[at] = size
    return at + 1 + out.write(value, at + 1, 'utf8')
  }
  if (name === 'timestamp') return out.writeBigUInt64BE(BigInt(value), at)
  return out.writeUInt8(Number(value), at)
}

const EMPTY = Buffer.alloc(0)

function checkFixedPart(bytes: Buffer, start: number, end: number): void {
  if (end - start < CONTENT_HEADER_FIXED_BYTES) {
    throw new AmqpFrameError('FRAME_ERROR', `a content header of ${end - start} octets`)
  }
  const classId = (bytes[start]! << 8) | bytes[start + 1]!
  if (classId !== CLASS.BASIC) {
    throw new AmqpFrameError('UNEXPECTED_FRAME', `a content header of class ${classId}`)
  }
  const weight = (bytes[start + 2]! << 8) | bytes[start + 3]!
  if (weight !== 0) {
    throw new AmqpFrameError('UNEXPECTED_FRAME', `a content header of weight ${weight}`)
  }
}

/** The index behind a property's value, checked against the end of the payload. */
function valueEnd(bytes: Buffer, kind: number, at: number, end: number): number {
  if (kind === TABLE) return fieldTableEnd(bytes, at, end)
  let size = 1
  if (kind === SECONDS) size = 8
  else if (kind === SHORT_TEXT && at < end) size = 1 + bytes[at]!
  if (size > end - at) throw syntax(`a property of ${size} octets, ${end - at} are left`)
  return at + size
}

function readLong(bytes: Buffer, at: number): number {
  const value = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  return value >>> 0
}

function syntax(message: string): AmqpFrameError {
  return new AmqpFrameError('SYNTAX_ERROR', message)
}
