import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetMap } from './offset-map.ts'

const offsets = fc.oneof(fc.nat(40), fc.maxSafeNat())
const steps = fc.array(
  fc.record({ offset: offsets, action: fc.constantFrom('set', 'set', 'delete', 'get') }),
  { maxLength: 300 },
)

// Offsets may be any safe integer, close together or far apart, and come and go in any order.
test('an offset map holds what a Map holds', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const map = new OffsetMap()
      const model = new Map<number, number>()
      for (const [index, { offset, action }] of list.entries()) {
        if (action === 'set') {
          map.set(offset, index)
          model.set(offset, index)
        } else if (action === 'delete') assert.equal(map.delete(offset), model.delete(offset))
        else assert.equal(map.get(offset), model.get(offset))
        assert.equal(map.size, model.size)
      }
      assert.deepEqual(new Map(map.entries()), model)
      map.deleteWhere((offset) => offset % 2 === 0)
      for (const offset of model.keys()) assert.equal(map.has(offset), offset % 2 !== 0)
    }),
  )
})

test('an offset map of many gives its memory back', () => {
  const map = new OffsetMap()
  for (let offset = 0; offset < 100_000; offset++) map.set(offset * 3, offset)
  for (let offset = 0; offset < 100_000; offset++) assert.ok(map.delete(offset * 3))
  assert.equal(map.size, 0)
  assert.equal([...map.entries()].length, 0)
})
