import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { fieldTables, fieldValues } from '../../../test/support/amqp-field-arbitraries.ts'
import {
  checkFieldTable,
  decodeFieldTable,
  decodeFieldTableContent,
  encodeFieldTable,
  findField,
} from './field-table.ts'
import {
  fieldEquals,
  fieldInteger,
  fieldNumber,
  fieldTypeName,
  isFieldArray,
  isFieldTable,
} from './field-value.ts'
import type { FieldValue } from './field-value.ts'
import { AmqpFrameError } from './frame-error.ts'

/** The octets of a table with the one entry `k`. */
function wireOf(valueHex: string): Buffer {
  const content = Buffer.from(`016b${valueHex}`.replaceAll(' ', ''), 'hex')
  const size = Buffer.alloc(4)
  size.writeUInt32BE(content.length)
  return Buffer.concat([size, content])
}

/** Written by hand from RabbitMQ's list of types, so that both directions can't share a mistake. */
const VECTORS: readonly (readonly [string, FieldValue, string])[] = [
  ['56', null, 'void'],
  ['74 00', false, 'bool'],
  ['74 01', true, 'bool'],
  ['62 ff', { type: 'byte', value: -1 }, 'byte'],
  ['42 ff', { type: 'unsignedbyte', value: 255 }, 'unsignedbyte'],
  ['73 8000', { type: 'short', value: -32_768 }, 'short'],
  ['75 8000', { type: 'unsignedshort', value: 32_768 }, 'unsignedshort'],
  ['49 ffffffff', -1, 'signedint'],
  ['69 ffffffff', { type: 'unsignedint', value: 4_294_967_295 }, 'unsignedint'],
  ['6c 0000000000000005', { type: 'long', value: 5 }, 'long'],
  ['6c 7fffffffffffffff', { type: 'long', value: 2n ** 63n - 1n }, 'long'],
  ['4c ffffffffffffffff', { type: 'longL', value: -1 }, 'longL'],
  ['66 3fc00000', { type: 'float', value: 1.5 }, 'float'],
  ['64 3ff0000000000000', { type: 'double', value: 1 }, 'double'],
  ['44 02 0000007b', { type: 'decimal', scale: 2, value: 123 }, 'decimal'],
  ['53 00000003 c3a975', 'éu', 'longstr'],
  ['53 00000000', '', 'longstr'],
  ['53 00000001 ff', { type: 'longstr', value: Uint8Array.of(0xff) }, 'longstr'],
  ['53 00000003 efbfbd', '\ufffd', 'longstr'],
  ['53 00000004 efbbbf61', '\ufeffa', 'longstr'],
  ['41 00000003 56 74 01', [null, true], 'array'],
  ['54 0000000065000000', { type: 'timestamp', value: 0x65000000 }, 'timestamp'],
  ['46 00000003 016156', new Map([['a', null]]), 'table'],
  ['78 00000002 00ff', Uint8Array.of(0, 255), 'binary'],
]

for (const [hex, value, name] of VECTORS) {
  test(`a ${name} is read from ${hex} and written to it`, () => {
    const wire = wireOf(hex)
    const table = decodeFieldTable(wire)
    assert.deepEqual(table, new Map([['k', value]]))
    assert.deepEqual(encodeFieldTable(table), wire)
    assert.equal(fieldTypeName(value), name)
  })
}

test('a table of every type is the same after the wire, at any byteOffset', () => {
  fc.assert(
    fc.property(fieldTables, fc.nat(64), (table, offset) => {
      const wire = encodeFieldTable(table)
      const pool = Buffer.alloc(offset + wire.length + 5, 0xaa)
      pool.set(wire, offset)
      const decoded = decodeFieldTable(pool, offset, offset + wire.length)
      pool.fill(0)
      assert.deepEqual(decoded, table)
      assert.deepEqual(encodeFieldTable(decoded), wire)
    }),
    { numRuns: 300 },
  )
})

test('a plain number is written as int32, int64 or double', () => {
  const written = (value: number): string =>
    encodeFieldTable(new Map([['k', value]])).toString('latin1', 6, 7)
  assert.deepEqual([0, -(2 ** 31), 2 ** 31 - 1].map(written), ['I', 'I', 'I'])
  assert.deepEqual([2 ** 31, -(2 ** 40), 2 ** 53 - 1].map(written), ['l', 'l', 'l'])
  assert.deepEqual([0.5, -0, 2 ** 53, Infinity, Number.NaN].map(written), 'ddddd'.split(''))
})

test('of two entries with one key the first counts', () => {
  const wire = Buffer.from('00000008016b7401016b7400', 'hex')
  assert.deepEqual(decodeFieldTable(wire), new Map([['k', true]]))
})

test('a value its type can not hold, and a key too long, are refused', () => {
  const encode = (value: FieldValue): Buffer => encodeFieldTable(new Map([['k', value]]))
  assert.throws(() => encode({ type: 'byte', value: 128 }), RangeError)
  assert.throws(() => encode({ type: 'unsignedint', value: -1 }), RangeError)
  assert.throws(() => encode({ type: 'timestamp', value: -1 }), RangeError)
  assert.throws(() => encodeFieldTable(new Map([['k'.repeat(256), null]])), RangeError)
})

const HOSTILE = [
  ['a size beyond the window', '000000ff016b56'],
  ['a size short of the window', '00000002016b56'],
  ['no room for a size', '0000'],
  ['a key beyond the table', '00000002056b'],
  ['no value', '00000002016b'],
  ['a value cut short', '00000005016b490000'],
  ['a string beyond the table', '00000008016b53ffffffff61'],
  ['a string without a size', '00000004016b5300'],
  ['an array beyond the table', '00000008016b41000000ff56'],
  ['a table beyond the table', '00000008016b46000000ff56'],
  ['an array whose last value is cut', '0000000a016b4100000003497401'],
  ['an unknown type', '00000004016b7a00'],
] as const

for (const [what, hex] of HOSTILE) {
  test(`a table with ${what} is refused`, () => {
    assert.throws(() => decodeFieldTable(Buffer.from(hex, 'hex')), {
      name: 'AmqpFrameError',
      code: 'SYNTAX_ERROR',
      replyCode: 502,
    })
  })
}

function nest(depth: number, letter: 'A' | 'F'): Buffer {
  let content = Buffer.alloc(0)
  for (let i = 0; i < depth; i += 1) {
    const size = Buffer.alloc(4)
    size.writeUInt32BE(content.length)
    const front = Buffer.from(letter === 'A' && i < depth - 1 ? letter : `\x01k${letter}`)
    content = Buffer.concat([front, size, content])
  }
  return content
}

test('nesting is bounded, for tables and for arrays', () => {
  for (const letter of ['A', 'F'] as const) {
    assert.doesNotThrow(() => decodeFieldTableContent(nest(31, letter)))
    assert.throws(() => decodeFieldTableContent(nest(32, letter)), /nested too deep/)
    assert.throws(() => decodeFieldTableContent(nest(10_000, letter)), /nested too deep/)
  }
  assert.throws(
    () => decodeFieldTableContent(nest(3, 'F'), 0, undefined, { depthMax: 3 }),
    /nested too deep/,
  )
})

test('a table beyond the size limit is refused before it is read', () => {
  const wire = encodeFieldTable(new Map([['k', 'x'.repeat(100)]]))
  assert.throws(() => decodeFieldTable(wire, 0, wire.length, { bytesMax: 50 }), /the limit is 50/)
})

test('any octets are decoded or refused with AmqpFrameError, and re-encode stably', () => {
  const letters = fc.constantFrom(...Buffer.from('VtbBsuIilLfdDSATFx'), 0, 1, 2, 3, 4, 0xff)
  fc.assert(
    fc.property(fc.array(fc.oneof(letters, fc.nat(255)), { maxLength: 60 }), (octets) => {
      const bytes = Buffer.from(octets)
      let table
      try {
        table = decodeFieldTableContent(bytes)
      } catch (error) {
        assert.ok(error instanceof AmqpFrameError, String(error))
        return
      }
      const again = encodeFieldTable(table)
      assert.deepEqual(encodeFieldTable(decodeFieldTable(again)), again)
    }),
    { numRuns: 2000 },
  )
})

/** What comes of `decode`, as text: a value or a refusal. */
function outcome(decode: () => unknown): string {
  try {
    return inspect(decode(), { depth: null })
  } catch (error) {
    return String(error)
  }
}

// What stands behind a table is somebody else's: the next argument, or another client's message.
test('octets outside of the window never matter', () => {
  fc.assert(
    fc.property(
      fieldTables,
      fc.nat(),
      fc.integer({ min: -2, max: 2 }),
      fc.nat(255),
      (table, place, step, other) => {
        const wire = encodeFieldTable(table)
        // Sizes and lengths that are off by one or two are the ones that reach across the end.
        const at = place % wire.length
        wire[at] = wire[at]! + step
        const apart = outcome(() => decodeFieldTable(Buffer.from(wire)))
        const pool = Buffer.alloc(wire.length + 20, other)
        pool.set(wire, 10)
        assert.equal(
          outcome(() => decodeFieldTable(pool, 10, 10 + wire.length)),
          apart,
        )
      },
    ),
    { numRuns: 1000 },
  )
  // One octet too many, which only the octet behind the window could give.
  for (const hex of ['00000008016b530000000261', '00000009016b41000000035656']) {
    const wire = Buffer.from(`${hex}56`, 'hex')
    assert.throws(() => decodeFieldTable(wire, 0, wire.length - 1), AmqpFrameError)
  }
})

test('one flipped octet in a table never breaks out of it', () => {
  fc.assert(
    fc.property(fieldTables, fc.nat(), fc.nat(255), (table, place, octet) => {
      const wire = encodeFieldTable(table)
      wire[place % wire.length] = octet
      try {
        decodeFieldTable(wire)
      } catch (error) {
        assert.ok(error instanceof AmqpFrameError, String(error))
      }
    }),
    { numRuns: 500 },
  )
})

test('a field is found by its key without decoding the others', () => {
  fc.assert(
    fc.property(fieldTables, (table) => {
      const wire = encodeFieldTable(table)
      checkFieldTable(wire, 4, wire.length)
      for (const key of table.keys()) {
        const at = findField(wire, 4, wire.length, key)
        assert.equal(wire.toString('utf8', at - Buffer.byteLength(key), at), key)
      }
      assert.equal(findField(wire, 4, wire.length, 'a key no table has'), -1)
    }),
    { numRuns: 200 },
  )
})

test('values equal themselves after the wire, and widths count only when asked to', () => {
  fc.assert(
    fc.property(fieldValues, (value) => {
      const other = decodeFieldTable(encodeFieldTable(new Map([['k', value]]))).get('k')
      assert.ok(fieldEquals(value, other))
      assert.ok(fieldEquals(value, other, { looseIntegers: true }))
      assert.ok(!fieldEquals(value, undefined))
      assert.ok(!fieldEquals([value], [value, value]))
    }),
    { numRuns: 200 },
  )
  const long: FieldValue = { type: 'long', value: 5 }
  assert.ok(!fieldEquals(5, long))
  assert.ok(fieldEquals(5, long, { looseIntegers: true }))
  assert.ok(fieldEquals(5, { type: 'long', value: 5n }, { looseIntegers: true }))
  assert.ok(!fieldEquals(6, long, { looseIntegers: true }))
  assert.ok(!fieldEquals('5', long, { looseIntegers: true }))
  assert.ok(fieldEquals(2 ** 40, { type: 'long', value: 2 ** 40 }))
  assert.ok(!fieldEquals(0.5, { type: 'double', value: 0.25 }))
  assert.ok(!fieldEquals('a', 'b'))
  assert.ok(!fieldEquals(new Map([['a', 1]]), new Map([['b', 1]])))
  assert.ok(!fieldEquals(Uint8Array.of(1), Uint8Array.of(2)))
  const tenth: FieldValue = { type: 'decimal', scale: 1, value: 1 }
  assert.ok(!fieldEquals(tenth, { type: 'decimal', scale: 2, value: 10 }))
})

test('numbers are taken out of any numeric type', () => {
  assert.equal(fieldInteger({ type: 'unsignedbyte', value: 7 }), 7)
  assert.equal(fieldInteger({ type: 'long', value: 2n ** 60n }), 2n ** 60n)
  assert.equal(fieldInteger({ type: 'double', value: 7 }), null)
  assert.equal(fieldInteger('7'), null)
  assert.equal(fieldInteger(0.5), null)
  assert.equal(fieldInteger(undefined), null)
  assert.equal(fieldInteger(null), null)
  assert.equal(fieldNumber({ type: 'decimal', scale: 2, value: 150 }), 1.5)
  assert.equal(fieldNumber({ type: 'timestamp', value: 12 }), 12)
  assert.equal(fieldNumber(3), 3)
  assert.equal(fieldNumber([3]), null)
  assert.ok(isFieldTable(new Map()) && !isFieldTable([]) && isFieldArray([]) && !isFieldArray(null))
})
