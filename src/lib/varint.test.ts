import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VarintReader, VarintWriter } from './varint.ts'

test('any list of safe integers is read back as it was written', () => {
  fc.assert(
    fc.property(fc.array(fc.maxSafeNat(), { maxLength: 2000 }), (values) => {
      const writer = new VarintWriter()
      for (const value of values) writer.write(value)
      const reader = new VarintReader(writer.bytes(), 0)
      assert.deepEqual(
        values.map(() => reader.read()),
        values,
      )
    }),
    { numRuns: 50 },
  )
})

test('an integer cut short is refused', () => {
  assert.throws(() => new VarintReader(Uint8Array.of(0x80, 0x80), 0).read(), RangeError)
})
