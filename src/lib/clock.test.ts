import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock, systemClock, TIMER_DELAY_MS_MAX } from './clock.ts'

test('a manual clock fires timers in order of due time, then of setting', () => {
  const clock = new ManualClock(1000)
  const fired: string[] = []
  clock.setTimer(20, () => fired.push(`late at ${clock.now()}`))
  clock.setTimer(10, () => fired.push(`first at ${clock.now()}`))
  clock.setTimer(10, () => fired.push(`second at ${clock.now()}`))
  clock.advance(9)
  assert.deepEqual(fired, [])
  clock.advance(11)
  assert.deepEqual(fired, ['first at 1010', 'second at 1010', 'late at 1020'])
  assert.equal(clock.monotonicMs(), 20)
  assert.equal(clock.timerCount, 0)
})

test('a timer set by a callback fires in the same advance when it falls into it', () => {
  const clock = new ManualClock(0)
  const times: number[] = []
  const tick = (): void => {
    times.push(clock.now())
    clock.setTimer(10, tick)
  }
  clock.setTimer(10, tick)
  clock.advance(35)
  assert.deepEqual(times, [10, 20, 30])
  assert.equal(clock.now(), 35)
})

test('a cancelled timer does not fire, and cancelling twice does nothing', () => {
  const clock = new ManualClock()
  const timer = clock.setTimer(1, () => assert.fail('it was cancelled'))
  timer.cancel()
  timer.cancel()
  clock.advance(10)
})

test('setting the wall clock moves no timer', () => {
  const clock = new ManualClock(1000)
  let fired = 0
  clock.setTimer(10, () => fired++)
  clock.setWallClock(999_999)
  clock.advance(9)
  assert.equal(fired, 0)
  assert.equal(clock.now(), 1_000_008)
  clock.advance(1)
  assert.equal(fired, 1)
})

test('an endless timer and a step back are reported, not looped over', () => {
  const clock = new ManualClock()
  const again = (): void => void clock.setTimer(0, again)
  again()
  assert.throws(() => clock.advance(1), /for ever/)
  assert.throws(() => clock.advance(-1), RangeError)
  assert.throws(() => clock.advance(Number.NaN), RangeError)
})

test('the system clock fires later, never early, and takes long delays', async () => {
  const before = systemClock.monotonicMs()
  let inside = true
  await new Promise<void>((resolve) => {
    systemClock.setTimer(5, () => {
      assert.equal(inside, false)
      resolve()
    })
    inside = false
  })
  assert.ok(systemClock.monotonicMs() - before >= 4)
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000)
  const long = systemClock.setTimer(TIMER_DELAY_MS_MAX * 10, () => assert.fail('far too early'))
  await new Promise<void>((resolve) => void systemClock.setTimer(10, resolve))
  long.cancel()
})
