import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Relocations } from './relocations.ts'

/** Offsets below, places above, so that they are told apart. */
const OFFSETS = 12
const offset = fc.nat(OFFSETS - 1)
const step = fc.oneof(
  fc.record({ does: fc.constant('add'), offset, place: fc.integer({ min: 100, max: 120 }) }),
  fc.record({ does: fc.constantFrom('release', 'remove'), offset, place: fc.constant(0) }),
)

test('relocations say what a map says, however many hold a message', () => {
  // Messages are moved, moved again, released and removed in any order.
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 50 }),
      fc.integer({ min: 1, max: 3 }),
      (steps, refs) => {
        const relocations = new Relocations()
        const model = new Map<number, { place: number; refs: number }>()
        for (const { does, offset: at, place } of steps) {
          const known = model.get(at)
          if (does === 'add') {
            relocations.add(at, place, refs)
            model.set(at, { place, refs })
          } else if (does === 'remove') {
            relocations.remove(at)
            model.delete(at)
          } else {
            assert.equal(relocations.release(at), known?.place ?? at)
            if (known !== undefined && --known.refs === 0) model.delete(at)
          }
        }
        assert.equal(relocations.size, model.size)
        assert.equal(relocations.isEmpty, model.size === 0)
        assert.deepEqual(new Map(relocations.entries()), model)
        for (let at = 0; at < OFFSETS; at++) {
          assert.equal(relocations.locate(at), model.get(at)?.place ?? at)
        }
        const standing: number[] = []
        relocations.visitStandingIn(105, 110, (found) => standing.push(found))
        const expected = [...model].filter(([, { place }]) => place >= 105 && place < 110)
        assert.deepEqual(
          standing.toSorted((a, b) => a - b),
          expected.map(([at]) => at).toSorted((a, b) => a - b),
        )
        for (const count of [3, 1000]) {
          const within: number[] = []
          relocations.visitWithin(2, count, (found) => {
            within.push(found)
            relocations.remove(found)
          })
          const wanted = [...model.keys()].filter((at) => at >= 2 && at < 2 + count)
          assert.deepEqual(
            within.toSorted((a, b) => a - b),
            wanted.toSorted((a, b) => a - b),
          )
          for (const found of within) model.delete(found)
        }
      },
    ),
  )
})
