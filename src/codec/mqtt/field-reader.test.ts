import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FieldReader } from './field-reader.ts'
import { encodeVarint } from './properties.ts'

const MALFORMED = { name: 'MqttPacketError', reasonCode: 0x81 }

function open(octets: Uint8Array, offset = 0): FieldReader {
  const pool = Buffer.alloc(offset + octets.length + 3, 0x41)
  pool.set(octets, offset)
  const reader = new FieldReader()
  reader.open(pool, offset, offset + octets.length)
  return reader
}

function sized(octets: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(octets.length >> 8, octets.length & 255), octets])
}

test('a variable byte integer is read as it was written and in no longer form', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 268_435_455 }), fc.nat(9), (value, offset) => {
      const octets = encodeVarint(value)
      assert.ok(octets.length <= 4)
      const reader = open(octets, offset)
      assert.equal(reader.varint(), value)
      assert.equal(reader.left, 0)
      const longer = Buffer.concat([octets, Buffer.of(0)])
      longer[octets.length - 1]! |= 0x80
      assert.throws(() => open(longer).varint(), MALFORMED)
      assert.throws(() => open(octets.subarray(0, -1)).varint(), MALFORMED)
    }),
  )
  assert.throws(() => open(Buffer.of(0x80, 0x80, 0x80, 0x80, 1)).varint(), MALFORMED)
})

/** The plainest reading of section 1.5.4. */
function isText(octets: Uint8Array): boolean {
  try {
    return !new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets).includes('\0')
  } catch {
    return false
  }
}

const nearlyText = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }).map((text) => Buffer.from(text)),
  fc
    .array(
      fc.constantFrom('c3', 'a9', 'efbbbf', 'eda080', 'f09f9880', 'f4908080', 'c080', '61', '00'),
    )
    .map((parts) => Buffer.from(parts.join(''), 'hex')),
)

test('a string is taken if and only if it is UTF-8 without U+0000, and none of it is lost', () => {
  fc.assert(
    fc.property(nearlyText, fc.nat(9), (octets, offset) => {
      const read = (): string => open(sized(octets), offset).utf8()
      if (isText(octets)) assert.deepEqual(Buffer.from(read()), Buffer.from(octets))
      else assert.throws(read, MALFORMED)
    }),
    { numRuns: 2000 },
  )
})

test('a name has no control characters beside', () => {
  fc.assert(
    fc.property(nearlyText, (octets) => {
      const text = Buffer.from(octets).toString('utf8')
      // oxlint-disable-next-line no-control-regex
      const isName = isText(octets) && !/[\0-\u001f\u007f-\u009f]/.test(text)
      const read = (): string => open(sized(octets)).name()
      if (isName) assert.equal(read(), text)
      else assert.throws(read, MALFORMED)
    }),
    { numRuns: 2000 },
  )
})

// What is behind the end of a packet belongs to the next one.
test('no field reads beyond the end of its packet', () => {
  const fields = ['uint8', 'uint16', 'uint32', 'varint', 'utf8', 'name', 'binary', 'span'] as const
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), fc.constantFrom(...fields), (octets, field) => {
      const reader = open(octets, 2)
      try {
        reader[field]()
        assert.ok(reader.at <= reader.end)
      } catch (error) {
        assert.equal((error as { reasonCode?: number }).reasonCode, 0x81)
      }
    }),
    { numRuns: 2000 },
  )
})
