/**
 * Kafka's messages by their schemas, read while the test runs: writes and reads any message in any
 * version. It shares nothing with the generated codec but the schemas, so one proves the other.
 */
import assert from 'node:assert/strict'
import { includes, readMessage } from '../../tools/kafka-schemas.ts'
import type { Field, Message, Struct } from '../../tools/kafka-schemas.ts'

export type WireStruct = { readonly [field: string]: unknown }

export interface WireOptions {
  /** Adds tagged fields that nobody knows to every struct. */
  readonly unknownTags?: boolean
}

const UNKNOWN_TAG = 1_000

/** The body of a message, without a header. Fields that are not there get their empty value. */
export function encodeMessage(
  message: Message,
  version: number,
  value: WireStruct,
  options: WireOptions = {},
): Buffer {
  assert.ok(includes(message.valid, version), `${message.name} has no version ${version}`)
  return new Encoder(message, version, options).struct(message.structs[0]!, value)
}

/** The value of a body that takes all of `bytes`; fields absent in the version have their empty value. */
export function decodeMessage(message: Message, version: number, bytes: Buffer): WireStruct {
  const decoder = new Decoder(message, version, bytes)
  const value = decoder.struct(message.structs[0]!)
  assert.equal(decoder.at, bytes.length, `${message.name} has octets behind its end`)
  return value
}

/** A whole request: size, header, body. */
export function encodeRequest(
  name: string,
  given: {
    readonly version: number
    readonly correlationId?: number
    readonly clientId?: string | null
    readonly body?: WireStruct
  },
): Buffer {
  const message = readMessage(`${name}Request`)
  const { version, clientId = 'test' } = given
  const head = Buffer.alloc(8)
  head.writeInt16BE(message.apiKey!, 0)
  head.writeInt16BE(version, 2)
  head.writeInt32BE(given.correlationId ?? 0, 4)
  const client = clientId === null ? int16(-1) : sized(int16, Buffer.from(clientId))
  const tags = includes(message.flexible, version) ? [Buffer.of(0)] : []
  const body = encodeMessage(message, version, given.body ?? {})
  return sized(int32, Buffer.concat([head, client, ...tags, body]))
}

/** A response without its size: the correlation id and the value. */
export function decodeResponse(
  name: string,
  version: number,
  bytes: Buffer,
): { readonly correlationId: number; readonly value: WireStruct } {
  const message = readMessage(`${name}Response`)
  const hasTags = includes(message.flexible, version) && name !== 'ApiVersions'
  if (hasTags) assert.equal(bytes[4], 0, 'a response header without tagged fields')
  const body = bytes.subarray(hasTags ? 5 : 4)
  return { correlationId: bytes.readInt32BE(0), value: decodeMessage(message, version, body) }
}

/** What a field is when it is not there. */
export function emptyValue(message: Message, field: Field): unknown {
  const { fallback } = field
  if (fallback === 'null') return null
  if (field.isArray) return []
  if (field.isStruct) {
    const struct = structOf(message, field.type)
    return Object.fromEntries(fieldsOf(struct).map((one) => [one.name, emptyValue(message, one)]))
  }
  switch (field.type) {
    case 'string':
      return fallback ?? ''
    case 'bool':
      return fallback === 'true'
    case 'bytes':
      return Buffer.alloc(0)
    case 'records':
      return null
    case 'uuid':
      return Buffer.alloc(16).toString('base64url')
    default:
      return Math.min(Number(fallback ?? 0), Number.MAX_SAFE_INTEGER)
  }
}

/** The fields some version of the struct has. */
export function fieldsOf({ fields, valid }: Struct): readonly Field[] {
  return fields.filter(({ versions }) => versions.from <= valid.to && versions.to >= valid.from)
}

export function structOf(message: Message, name: string): Struct {
  const struct = message.structs.find((one) => one.name === name)
  assert.ok(struct, `${message.name} has no struct ${name}`)
  return struct
}

class Encoder {
  readonly #message: Message
  readonly #version: number
  readonly #flexible: boolean
  readonly #options: WireOptions

  constructor(message: Message, version: number, options: WireOptions) {
    this.#message = message
    this.#version = version
    this.#flexible = includes(message.flexible, version)
    this.#options = options
  }

  struct(struct: Struct, value: WireStruct): Buffer {
    const fields = fieldsOf(struct).filter((field) => includes(field.versions, this.#version))
    const given = (field: Field): unknown =>
      value[field.name] ?? (field.name in value ? null : emptyValue(this.#message, field))
    const parts = fields
      .filter((field) => field.tag === null)
      .map((field) => this.#field(field, given(field)))
    if (!this.#flexible) return Buffer.concat(parts)
    const tagged = fields
      .filter((field) => field.tag !== null && field.name in value)
      .toSorted((a, b) => a.tag! - b.tag!)
      .map((field) => [field.tag!, this.#field(field, given(field))] as const)
    if (this.#options.unknownTags === true) tagged.push([UNKNOWN_TAG, Buffer.alloc(200, 7)])
    return Buffer.concat([
      ...parts,
      uvarint(tagged.length),
      ...tagged.flatMap(([tag, bytes]) => [uvarint(tag), sized(uvarint, bytes)]),
    ])
  }

  #field(field: Field, value: unknown): Buffer {
    if (field.isArray) {
      if (value === null) return this.#flexible ? uvarint(0) : int32(-1)
      const elements = value as readonly unknown[]
      const count = this.#flexible ? uvarint(elements.length + 1) : int32(elements.length)
      return Buffer.concat([count, ...elements.map((element) => this.#one(field, element))])
    }
    if (field.isStruct && field.nullable !== null) {
      if (value === null) return Buffer.of(0xff)
      return Buffer.concat([Buffer.of(1), this.#one(field, value)])
    }
    return this.#one(field, value)
  }

  #one(field: Field, value: unknown): Buffer {
    if (field.isStruct) {
      return this.struct(structOf(this.#message, field.type), value as WireStruct)
    }
    switch (field.type) {
      case 'string':
        return this.#sized(int16, value === null ? null : Buffer.from(value as string))
      case 'bytes':
      case 'records':
        return this.#sized(int32, value as Buffer | null)
      case 'uuid':
        return Buffer.from(value as string, 'base64url')
      case 'bool':
        return Buffer.of(value === true ? 1 : 0)
      default:
        return numberBytes(field.type, value as number)
    }
  }

  #sized(length: (size: number) => Buffer, bytes: Buffer | null): Buffer {
    if (bytes === null) return this.#flexible ? uvarint(0) : length(-1)
    const size = this.#flexible ? uvarint(bytes.length + 1) : length(bytes.length)
    return Buffer.concat([size, bytes])
  }
}

class Decoder {
  at = 0
  readonly #message: Message
  readonly #version: number
  readonly #flexible: boolean
  readonly #bytes: Buffer

  constructor(message: Message, version: number, bytes: Buffer) {
    this.#message = message
    this.#version = version
    this.#flexible = includes(message.flexible, version)
    this.#bytes = bytes
  }

  struct(struct: Struct): WireStruct {
    const value: Record<string, unknown> = {}
    const tagged = new Map<number, Field>()
    for (const field of fieldsOf(struct)) {
      const isHere = includes(field.versions, this.#version)
      if (isHere && field.tag === null) value[field.name] = this.#field(field)
      else value[field.name] = emptyValue(this.#message, field)
      if (isHere && field.tag !== null) tagged.set(field.tag, field)
    }
    if (!this.#flexible) return value
    let before = -1
    for (let left = this.#uvarint(); left > 0; left -= 1) {
      const tag = this.#uvarint()
      assert.ok(tag > before, 'tags ascend')
      before = tag
      const field = tagged.get(tag)
      assert.ok(field, `tag ${tag} is of this version`)
      const end = this.#uvarint() + this.at
      value[field.name] = this.#field(field)
      assert.equal(this.at, end, `the size of tag ${tag}`)
    }
    return value
  }

  #field(field: Field): unknown {
    if (field.isArray) {
      const count = this.#length(4)
      if (count === null) return this.#null(field)
      return Array.from({ length: count }, () => this.#one(field))
    }
    if (field.isStruct && field.nullable !== null) {
      if (this.#number('int8') < 0) return this.#null(field)
    }
    return this.#one(field)
  }

  #one(field: Field): unknown {
    if (field.isStruct) return this.struct(structOf(this.#message, field.type))
    switch (field.type) {
      case 'string': {
        const size = this.#length(2)
        return size === null ? this.#null(field) : this.#take(size).toString()
      }
      case 'bytes':
      case 'records': {
        const size = this.#length(4)
        return size === null ? this.#null(field) : this.#take(size)
      }
      case 'uuid':
        return this.#take(16).toString('base64url')
      case 'bool':
        return this.#number('int8') !== 0
      default:
        return this.#number(field.type)
    }
  }

  #null(field: Field): null {
    const allowed = includes(field.nullable, this.#version)
    assert.ok(allowed, `${field.name} is null in version ${this.#version}`)
    return null
  }

  #length(size: 2 | 4): number | null {
    const length = this.#flexible
      ? this.#uvarint() - 1
      : this.#number(size === 2 ? 'int16' : 'int32')
    assert.ok(length >= -1, `a length of ${length}`)
    return length === -1 ? null : length
  }

  #number(type: string): number {
    const bytes = this.#take(NUMBER_BYTES[type]!)
    if (type === 'float64') return bytes.readDoubleBE()
    if (type === 'int64') return Number(bytes.readBigInt64BE())
    return type === 'uint16' ? bytes.readUInt16BE() : bytes.readIntBE(0, bytes.length)
  }

  #uvarint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const octet = this.#take(1)[0]!
      value += (octet % 128) * scale
      if (octet < 128) return value
    }
  }

  #take(size: number): Buffer {
    assert.ok(this.at + size <= this.#bytes.length, 'the message is long enough')
    this.at += size
    return this.#bytes.subarray(this.at - size, this.at)
  }
}

const NUMBER_BYTES: Readonly<Record<string, number>> = {
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  int64: 8,
  float64: 8,
}

function numberBytes(type: string, value: number): Buffer {
  const bytes = Buffer.alloc(NUMBER_BYTES[type] ?? 0)
  if (type === 'float64') bytes.writeDoubleBE(value)
  else if (type === 'int64') bytes.writeBigInt64BE(BigInt(value))
  else if (type === 'uint16') bytes.writeUInt16BE(value)
  else bytes.writeIntBE(value, 0, bytes.length)
  return bytes
}

function int16(value: number): Buffer {
  return numberBytes('int16', value)
}

function int32(value: number): Buffer {
  return numberBytes('int32', value)
}

function uvarint(value: number): Buffer {
  const octets: number[] = []
  let rest = value
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) + 128)
  return Buffer.from([...octets, rest])
}

function sized(length: (size: number) => Buffer, bytes: Buffer): Buffer {
  return Buffer.concat([length(bytes.length), bytes])
}
