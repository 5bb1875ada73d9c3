import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import { FAILURE_MEMORY_MS, FAILURES_REMEMBERED_MAX } from './limits.ts'
import { LoginThrottle } from './login-throttle.ts'

test('the first failures cost nothing, each further one doubles the wait, up to a bound', () => {
  const clock = new ManualClock()
  const throttle = new LoginThrottle(clock)
  const waits: (number | null)[] = []
  for (let attempt = 0; attempt < 10; attempt++) {
    const waitMs = throttle.admit('u', 'a')
    waits.push(waitMs)
    clock.advance(waitMs ?? 0)
    throttle.failed('u', 'a')
  }
  assert.deepEqual(waits, [0, 0, 0, 250, 500, 1000, 2000, 4000, 5000, 5000])
})

test('attempts that come together wait for each other, and the last are refused', () => {
  const throttle = new LoginThrottle(new ManualClock())
  for (let count = 0; count < 7; count++) throttle.failed('u', 'a')
  const waits = Array.from({ length: 5 }, () => throttle.admit('u', 'a'))
  assert.deepEqual(waits, [4000, 8000, null, null, null])
})

test('another user, another address and a success are free of it', () => {
  const throttle = new LoginThrottle(new ManualClock())
  for (let count = 0; count < 9; count++) throttle.failed('u', 'a')
  assert.equal(throttle.admit('v', 'a'), 0)
  assert.equal(throttle.admit('u', 'b'), 0)
  throttle.succeeded('u', 'a')
  assert.equal(throttle.admit('u', 'a'), 0)
})

test('failures are forgotten in time, and never more than a bound is remembered', () => {
  const clock = new ManualClock()
  const throttle = new LoginThrottle(clock)
  for (let count = 0; count < 9; count++) throttle.failed('u', 'a')
  clock.advance(FAILURE_MEMORY_MS + 1)
  assert.equal(throttle.admit('u', 'a'), 0)
  throttle.failed('u', 'a')
  assert.equal(throttle.admit('u', 'a'), 0)
  for (let index = 0; index < FAILURES_REMEMBERED_MAX + 500; index++) {
    throttle.failed(`user-${index}`, 'a')
  }
  assert.equal(throttle.size, FAILURES_REMEMBERED_MAX)
  clock.advance(FAILURE_MEMORY_MS + 1)
  throttle.failed('u', 'a')
  assert.equal(throttle.size, 1)
})
