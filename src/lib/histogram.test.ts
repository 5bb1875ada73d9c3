import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram } from './histogram.ts'

test('a value is counted at the first bound that it does not exceed', () => {
  const histogram = new Histogram([1, 2, 5])
  for (const value of [0, 1, 1.5, 2, 4, 5, 6, 100]) histogram.record(value)
  assert.deepEqual([...histogram.counts], [2, 2, 2])
  assert.equal(histogram.count, 8)
  assert.equal(histogram.sum, 119.5)
})
