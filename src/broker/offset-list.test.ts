import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OffsetList } from './offset-list.ts'

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('add'), gap: fc.integer({ min: 1, max: 40 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('delete'), gap: fc.nat(3000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace'), gap: fc.nat(3000) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('run'), gap: fc.nat(1500) }) },
  ),
  { maxLength: 120 },
)

// Offsets rise with gaps, and anything may go or be replaced at any time.
test('a list holds what a map holds, in order', () => {
  fc.assert(
    fc.property(steps, (taken) => {
      const list = new OffsetList()
      const model = new Map<number, number>()
      let next = 0
      const add = (gap: number): void => {
        next += gap
        list.set(next, -next)
        model.set(next, -next)
      }
      for (const { kind, gap } of taken) {
        const known = Array.from(model.keys())
        const offset = known[gap % Math.max(1, known.length)] ?? gap
        if (kind === 'add') add(gap)
        else if (kind === 'run') for (let left = gap; left > 0; left--) add(1)
        else if (kind === 'delete') {
          // Whole stretches, so that chunks empty.
          for (let at = offset; at < offset + gap; at++) {
            assert.equal(list.delete(at), model.delete(at))
          }
        } else if (model.has(offset)) {
          list.set(offset, gap)
          model.set(offset, gap)
        }
        assert.equal(list.size, model.size)
        assert.equal(list.get(offset), model.get(offset))
      }
      const visited: [number, number][] = []
      list.visit((offset, value) => visited.push([offset, value]))
      assert.deepEqual(visited, Array.from(model))
    }),
  )
})

test('what comes out of order is a mistake', () => {
  const list = new OffsetList()
  list.set(5, 1)
  assert.throws(() => list.set(4, 1), RangeError)
  assert.equal(list.get(4), undefined)
  list.clear()
  list.set(4, 1)
  assert.equal(list.get(4), 1)
})
