import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import { LoginExpiry } from './login-expiry.ts'

function userUntil(expiresAtMs: number): {
  name: string
  tags: []
  limits: {}
  expiresAtMs: number
} {
  return { name: 'u', tags: [], limits: {}, expiresAtMs }
}

test('a login with an end is over then, not before, and once', () => {
  const clock = new ManualClock()
  let overCount = 0
  const expiry = new LoginExpiry(clock, () => (overCount += 1))
  expiry.renew(userUntil(clock.now() + 3_600_000))
  clock.advance(3_599_999)
  assert.deepEqual([overCount, expiry.leftMs], [0, 1])
  clock.advance(1)
  assert.equal(overCount, 1)
  clock.advance(3_600_000)
  assert.equal(overCount, 1)
})

test('a renewal moves the end, a login without one has none', () => {
  const clock = new ManualClock()
  let overCount = 0
  const expiry = new LoginExpiry(clock, () => (overCount += 1))
  expiry.renew(userUntil(clock.now() + 60_000))
  clock.advance(30_000)
  expiry.renew(userUntil(clock.now() + 60_000))
  clock.advance(59_999)
  assert.equal(overCount, 0)
  expiry.renew({ name: 'u', tags: [], limits: {} })
  assert.equal(expiry.leftMs, null)
  clock.advance(3_600_000)
  assert.equal(overCount, 0)
})
