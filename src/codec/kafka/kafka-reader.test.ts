import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KafkaReader, readInt8 } from './kafka-reader.ts'
import { KafkaWriter } from './kafka-writer.ts'
import { ELEMENTS_MAX } from './limits.ts'
import { KafkaMessageError } from './message-error.ts'
import { UUID_CHARS, ZERO_UUID } from './uuid.ts'

function open(bytes: Buffer, flexible = false): KafkaReader {
  const reader = new KafkaReader().open(bytes, 0, bytes.length)
  reader.flexible = flexible
  return reader
}

function written(flexible: boolean, write: (writer: KafkaWriter) => void): Buffer {
  const writer = new KafkaWriter(1).start()
  writer.flexible = flexible
  write(writer)
  return writer.bytes()
}

// A client may send any 64 bits; what a safe integer cannot hold is held as the nearest one.
test('int64 is exact where a number can be, and the nearest elsewhere', () => {
  const values = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const edges = [2n ** 53n - 1n, 2n ** 53n, -(2n ** 53n), -(2n ** 53n) + 1n, 2n ** 63n - 1n, -1n]
  const check = (value: bigint): void => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(value)
    const max = BigInt(Number.MAX_SAFE_INTEGER)
    const nearest = value > max ? max : value < -max ? -max : value
    assert.equal(open(bytes).int64(), Number(nearest))
  }
  for (const edge of edges) check(edge)
  fc.assert(fc.property(values, check))
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const bytes = written(false, (writer) => writer.int64(value))
      assert.equal(bytes.readBigInt64BE(), BigInt(value))
    }),
  )
})

test('an unsigned varint takes any 32 bits and no more', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 0x7fff_ffff }), (value) => {
      const reader = open(written(false, (writer) => writer.uvarint(value)))
      assert.equal(reader.uvarint(), value)
      reader.finish()
    }),
  )
  assert.equal(open(Buffer.from('ffffffff0f', 'hex')).uvarint(), 0xffff_ffff)
  assert.throws(() => open(Buffer.from('ffffffff1f', 'hex')).uvarint(), KafkaMessageError)
  assert.throws(() => open(Buffer.from('ffffffffff01', 'hex')).uvarint(), KafkaMessageError)
})

// A peer may claim any count in four octets.
test('a count the message cannot hold is refused before an element is read', () => {
  let reads = 0
  const element = (): number => (reads += 1)
  const claim = Buffer.from('7fffffff00000000', 'hex')
  assert.throws(() => open(claim).array(0, 1, element), KafkaMessageError)
  assert.throws(() => open(claim).array(0, 0x4000_0000, element), KafkaMessageError)
  assert.throws(() => open(Buffer.from('fffffffe', 'hex')).array(0, 1, element), KafkaMessageError)
  assert.throws(
    () => open(Buffer.from('ffffffff0f00', 'hex'), true).array(0, 1, element),
    KafkaMessageError,
  )
  assert.equal(reads, 0)
})

test('all arrays of a message together hold a limited number of elements', () => {
  const half = ELEMENTS_MAX / 2 + 1
  const one = written(false, (writer) => writer.byteString(Buffer.alloc(half)))
  const reader = open(Buffer.concat([one, one]))
  assert.equal(reader.array(0, 1, readInt8).length, half)
  assert.throws(() => reader.array(0, 1, readInt8), /more than 262144 elements/)
  const again = reader.open(reader.bytes, 0, reader.bytes.length)
  assert.equal(again.array(0, 1, readInt8).length, half)
})

test('null is refused where the schema does not allow it', () => {
  for (const flexible of [false, true]) {
    const nothing = (): KafkaReader => open(Buffer.alloc(4, flexible ? 0 : 0xff), flexible)
    assert.equal(nothing().nullableString(), null)
    assert.equal(nothing().records(), null)
    assert.equal(nothing().nullableArray(0, 1, readInt8), null)
    assert.throws(() => nothing().string(), /null/)
    assert.throws(() => nothing().byteString(), /null/)
    assert.throws(() => nothing().array(0, 1, readInt8), /null/)
  }
  assert.throws(() => open(Buffer.from('fffe', 'hex')).nullableString(), KafkaMessageError)
})

test('a uuid is shown as Kafka shows it', () => {
  assert.equal(ZERO_UUID.length, UUID_CHARS)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (octets) => {
      const text = Buffer.from(octets).toString('base64url')
      const bytes = written(true, (writer) => writer.uuid(text))
      assert.deepEqual(bytes, Buffer.from(octets))
      assert.equal(open(bytes).uuid(), text)
    }),
  )
  assert.equal(open(Buffer.alloc(16)).uuid(), ZERO_UUID)
  assert.throws(() => written(true, (writer) => writer.uuid('short')), RangeError)
})

// The size of a tagged field is known only behind it, and may take several octets.
test('a tagged field of any size is written and read', () => {
  for (const size of [0, 1, 127, 128, 16_383, 16_384, 300_000]) {
    const bytes = written(true, (writer) => {
      writer.tagCount(2)
      for (const tag of [3, 200]) {
        const start = writer.startTag(tag)
        for (let index = 0; index < size; index += 1) writer.int8(tag)
        writer.endTag(start)
      }
      writer.int8(9)
    })
    const reader = open(bytes, true)
    reader.skipTags()
    assert.equal(reader.int8(), 9)
    reader.finish()
  }
})

test('tags that do not ascend, or lie about their size, are refused', () => {
  assert.throws(() => open(Buffer.from('0205000500', 'hex'), true).skipTags(), /behind 5/)
  assert.throws(() => open(Buffer.from('010509', 'hex'), true).skipTags(), KafkaMessageError)
  const reader = open(Buffer.from('0401020304', 'hex'), true)
  const end = reader.tagEnd()
  reader.int8()
  assert.throws(() => reader.expectAt(end), /another size/)
})

test('a writer that grew large lets the memory go', () => {
  const writer = new KafkaWriter()
  writer.start().records({ size: 5_000_000, chunks: [Buffer.alloc(5_000_000)] })
  assert.equal(writer.size, 5_000_004)
  assert.equal(writer.start().bytes().buffer.byteLength < 1_000_000, true)
})

test('a string too long for its length is a mistake of the program', () => {
  assert.throws(() => written(false, (writer) => writer.string('x'.repeat(40_000))), RangeError)
  const bytes = written(true, (writer) => writer.string('x'.repeat(40_000)))
  assert.equal(open(bytes, true).string().length, 40_000)
})
