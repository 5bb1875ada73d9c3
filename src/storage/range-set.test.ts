import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RangeSet } from './range-set.ts'

test('it holds what a plain set of numbers holds, in as few ranges as there can be', () => {
  const range = fc.tuple(fc.nat(60), fc.nat(12))
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), fc.nat(60), (ranges, below) => {
      const set = new RangeSet()
      const model = new Set<number>()
      for (const [from, size] of ranges) {
        set.add(from, from + size)
        for (let offset = from; offset < from + size; offset++) model.add(offset)
      }
      const check = (): void => {
        let count = 0
        for (let offset = 0; offset < 80; offset++) {
          assert.equal(set.covers(offset, offset + 1), model.has(offset))
          if (model.has(offset) && !model.has(offset - 1)) count++
          let end = offset
          while (model.has(end)) end++
          assert.equal(set.endOf(offset), end)
          assert.equal(set.covers(offset, end), true)
          assert.equal(set.covers(offset, end + 1), false)
          let start = offset
          while (model.has(offset) && model.has(start - 1)) start--
          assert.equal(set.startOf(offset), start)
        }
        assert.equal(set.rangeCount, count)
      }
      check()
      set.removeBelow(below)
      for (const offset of [...model]) if (offset < below) model.delete(offset)
      check()
    }),
    { numRuns: 200 },
  )
})
