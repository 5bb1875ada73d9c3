import assert from 'node:assert/strict'
import { test } from 'node:test'
import { barOf } from './redrive.ts'

test('a bar shows how much was looked at', () => {
  assert.equal(barOf({ looked: 0, waiting: 10 }), `[${'.'.repeat(30)}]   0 %`)
  assert.equal(barOf({ looked: 5, waiting: 10 }), `[${'#'.repeat(15)}${'.'.repeat(15)}]  50 %`)
  // Nothing waited, or more came meanwhile.
  assert.equal(barOf({ looked: 0, waiting: 0 }), `[${'#'.repeat(30)}] 100 %`)
  assert.equal(barOf({ looked: 12, waiting: 10 }), `[${'#'.repeat(30)}] 100 %`)
})
