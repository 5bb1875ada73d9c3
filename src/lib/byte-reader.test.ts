import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteReader, ByteReadError } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'

type Step = readonly ['u8' | 'u16' | 'u32' | 'u64Number' | 'f64', number] | readonly ['u64', bigint]

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('u8' as const), fc.nat(0xff)),
    fc.tuple(fc.constant('u16' as const), fc.nat(0xffff)),
    fc.tuple(fc.constant('u32' as const), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
    fc.tuple(fc.constant('u64Number' as const), fc.maxSafeNat()),
    fc.tuple(fc.constant('u64' as const), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    fc.tuple(fc.constant('f64' as const), fc.double()),
  ),
)

// A pooled Buffer may start anywhere.
test('what was written is read back, from any byteOffset', () => {
  fc.assert(
    fc.property(steps, fc.nat(64), (list, offset) => {
      const pool = new Uint8Array(offset + list.length * 8 + 3).fill(0xaa)
      const window = pool.subarray(offset)
      const writer = new ByteWriter(window)
      for (const [kind, value] of list) {
        if (kind === 'u64') writer.u64(value)
        else writer[kind](value)
      }
      const reader = new ByteReader(window, 0, writer.offset)
      for (const [kind, value] of list) assert.deepEqual(reader[kind](), value)
      assert.equal(reader.remaining, 0)
    }),
    { numRuns: 200 },
  )
})

test('signed fields keep their sign and text its characters', () => {
  const bytes = new Uint8Array(40)
  const writer = new ByteWriter(bytes, 1)
  writer.u8(-2)
  writer.u16(-2)
  writer.u32(-2)
  writer.i64(-2n)
  writer.f32(1.5)
  const textBytes = writer.text('é€')
  writer.bytes(Uint8Array.of(1, 2))
  writer.skip(1)
  assert.equal(writer.remaining, 40 - writer.offset)

  const reader = new ByteReader(bytes, 1)
  assert.deepEqual([reader.i8(), reader.i16(), reader.i32(), reader.i64()], [-2, -2, -2, -2n])
  assert.equal(reader.f32(), 1.5)
  assert.equal(reader.text(textBytes), 'é€')
  assert.deepEqual(reader.bytes(2), Uint8Array.of(1, 2))
  reader.skip(1)
  assert.equal(reader.offset, writer.offset)
  assert.equal(reader.end, 40)
})

test('a short read throws and leaves the cursor where it was', () => {
  const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4), 1, 3)
  const reads = ['u32', 'i64', 'u64', 'u64Number', 'f32', 'f64'] as const
  for (const kind of reads) {
    assert.throws(() => reader[kind](), { name: 'ByteReadError', code: 'OUT_OF_BOUNDS' })
  }
  for (const size of [3, 2 ** 32, -1, Number.NaN]) {
    assert.throws(() => reader.bytes(size), ByteReadError)
  }
  assert.equal(reader.offset, 1)
  assert.equal(reader.u16(), 0x0203)
})

test('octets that are no text are refused, not replaced', () => {
  const reader = new ByteReader(Uint8Array.of(0x61, 0xff))
  assert.throws(() => reader.text(2), { code: 'MALFORMED_UTF8' })
  assert.equal(reader.text(1), 'a')
})

test('a reader and a writer move to another window', () => {
  const other = new Uint8Array(12).subarray(2)
  const writer = new ByteWriter(new Uint8Array(8))
  writer.f64(1)
  writer.reset(other, 1).f64(2)
  assert.equal(writer.offset, 9)
  const reader = new ByteReader(new Uint8Array(8))
  assert.equal(reader.f64(), 0)
  assert.equal(reader.reset(other, 1).f64(), 2)
  assert.throws(() => reader.reset(other, 3, 11), RangeError)
  assert.throws(() => writer.reset(other, 3, 2), RangeError)
})

test('a writer never leaves its window', () => {
  const bytes = new Uint8Array(8)
  const writer = new ByteWriter(bytes, 2, 5)
  assert.throws(() => writer.u32(1), RangeError)
  assert.throws(() => writer.text('four'), RangeError)
  assert.throws(() => writer.bytes(new Uint8Array(4)), RangeError)
  assert.throws(() => writer.u64Number(-1), RangeError)
  assert.throws(() => writer.u64Number(2 ** 53), RangeError)
  writer.u8(1)
  writer.u16(0x0203)
  assert.deepEqual(bytes, Uint8Array.of(0, 0, 1, 2, 3, 0, 0, 0))
})
