import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock } from './clock.ts'
import { Deadlines, type Deadlined } from './deadlines.ts'

class Item implements Deadlined {
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  passedAtMs: number | null = null
  readonly #clock: ManualClock

  constructor(deadlineMs: number, clock: ManualClock) {
    this.deadlineMs = deadlineMs
    this.#clock = clock
  }

  deadlinePassed(): void {
    assert.equal(this.passedAtMs, null, 'passed twice')
    this.passedAtMs = this.#clock.monotonicMs()
  }
}

// Things may be added and removed at any time, with deadlines near, far and long past.
test('each passes once, never early and at most a tick late, unless it was removed', () => {
  const step = fc.record({
    waitMs: fc.nat(5000),
    delayMs: fc.oneof(fc.nat(100), fc.nat(20_000), fc.nat(200_000)),
    remove: fc.option(fc.nat(50), { nil: null }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = new ManualClock()
      const deadlines = new Deadlines(clock)
      const items: Item[] = []
      const removed = new Set<Item>()
      for (const { waitMs, delayMs, remove } of steps) {
        clock.advance(waitMs)
        const item = new Item(clock.monotonicMs() + delayMs - 50, clock)
        items.push(item)
        deadlines.add(item)
        const other = remove === null ? undefined : items[remove]
        if (other === undefined) continue
        deadlines.remove(other)
        if (other.passedAtMs === null) removed.add(other)
      }
      clock.advance(250_000)
      assert.equal(deadlines.size, 0)
      assert.equal(clock.timerCount, 0)
      for (const item of items) {
        if (removed.has(item)) assert.equal(item.passedAtMs, null)
        else assert.ok(item.passedAtMs !== null && item.passedAtMs >= item.deadlineMs)
      }
    }),
  )
})

test('a deadline passes at most one tick late', () => {
  const clock = new ManualClock()
  const deadlines = new Deadlines(clock)
  const items = [1, 7, 8, 9, 500, 16_384, 16_385, 40_000].map((ms) => new Item(ms, clock))
  for (const item of items) deadlines.add(item)
  for (let index = 0; index < 50_000; index++) clock.advance(1)
  for (const item of items) {
    assert.ok(item.passedAtMs! - item.deadlineMs <= 8, `${item.deadlineMs} at ${item.passedAtMs}`)
  }
})

test('a closed list has no timer and tells nobody', () => {
  const clock = new ManualClock()
  const deadlines = new Deadlines(clock)
  const item = new Item(100, clock)
  deadlines.add(item)
  deadlines.close()
  assert.equal(clock.timerCount, 0)
  clock.advance(1000)
  assert.equal(item.passedAtMs, null)
})
