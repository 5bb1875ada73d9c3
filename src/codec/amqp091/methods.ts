/**
 * Methods as plain objects, driven by the generated table of their fields. It is the clear way
 * for what comes once in a while; the methods of every message go by `basic-views.ts` and
 * `channel-writer.ts`.
 */
import { ByteReader, ByteReadError } from '../../lib/byte-reader.ts'
import { ByteWriter } from '../../lib/byte-writer.ts'
import { decodeFieldTable, fieldTableBytes, fieldTableEnd, writeFieldTable } from './field-table.ts'
import type { FieldTable } from './field-value.ts'
import { AmqpFrameError } from './frame-error.ts'
import { FRAME_OVERHEAD_BYTES, SHORT_STRING_BYTES_MAX } from './limits.ts'
import { METHOD_SHAPES } from './methods.gen.ts'
import type { Method, MethodDefaults, MethodField, MethodShape } from './methods.gen.ts'
import { FRAME } from './spec.gen.ts'

export type MethodName = Method['name']

/** The method called `Name`: `MethodOf<'queue.declare'>`. */
export type MethodOf<Name extends MethodName> = Extract<Method, { readonly name: Name }>

type Given<Value> = Value extends Buffer ? string | Uint8Array : Value

type InputOf<One extends Method> = One extends Method
  ? {
      readonly [Key in keyof One as Key extends MethodDefaults[One['name']] ? never : Key]: Given<
        One[Key]
      >
    } & {
      readonly [Key in keyof One as Key extends MethodDefaults[One['name']] ? Key : never]?: Given<
        One[Key]
      >
    }
  : never

/** A method to encode: what has a default may be left out, a long string may be text. */
export type MethodInput = InputOf<Method>

const SHAPES_BY_ID: ReadonlyMap<number, MethodShape> = new Map(
  METHOD_SHAPES.map((shape) => [shape.id, shape]),
)

const SHAPES_BY_NAME: ReadonlyMap<string, MethodShape> = new Map(
  METHOD_SHAPES.map((shape) => [shape.name, shape]),
)

/** What the protocol says of a method, or undefined for an id it does not have. */
export function methodShape(methodId: number): MethodShape | undefined {
  return SHAPES_BY_ID.get(methodId)
}

/** The id of a method: `classId << 16 | methodId`. */
export function methodIdOf(name: MethodName): number {
  return shapeOf(name).id
}

/**
 * Decodes the arguments of a method, which fill `[start, end)`. Nothing of `bytes` is kept.
 *
 * Throws `AmqpFrameError`: NOT_IMPLEMENTED for an id that no method has, FRAME_ERROR (as
 * RabbitMQ, where the specification would allow 502) for arguments that are cut, too long, not
 * UTF-8, or no well-formed table. It names the method.
 */
export function decodeMethod(methodId: number, bytes: Buffer, start: number, end: number): Method {
  const shape = SHAPES_BY_ID.get(methodId)
  if (shape === undefined) {
    const about = idsOf(methodId)
    const message = `no method ${about.classId}.${about.methodId}`
    throw new AmqpFrameError('NOT_IMPLEMENTED', message, about)
  }
  try {
    return decodeFields(shape, bytes, new ByteReader(bytes, start, end))
  } catch (error) {
    if (!(error instanceof ByteReadError || error instanceof AmqpFrameError)) throw error
    const message = `malformed ${shape.name}: ${error.message}`
    throw new AmqpFrameError('FRAME_ERROR', message, { ...idsOf(methodId), cause: error })
  }
}

/** Encodes a method as one whole frame of exactly its size. Throws as `writeMethod` does. */
export function encodeMethod(channel: number, method: MethodInput): Buffer {
  const out = Buffer.allocUnsafe(methodFrameBytes(method))
  writeMethod(out, 0, channel, method)
  return out
}

/** Octets of the frame that `writeMethod` writes. */
export function methodFrameBytes(method: MethodInput): number {
  const { fields } = shapeOf(method.name)
  let bytes = FRAME_OVERHEAD_BYTES + 4
  let bits = 0
  for (const field of fields) {
    if (field.type === 'bit') {
      // Consecutive bits share an octet (section 4.2.5.2); the ninth starts another.
      if (bits % 8 === 0) bytes += 1
      bits += 1
      continue
    }
    bits = 0
    bytes += fieldBytes(field, valueOf(method, field))
  }
  return bytes
}

/**
 * Writes a method as one frame at `at` and returns the index behind it.
 *
 * Throws `RangeError`, before the first octet, for too little room; for a short string above 255
 * octets; or for a table value its type can't hold.
 */
export function writeMethod(out: Buffer, at: number, channel: number, method: MethodInput): number {
  const shape = shapeOf(method.name)
  const bytes = methodFrameBytes(method)
  const writer = new ByteWriter(out, at, at + bytes)
  writer.u8(FRAME.METHOD)
  writer.u16(channel)
  writer.u32(bytes - FRAME_OVERHEAD_BYTES)
  writer.u32(shape.id)
  let packed = 0
  let bits = 0
  for (const field of shape.fields) {
    const value = valueOf(method, field)
    if (field.type === 'bit') {
      if (bits === 8) {
        writer.u8(packed)
        packed = bits = 0
      }
      if (value === true) packed |= 1 << bits
      bits += 1
      continue
    }
    if (bits > 0) {
      writer.u8(packed)
      packed = bits = 0
    }
    writeField(writer, out, field, value)
  }
  if (bits > 0) writer.u8(packed)
  writer.u8(FRAME.END)
  return writer.offset
}

type FieldInput = string | number | bigint | boolean | Uint8Array | FieldTable

function decodeFields(shape: MethodShape, bytes: Buffer, reader: ByteReader): Method {
  const method: Record<string, unknown> = { name: shape.name }
  let packed = 0
  let bits = 0
  for (const field of shape.fields) {
    if (field.type === 'bit') {
      if (bits === 0) packed = reader.u8()
      method[field.name] = ((packed >> bits) & 1) === 1
      bits = (bits + 1) % 8
      continue
    }
    bits = 0
    method[field.name] = readField(field, bytes, reader)
  }
  if (reader.remaining > 0) {
    throw new ByteReadError('OUT_OF_BOUNDS', `${reader.remaining} octets follow the last argument`)
  }
  return method as unknown as Method
}

function readField(field: MethodField, bytes: Buffer, reader: ByteReader): unknown {
  switch (field.type) {
    case 'octet':
      return reader.u8()
    case 'short':
      return reader.u16()
    case 'long':
      return reader.u32()
    case 'longlong':
      return reader.u64Number()
    case 'shortstr':
      return reader.text(reader.u8())
    case 'longstr':
      return Buffer.from(reader.bytes(reader.u32()))
    case 'table': {
      const start = reader.offset
      reader.skip(fieldTableEnd(bytes, start, reader.end) - start)
      return decodeFieldTable(bytes, start, reader.offset)
    }
    case 'bit':
      throw new Error('bits are read by the caller')
  }
}

function fieldBytes(field: MethodField, value: FieldInput): number {
  switch (field.type) {
    case 'octet':
      return 1
    case 'short':
      return 2
    case 'long':
      return 4
    case 'longlong':
      return 8
    case 'shortstr':
      return 1 + Buffer.byteLength(value as string)
    case 'longstr':
      return 4 + Buffer.byteLength(value as string | Uint8Array)
    case 'table':
      return fieldTableBytes(value as FieldTable)
    case 'bit':
      return 0
  }
}

function writeField(writer: ByteWriter, out: Buffer, field: MethodField, value: FieldInput): void {
  switch (field.type) {
    case 'octet':
      writer.u8(Number(value))
      return
    case 'short':
      writer.u16(Number(value))
      return
    case 'long':
      writer.u32(Number(value))
      return
    case 'longlong':
      writer.u64Number(Number(value))
      return
    case 'shortstr':
      writeShortString(writer, field, value as string)
      return
    case 'longstr':
      writeLongString(writer, value as string | Uint8Array)
      return
    case 'table': {
      const end = writeFieldTable(out, writer.offset, value as FieldTable)
      writer.skip(end - writer.offset)
      return
    }
    case 'bit':
      throw new Error('bits are written by the caller')
  }
}

function writeShortString(writer: ByteWriter, field: MethodField, text: string): void {
  const size = Buffer.byteLength(text)
  if (size > SHORT_STRING_BYTES_MAX) {
    throw new RangeError(`${field.name} has ${size} octets, the limit is ${SHORT_STRING_BYTES_MAX}`)
  }
  writer.u8(size)
  writer.text(text)
}

function writeLongString(writer: ByteWriter, value: string | Uint8Array): void {
  writer.u32(Buffer.byteLength(value))
  if (typeof value === 'string') writer.text(value)
  else writer.bytes(value)
}

function valueOf(method: MethodInput, field: MethodField): FieldInput {
  const given = (method as unknown as Readonly<Record<string, FieldInput | undefined>>)[field.name]
  const value = given ?? field.fallback
  if (value === undefined) throw new TypeError(`${method.name} needs the field ${field.name}`)
  return value
}

function shapeOf(name: string): MethodShape {
  const shape = SHAPES_BY_NAME.get(name)
  if (shape === undefined) throw new TypeError(`no method is called '${name}'`)
  return shape
}

function idsOf(methodId: number): { readonly classId: number; readonly methodId: number } {
  return { classId: methodId >>> 16, methodId: methodId & 0xffff }
}
