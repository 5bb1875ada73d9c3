import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AcceptRate } from './accept-rate.ts'

function admitted(rate: AcceptRate, nowMs: number, tries: number): number {
  let count = 0
  for (let n = 0; n < tries; n++) if (rate.admits(nowMs)) count++
  return count
}

test('as many connections pass as a second may have, then as many as time gives', () => {
  const rate = new AcceptRate(10)
  assert.equal(admitted(rate, 1000, 50), 10)
  assert.equal(admitted(rate, 1250, 50), 2)
  assert.equal(admitted(rate, 1300, 50), 1)
  // A long rest saves up no more than a second.
  assert.equal(admitted(rate, 100_000, 50), 10)
})
