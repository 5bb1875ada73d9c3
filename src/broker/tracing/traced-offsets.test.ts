import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TracedOffsets } from './traced-offsets.ts'

// Offsets come and go in any order, and many of them look alike in their low bits.
test('what is there is never passed over, and nothing is looked for where nothing is', () => {
  const step = fc.record({
    does: fc.constantFrom('set', 'set', 'delete', 'clear'),
    offset: fc.oneof(
      fc.nat(40),
      fc.nat(40).map((n) => 2 ** 40 + n * 4096),
    ),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const traced = new TracedOffsets()
      const model = new Map<number, number>()
      for (const [value, { does, offset }] of steps.entries()) {
        if (does === 'set') {
          traced.set(offset, value)
          model.set(offset, value)
        } else if (does === 'delete') assert.equal(traced.delete(offset), model.delete(offset))
        else if (value % 10 === 0) {
          traced.clear()
          model.clear()
        }
        assert.equal(traced.size, model.size)
        for (const [at, known] of model) {
          assert.ok(traced.mayHold(at))
          assert.equal(traced.get(at), known)
        }
        if (model.size === 0)
          for (let at = 0; at < 64; at++) assert.equal(traced.mayHold(at), false)
      }
    }),
  )
})
