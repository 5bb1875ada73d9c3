import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ManualClock, systemClock, type Clock, type Timer } from '../lib/clock.ts'
import { TimerIndex, type TimerTarget } from './timer-index.ts'

const START_MS = 1_000_000

class Recorder implements TimerTarget {
  readonly fired: { value: number; dueMs: number; atMs: number }[] = []
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  onTimer(value: number, dueMs: number): void {
    this.fired.push({ value, dueMs, atMs: this.#clock.now() })
  }

  get values(): number[] {
    return this.fired.map(({ value }) => value)
  }
}

function setup(): { clock: ManualClock; index: TimerIndex; recorder: Recorder } {
  const clock = new ManualClock(START_MS)
  return { clock, index: new TimerIndex(clock), recorder: new Recorder(clock) }
}

test('timers fire at their time, in order of due time and then of scheduling', () => {
  const { clock, index, recorder } = setup()
  index.schedule(START_MS + 30, recorder, 3)
  index.schedule(START_MS + 10, recorder, 1)
  index.schedule(START_MS + 10, recorder, 2)
  index.schedule(START_MS - 5, recorder, 0)
  assert.deepEqual(recorder.values, [], 'never inside the call')
  clock.advance(0)
  assert.deepEqual(recorder.values, [0])
  clock.advance(9)
  assert.deepEqual(recorder.values, [0])
  clock.advance(1)
  assert.deepEqual(recorder.values, [0, 1, 2])
  clock.advance(1000)
  assert.deepEqual(recorder.fired.at(-1), { value: 3, dueMs: START_MS + 30, atMs: START_MS + 30 })
  assert.equal(index.size, 0)
  assert.equal(clock.timerCount, 0, 'an empty index asks the clock for nothing')
})

interface ModelTimer {
  readonly value: number
  readonly handle: number
  dueMs: number
  order: number
}

const step = fc.oneof(
  fc.record({ action: fc.constant('schedule' as const), pick: fc.nat(), delayMs: fc.nat(40) }),
  fc.record({ action: fc.constant('cancel' as const), pick: fc.nat(), delayMs: fc.nat(40) }),
  fc.record({ action: fc.constant('reschedule' as const), pick: fc.nat(), delayMs: fc.nat(40) }),
  fc.record({ action: fc.constant('advance' as const), pick: fc.nat(), delayMs: fc.nat(25) }),
)

// Handles of timers long gone are kept and used again, as a careless owner would.
test('any order of calls fires what a sorted list would', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { clock, index, recorder } = setup()
      let waiting: ModelTimer[] = []
      const handles: number[] = []
      const expected: number[] = []
      for (const [number, { action, pick, delayMs }] of steps.entries()) {
        const handle = handles[pick % Math.max(handles.length, 1)] ?? 0
        const known = waiting.find((timer) => timer.handle === handle)
        const dueMs = clock.now() + delayMs
        if (action === 'schedule') {
          const made = index.schedule(dueMs, recorder, number)
          assert.ok(Number.isSafeInteger(made) && made > 0)
          assert.ok(!handles.includes(made))
          handles.push(made)
          waiting.push({ value: number, handle: made, dueMs, order: number })
        } else if (action === 'cancel') {
          assert.equal(index.cancel(handle), known !== undefined)
          waiting = waiting.filter((timer) => timer !== known)
        } else if (action === 'reschedule') {
          assert.equal(index.reschedule(handle, dueMs), known !== undefined)
          if (known !== undefined) Object.assign(known, { dueMs, order: number })
        } else {
          clock.advance(delayMs)
          const due = waiting.filter((timer) => timer.dueMs <= clock.now())
          due.sort((a, b) => a.dueMs - b.dueMs || a.order - b.order)
          expected.push(...due.map((timer) => timer.value))
          waiting = waiting.filter((timer) => !due.includes(timer))
          assert.deepEqual(recorder.values, expected)
        }
        assert.equal(index.size, waiting.length)
      }
      for (const { atMs, dueMs } of recorder.fired) assert.ok(atMs >= dueMs)
    }),
    { numRuns: 200 },
  )
})

test('thousands of timers due at once leave turns for others', () => {
  const clock = new ManualClock(START_MS)
  const recorder = new Recorder(clock)
  const index = new TimerIndex(clock, { firesPerTurnMax: 100 })
  for (let value = 0; value < 1000; value++) index.schedule(START_MS + 10, recorder, value)
  const seenBetween: number[] = []
  const look = (): void => {
    seenBetween.push(recorder.fired.length)
    if (recorder.fired.length < 1000) clock.setTimer(0, look)
  }
  clock.setTimer(10, look)
  clock.advance(10)
  assert.equal(recorder.fired.length, 1000)
  assert.deepEqual(seenBetween, [100, 200, 300, 400, 500, 600, 700, 800, 900, 1000])
})

test('a timer that schedules itself in the past does not keep the turn', () => {
  const fired: number[] = []
  // Stands in for the event loop: one call is one turn.
  const turns: (() => void)[] = []
  const clock: Clock = {
    now: () => START_MS,
    monotonicMs: () => 0,
    setTimer: (_delayMs, callback): Timer => {
      turns.push(callback)
      return { cancel: () => assert.fail('nothing is due earlier') }
    },
  }
  const index = new TimerIndex(clock, { firesPerTurnMax: 10 })
  const again: TimerTarget = {
    onTimer: (value) => {
      fired.push(value)
      index.schedule(START_MS - 1, again, value + 1)
    },
  }
  index.schedule(START_MS - 1, again, 0)
  turns.shift()?.()
  assert.equal(fired.length, 10)
  assert.equal(turns.length, 1, 'one timer of the clock, whatever happens')
  turns.shift()?.()
  assert.equal(fired.length, 20)
})

test('one clock timer serves all, and is set anew only for an earlier due time', () => {
  const { clock, index, recorder } = setup()
  index.schedule(START_MS + 500, recorder, 1)
  index.schedule(START_MS + 700, recorder, 2)
  const early = index.schedule(START_MS + 100, recorder, 3)
  assert.equal(clock.timerCount, 1)
  index.cancel(early)
  clock.advance(499)
  assert.deepEqual(recorder.values, [])
  clock.advance(1)
  assert.deepEqual(recorder.values, [1])
  assert.equal(clock.timerCount, 1)
  index.close()
  assert.equal(clock.timerCount, 0)
  assert.equal(index.size, 0)
})

test('a wall clock set forward is noticed within a second', () => {
  const { clock, index, recorder } = setup()
  index.schedule(START_MS + 3_600_000, recorder, 1)
  clock.advance(10)
  clock.setWallClock(START_MS + 7_200_000)
  clock.advance(1000)
  assert.deepEqual(recorder.values, [1])
})

test('a wall clock set back delays timers and fires none early', () => {
  const { clock, index, recorder } = setup()
  index.schedule(START_MS + 100, recorder, 1)
  clock.setWallClock(START_MS - 5000)
  clock.advance(5099)
  assert.deepEqual(recorder.values, [])
  clock.advance(1)
  assert.deepEqual(recorder.values, [1])
})

test('a target that throws stops neither the other timers nor the clock', () => {
  const { clock, index, recorder } = setup()
  const broken: TimerTarget = {
    onTimer: () => {
      throw new Error('broken target')
    },
  }
  index.schedule(START_MS + 1, broken)
  index.schedule(START_MS + 1, recorder, 7)
  assert.throws(() => clock.advance(1), /broken target/)
  clock.advance(0)
  assert.deepEqual(recorder.values, [7])
})

test('far, endless and senseless due times', () => {
  const { clock, recorder } = setup()
  const index = new TimerIndex(clock, { checkMsMax: 3_600_000 })
  const never = index.schedule(Number.POSITIVE_INFINITY, recorder, 1)
  index.schedule(START_MS + 40 * 86_400_000, recorder, 2)
  assert.throws(() => index.schedule(Number.NaN, recorder), RangeError)
  assert.throws(() => index.reschedule(never, Number.NaN), RangeError)
  clock.advance(40 * 86_400_000)
  assert.deepEqual(recorder.values, [2])
  assert.equal(index.cancel(never), true)
  for (const handle of [never, 0, -1, 1, 2 ** 60]) assert.equal(index.cancel(handle), false)
})

test('works on the system clock, a little late and never early', async () => {
  const recorder = new Recorder(systemClock)
  const index = new TimerIndex(systemClock)
  const startMs = systemClock.now()
  for (let value = 0; value < 20; value++) index.schedule(startMs + value, recorder, value)
  await new Promise<void>((resolve) => {
    index.schedule(startMs + 25, { onTimer: () => resolve() })
  })
  assert.equal(recorder.fired.length, 20)
  for (const { atMs, dueMs } of recorder.fired) assert.ok(atMs >= dueMs)
  index.close()
})
