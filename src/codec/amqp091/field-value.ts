/**
 * The values of AMQP field tables as RabbitMQ and its clients type them (the letters differ from
 * the text of the specification: `s` is an int16, not a short string).
 *
 * | wire | here                                | wire | here                               |
 * |------|-------------------------------------|------|------------------------------------|
 * | V    | `null`                              | b    | `{ type: 'byte', value }`          |
 * | t    | `boolean`                           | B    | `{ type: 'unsignedbyte', value }`  |
 * | I    | `number`                            | s    | `{ type: 'short', value }`         |
 * | S    | `string`                            | u    | `{ type: 'unsignedshort', value }` |
 * | x    | `Uint8Array`                        | i    | `{ type: 'unsignedint', value }`   |
 * | A    | array                               | f    | `{ type: 'float', value }`         |
 * | F    | `FieldTable`                        | d    | `{ type: 'double', value }`        |
 * | D    | `{ type: 'decimal', scale, value }` | l    | `{ type: 'long', value }`          |
 * | T    | `{ type: 'timestamp', value }`      | L    | `{ type: 'longL', value }`         |
 *
 * Six JavaScript types stand for one wire type each; every other value carries its type, so what
 * was decoded is encoded to the same octets. (A NaN is written as the quiet one.) An `S` that is
 * not UTF-8 is `{ type: 'longstr', value: Uint8Array }`.
 */
export type FieldValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | FieldTable
  | readonly FieldValue[]
  | TypedFieldValue

/**
 * A field table. Of two entries with the same key the first counts, as in RabbitMQ's look-ups;
 * raw headers are never sent through this form, so nothing is lost on the way through.
 */
export type FieldTable = ReadonlyMap<string, FieldValue>

/** A value whose wire type its JavaScript type does not tell. */
export type TypedFieldValue =
  | { readonly type: SmallNumberType; readonly value: number }
  | { readonly type: LongNumberType; readonly value: number | bigint }
  | { readonly type: 'decimal'; readonly scale: number; readonly value: number }
  | { readonly type: 'longstr'; readonly value: Uint8Array }

export type SmallNumberType =
  | 'byte'
  | 'unsignedbyte'
  | 'short'
  | 'unsignedshort'
  | 'unsignedint'
  | 'float'
  | 'double'

/** 64 bits: a `number` where it is exact, else a `bigint`. Timestamps are seconds since 1970. */
export type LongNumberType = 'long' | 'longL' | 'timestamp'

/** RabbitMQ's name of a wire type, as its error texts use it. */
export type FieldTypeName =
  | TypedFieldValue['type']
  | 'void'
  | 'bool'
  | 'signedint'
  | 'binary'
  | 'table'
  | 'array'

/** The wire type of `value`: `signedint` for an `I`. A plain number is typed as it is encoded. */
export function fieldTypeName(value: FieldValue): FieldTypeName {
  if (value === null) return 'void'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'string') return 'longstr'
  if (typeof value === 'number') return numberTypeName(value)
  if (isFieldTable(value)) return 'table'
  if (isFieldArray(value)) return 'array'
  return value instanceof Uint8Array ? 'binary' : value.type
}

/** The type a plain number is written with: int32, else int64 while it is exact, else a double. */
function numberTypeName(value: number): 'signedint' | 'long' | 'double' {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) return 'double'
  return value === (value | 0) ? 'signedint' : 'long'
}

/** A whole number of any width (a timestamp is none); null for anything else. */
export function fieldInteger(value: FieldValue | undefined): number | bigint | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : null
  if (!isTyped(value)) return null
  switch (value.type) {
    case 'byte':
    case 'unsignedbyte':
    case 'short':
    case 'unsignedshort':
    case 'unsignedint':
    case 'long':
    case 'longL':
      return exact(value.value)
    case 'float':
    case 'double':
    case 'decimal':
    case 'timestamp':
    case 'longstr':
      return null
  }
}

/** Any numeric value as the nearest number (a timestamp in seconds); null for anything else. */
export function fieldNumber(value: FieldValue | undefined): number | null {
  if (typeof value === 'number') return value
  if (!isTyped(value) || value.type === 'longstr') return null
  if (value.type === 'decimal') return value.value / 10 ** value.scale
  return Number(value.value)
}

/** What may differ between two values that count as the same. */
export interface FieldComparison {
  /** 5 as an int8 is 5 as an int64, as RabbitMQ compares arguments. Default false. */
  readonly looseIntegers?: boolean
}

/** Deep equality of values, with their types; entries of a table may come in any order. */
export function fieldEquals(
  one: FieldValue | undefined,
  other: FieldValue | undefined,
  comparison: FieldComparison = {},
): boolean {
  if (one === undefined || other === undefined) return one === other
  const integer = fieldInteger(one)
  if (integer !== null && comparison.looseIntegers === true) return integer === fieldInteger(other)
  if (fieldTypeName(one) !== fieldTypeName(other)) return false
  if (isFieldTable(one) && isFieldTable(other)) {
    if (one.size !== other.size) return false
    return [...one].every(([key, value]) => fieldEquals(value, other.get(key), comparison))
  }
  if (isFieldArray(one) && isFieldArray(other)) {
    if (one.length !== other.length) return false
    return one.every((value, index) => fieldEquals(value, other[index], comparison))
  }
  return scalarEquals(one, other)
}

/** A `number` where it is exact, so that few callers ever meet a bigint. */
export function exact(value: number | bigint): number | bigint {
  const number = Number(value)
  return typeof value === 'number' || Number.isSafeInteger(number) ? number : value
}

export function isFieldTable(value: FieldValue | undefined): value is FieldTable {
  return value instanceof Map
}

export function isFieldArray(value: FieldValue | undefined): value is readonly FieldValue[] {
  return Array.isArray(value)
}

function isTyped(value: FieldValue | undefined): value is TypedFieldValue {
  if (typeof value !== 'object' || value === null) return false
  return !(isFieldTable(value) || isFieldArray(value) || value instanceof Uint8Array)
}

function scalarEquals(one: FieldValue, other: FieldValue): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) return sameOctets(one, other)
  if (!isTyped(one) || !isTyped(other)) {
    // One may be a plain number and the other the same type by name: 2 ** 40 and a 'long'.
    const number = fieldNumber(one)
    return number === null ? one === other : Object.is(number, fieldNumber(other))
  }
  if (one.type === 'decimal') return other.type === 'decimal' && sameDecimal(one, other)
  if (one.type === 'longstr') return other.type === 'longstr' && sameOctets(one.value, other.value)
  if (other.type === 'decimal' || other.type === 'longstr') return false
  return Object.is(exact(one.value), exact(other.value))
}

function sameDecimal(
  one: { readonly scale: number; readonly value: number },
  other: { readonly scale: number; readonly value: number },
): boolean {
  return one.scale === other.scale && one.value === other.value
}

function sameOctets(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
