import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EVEN_WINDOW_MS, TokenBucket } from './token-bucket.ts'

test('a burst passes at once, and then what the rate allows', () => {
  const bucket = TokenBucket.withBurst(100, 50, 0)
  let passed = 0
  while (bucket.admits(0)) {
    bucket.use(1, 0)
    passed++
  }
  assert.equal(passed, 5, '50 ms of 100 a second')
  assert.equal(bucket.waitMs(0), 10)
  assert.equal(bucket.fullMs(0), 50)
  assert.equal(bucket.admits(9), false)
  assert.equal(bucket.admits(10), true)
  assert.equal(bucket.fullMs(60_000), 0, 'a rest saves up no more than the burst')
  bucket.use(1000, 60_000)
  assert.equal(bucket.waitMs(60_000), 9960, 'what was taken ahead is paid back')
})

// Uses come at any times and in any sizes; the clock never goes back.
test('in any span no more passes than its rate, the burst and one use too large', () => {
  const uses = fc.array(fc.tuple(fc.nat(200), fc.integer({ min: 1, max: 50 })), { maxLength: 200 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(500), uses, (rate, burstMs, wanted) => {
      const bucket = TokenBucket.withBurst(rate, burstMs, 0)
      const passed: { readonly atMs: number; readonly amount: number }[] = []
      let nowMs = 0
      for (const [spanMs, amount] of wanted) {
        nowMs += spanMs
        if (!bucket.admits(nowMs)) {
          assert.ok(bucket.waitMs(nowMs) > 0)
          assert.ok(bucket.waitMs(nowMs) <= bucket.fullMs(nowMs))
          nowMs += bucket.waitMs(nowMs)
          assert.ok(bucket.admits(nowMs), 'whoever waits as long as told may go on')
        }
        bucket.use(amount, nowMs)
        passed.push({ atMs: nowMs, amount })
      }
      for (const [first, { atMs: fromMs }] of passed.entries()) {
        let sum = 0
        for (const { atMs, amount } of passed.slice(first)) {
          const allowed = ((atMs - fromMs) * rate) / 1000 + bucket.burst
          assert.ok(sum <= allowed + 1e-3, `${sum} of ${allowed}`)
          sum += amount
        }
      }
    }),
    { numRuns: 100 },
  )
})

// Whoever waits comes late by any time, and what passes comes alone or in a crowd.
test('what passes evenly is within its rate in every window, and near it', () => {
  const late = fc.array(fc.double({ min: 0, max: 12, noNaN: true }), {
    maxLength: 300,
    size: 'max',
  })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20_000 }), late, (rate, delaysMs) => {
      const bucket = TokenBucket.even(rate, 0)
      const times: number[] = []
      let nowMs = 0
      for (const delayMs of delaysMs) {
        nowMs += bucket.waitMs(nowMs) + delayMs
        for (let left = 200; left > 0 && bucket.admits(nowMs); left--) {
          bucket.use(1, nowMs)
          times.push(nowMs)
        }
      }
      // In a window of that length, the fullest of which begins with a message.
      const within = Math.ceil((rate * EVEN_WINDOW_MS) / 1000) + 1
      // In a longer one: how far what passed is behind the rate, at its lowest before the window.
      let lowest = Infinity
      let first = 0
      for (const [last, toMs] of times.entries()) {
        for (; times[first]! < toMs - EVEN_WINDOW_MS; first++) {
          lowest = Math.min(lowest, first - (rate * times[first]!) / 1000)
        }
        assert.ok(last - first < within, `${last - first + 1} of ${within}`)
        const above = last - (rate * toMs) / 1000 - lowest
        assert.ok(above < 1 + 1e-6, `${above} above ${rate}/s`)
      }
    }),
    { numRuns: 100 },
  )
})

test('timers that are late a little cost no more than the part that is kept back', () => {
  for (const rate of [10, 100, 1000, 5000]) {
    const bucket = TokenBucket.even(rate, 0)
    let passed = 0
    let nowMs = 0
    while (nowMs < 20_000) {
      nowMs += bucket.waitMs(nowMs) + 2
      for (; bucket.admits(nowMs); passed++) bucket.use(1, nowMs)
    }
    assert.ok(passed >= 20 * rate * 0.955, `${passed} in 20 s at ${rate}/s`)
  }
})
