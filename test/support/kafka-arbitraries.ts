import fc from 'fast-check'
import { includes } from '../../tools/kafka-schemas.ts'
import type { Field, Message, Struct } from '../../tools/kafka-schemas.ts'
import { emptyValue, fieldsOf, structOf } from './kafka-wire.ts'
import type { WireStruct } from './kafka-wire.ts'

const NUMBERS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  bool: fc.boolean(),
  int8: fc.integer({ min: -0x80, max: 0x7f }),
  int16: fc.integer({ min: -0x8000, max: 0x7fff }),
  uint16: fc.integer({ min: 0, max: 0xffff }),
  int32: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  int64: fc.maxSafeInteger(),
  float64: fc.double({ noNaN: true }),
  uuid: octets(16, 16).map((bytes) => bytes.toString('base64url')),
  string: fc.oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.constant('x'.repeat(300))),
  bytes: octets(0, 200),
  records: octets(0, 200),
}

/**
 * Any value of a message in a version. Fields the version does not have are as empty as after
 * reading it.
 */
export function messageValues(message: Message, version: number): fc.Arbitrary<WireStruct> {
  return structValues(message, message.structs[0]!, version)
}

function structValues(message: Message, struct: Struct, version: number): fc.Arbitrary<WireStruct> {
  const entries = fieldsOf(struct).map((field) => {
    const isHere = includes(field.versions, version)
    const absent = fc.constant(emptyValue(message, field))
    return [field.name, isHere ? fieldValues(message, field, version) : absent] as const
  })
  return fc.record(Object.fromEntries(entries), { noNullPrototype: true })
}

function fieldValues(message: Message, field: Field, version: number): fc.Arbitrary<unknown> {
  const one = field.isStruct
    ? structValues(message, structOf(message, field.type), version)
    : NUMBERS[field.type]!
  const value = field.isArray ? fc.array(one, { maxLength: 3 }) : one
  const isNullable = includes(field.nullable, version)
  const choices = [value, ...(isNullable ? [fc.constant(null)] : [])]
  if (field.tag !== null) choices.push(fc.constant(emptyValue(message, field)))
  return fc.oneof(...choices)
}

function octets(minLength: number, maxLength: number): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes))
}
