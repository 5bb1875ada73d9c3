import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CallTally } from './call-tally.ts'

// Calls may take any time.
test('a quantile is what sorting all of them gives, up to a quarter more', () => {
  const times = fc.array(fc.double({ min: 0.01, max: 60_000, noNaN: true }), {
    minLength: 1,
    maxLength: 300,
  })
  fc.assert(
    fc.property(times, fc.constantFrom(0.01, 0.5, 0.99, 1), (all, part) => {
      const tally = new CallTally()
      for (const tookMs of all) tally.add(tookMs)
      const half = all.length >> 1
      const parts = [all.slice(0, half), all.slice(half)].map((some) => {
        const one = new CallTally()
        for (const tookMs of some) one.add(tookMs)
        return one
      })
      assert.equal(CallTally.of(parts).quantileMs(part), tally.quantileMs(part))
      const exact = all.toSorted((a, b) => a - b)[Math.ceil(all.length * part) - 1]!
      const found = tally.quantileMs(part)!
      assert.ok(found >= exact * 0.999 && found <= exact * 1.26, `${found} for ${exact}`)
    }),
  )
})

test('it tells of late, not of ever, and of nothing when there was nothing', () => {
  const tally = new CallTally()
  assert.equal(tally.quantileMs(0.5), null)
  for (let at = 0; at < 100_000; at++) tally.add(1)
  for (let at = 0; at < 8000; at++) tally.add(100)
  assert.ok(tally.quantileMs(0.5)! >= 100)
})
