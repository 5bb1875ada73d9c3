import fc from 'fast-check'
import type { FieldTable, FieldValue } from '../../src/codec/amqp091/index.ts'

/** Text as AMQP carries it: any well-formed Unicode, also outside of ASCII. */
const text: fc.Arbitrary<string> = fc.string({ unit: 'binary', maxLength: 12 })

/** A 64-bit integer in the form the codec gives it: a number where that is exact. */
function long(range: {
  readonly min: bigint
  readonly max: bigint
}): fc.Arbitrary<number | bigint> {
  return fc
    .oneof(fc.bigInt(range), fc.constantFrom(0n, 1n, range.min, range.max))
    .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value))
}

const int64 = long({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const float = fc.float({ noNaN: true })
const double = fc.double({ noNaN: true })

function typed<Type extends string, Value>(
  type: Type,
  value: fc.Arbitrary<Value>,
): fc.Arbitrary<{ readonly type: Type; readonly value: Value }> {
  return fc.record({ type: fc.constant(type), value }, { noNullPrototype: true })
}

/** Every wire type, in the form in which it is decoded. */
const scalars: fc.Arbitrary<FieldValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.integer(),
  text,
  fc.uint8Array({ maxLength: 12 }),
  typed('byte', fc.integer({ min: -128, max: 127 })),
  typed('unsignedbyte', fc.integer({ min: 0, max: 255 })),
  typed('short', fc.integer({ min: -32_768, max: 32_767 })),
  typed('unsignedshort', fc.integer({ min: 0, max: 65_535 })),
  typed('unsignedint', fc.integer({ min: 0, max: 2 ** 32 - 1 })),
  typed('float', float),
  typed('double', double),
  typed('long', int64),
  typed('longL', int64),
  typed('timestamp', long({ min: 0n, max: 2n ** 64n - 1n })),
  fc.record(
    {
      type: fc.constant('decimal' as const),
      scale: fc.integer({ min: 0, max: 255 }),
      value: fc.integer(),
    },
    { noNullPrototype: true },
  ),
  typed('longstr', fc.constant(Uint8Array.of(0x61, 0xff))),
)

const nested = fc.letrec<{ value: FieldValue; table: FieldTable; array: readonly FieldValue[] }>(
  (tie) => ({
    value: fc.oneof({ maxDepth: 3, withCrossShrink: true }, scalars, tie('table'), tie('array')),
    table: fc
      .array(fc.tuple(text, tie('value')), { maxLength: 6 })
      .map((entries): FieldTable => new Map(entries)),
    array: fc.array(tie('value'), { maxLength: 5 }),
  }),
)

/** Any field value, with nested tables and arrays. */
export const fieldValues: fc.Arbitrary<FieldValue> = nested.value

/** Any field table. */
export const fieldTables: fc.Arbitrary<FieldTable> = nested.table
