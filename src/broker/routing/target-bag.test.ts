import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TargetBag } from './target-bag.ts'

test('a target is in as long as it was added more often than removed', () => {
  const targets = [{ name: 'a' }, { name: 'b' }, { name: 'c' }]
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(2)), { maxLength: 40 })
  fc.assert(
    fc.property(steps, (changes) => {
      const bag = new TargetBag<object>()
      const counts = [0, 0, 0]
      for (const [adds, index] of changes) {
        if (adds) {
          bag.add(targets[index]!)
          counts[index]! += 1
        } else if (counts[index]! > 0) {
          bag.remove(targets[index]!)
          counts[index]! -= 1
        }
        const found = new Set<object>()
        bag.collect(found)
        assert.deepEqual(found, new Set(targets.filter((_, at) => counts[at]! > 0)))
        assert.equal(bag.isEmpty, found.size === 0)
      }
    }),
  )
})
