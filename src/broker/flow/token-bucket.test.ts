import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TokenBucket } from './token-bucket.ts'

test('a burst passes at once, and then what the rate allows', () => {
  const bucket = new TokenBucket(100, 50, 0)
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
      const bucket = new TokenBucket(rate, burstMs, 0)
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
