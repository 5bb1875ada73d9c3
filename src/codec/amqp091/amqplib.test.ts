/**
 * The same octets as another implementation: what amqplib writes we read, and what we write it
 * reads. amqplib keeps its codec to itself, so its files are loaded by their path.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeContentHeader,
  decodeFieldTable,
  decodeMethod,
  encodeContentHeader,
  encodeFieldTable,
  encodeMethod,
} from './index.ts'
import type { FieldValue, MethodInput } from './index.ts'
import { METHOD_SHAPES } from './methods.gen.ts'
import type { FieldType } from './methods.gen.ts'

type Fields = Readonly<Record<string, unknown>>

interface Definitions {
  decode(id: number, bytes: Buffer): Fields
  encodeMethod(id: number, channel: number, fields: Fields): Buffer
  encodeProperties(id: number, channel: number, bodySize: number, fields: Fields): Buffer
}

interface TableCodec {
  encodeTable(out: Buffer, table: Fields, at: number): number
  decodeFields(content: Buffer): Fields
}

const load = createRequire(import.meta.url)
const definitions = load('../../../node_modules/amqplib/lib/defs.js') as Definitions
const tables = load('../../../node_modules/amqplib/lib/codec.js') as TableCodec

/** One value of each wire type, as we and as amqplib spell it. */
const VALUES: readonly (readonly [string, FieldValue, unknown])[] = [
  ['void', null, null],
  ['bool', true, true],
  ['byte', { type: 'byte', value: -5 }, { '!': 'byte', value: -5 }],
  ['unsignedbyte', { type: 'unsignedbyte', value: 200 }, { '!': 'unsignedbyte', value: 200 }],
  ['short', { type: 'short', value: -500 }, { '!': 'short', value: -500 }],
  ['unsignedshort', { type: 'unsignedshort', value: 6e4 }, { '!': 'unsignedshort', value: 6e4 }],
  ['signedint', -70_000, { '!': 'int', value: -70_000 }],
  ['unsignedint', { type: 'unsignedint', value: 4e9 }, { '!': 'unsignedint', value: 4e9 }],
  ['long', { type: 'long', value: 2 ** 40 }, { '!': 'long', value: 2 ** 40 }],
  ['float', { type: 'float', value: 1.5 }, { '!': 'float', value: 1.5 }],
  ['double', { type: 'double', value: 0.1 }, { '!': 'double', value: 0.1 }],
  [
    'decimal',
    { type: 'decimal', scale: 2, value: 314 },
    { '!': 'decimal', value: { places: 2, digits: 314 } },
  ],
  ['timestamp', { type: 'timestamp', value: 1.7e9 }, { '!': 'timestamp', value: 1.7e9 }],
  ['longstr', 'grüße', 'grüße'],
  ['binary', Uint8Array.of(0, 1, 255), Buffer.of(0, 1, 255)],
  ['array', ['a', null, true], ['a', null, true]],
  ['table', new Map([['inner', 'x']]), { inner: 'x' }],
]

test('tables of every type have the octets amqplib writes', () => {
  for (const [name, ours, theirs] of VALUES) {
    const out = Buffer.alloc(200)
    const wire = out.subarray(0, tables.encodeTable(out, { k: theirs }, 0))
    assert.deepEqual(encodeFieldTable(new Map([['k', ours]])), wire, name)
    assert.deepEqual(decodeFieldTable(wire), new Map([['k', ours]]), name)
    assert.ok('k' in tables.decodeFields(encodeFieldTable(new Map([['k', ours]])).subarray(4)))
  }
})

const ARGUMENTS: Readonly<Record<FieldType, fc.Arbitrary<unknown>>> = {
  bit: fc.boolean(),
  octet: fc.nat(0xff),
  short: fc.nat(0xffff),
  long: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  longlong: fc.nat(),
  shortstr: fc.string({ maxLength: 60 }),
  longstr: fc.uint8Array({ maxLength: 100 }).map((octets) => Buffer.from(octets)),
  table: fc.constant(null),
}

for (const shape of METHOD_SHAPES) {
  test(`${shape.name} has the octets amqplib writes`, () => {
    const model = Object.fromEntries(
      shape.fields.map((field) => [field.name, ARGUMENTS[field.type]] as const),
    )
    fc.assert(
      fc.property(fc.record(model), (fields) => {
        const ours: Record<string, unknown> = { ...fields, name: shape.name }
        const theirs: Record<string, unknown> = { ...fields }
        for (const field of shape.fields) {
          if (field.type !== 'table') continue
          ours[field.name] = new Map<string, FieldValue>([['k', 'v']])
          theirs[field.name] = { k: 'v' }
        }
        const wire = definitions.encodeMethod(shape.id, 7, theirs)
        assert.deepEqual(encodeMethod(7, ours as unknown as MethodInput), wire)
        assert.deepEqual(decodeMethod(shape.id, wire, 11, wire.length - 1), ours)
        const read = definitions.decode(shape.id, wire.subarray(11, wire.length - 1))
        assert.deepEqual({ ...read }, theirs)
      }),
      { numRuns: 10 },
    )
  })
}

test('content headers have the octets amqplib writes', () => {
  const text = fc.string({ maxLength: 40 })
  const properties = fc.record(
    {
      contentType: text,
      contentEncoding: text,
      deliveryMode: fc.nat(255),
      priority: fc.nat(255),
      correlationId: text,
      replyTo: text,
      expiration: text,
      messageId: text,
      timestamp: fc.nat(),
      type: text,
      userId: text,
      appId: text,
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(properties, fc.nat(), fc.boolean(), (given, bodySize, hasHeaders) => {
      const headers = hasHeaders ? { headers: { k: 'v' } } : {}
      const frame = definitions.encodeProperties(60, 1, bodySize, { ...given, ...headers })
      const payload = frame.subarray(7, 7 + frame.readUInt32BE(3))
      const ours = hasHeaders ? { ...given, headers: new Map([['k', 'v']]) } : { ...given }
      assert.deepEqual(encodeContentHeader(bodySize, ours), payload)
      assert.deepEqual(decodeContentHeader(payload), { bodySize, properties: ours })
    }),
    { numRuns: 200 },
  )
})
