import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QueueIndex } from './queue-index.ts'

type State = 'ready' | 'out' | 'returned'

/** The same in thirty lines: a sorted map from offset to state. */
class Model {
  readonly live = new Map<number, State>()
  nextOffset = 0

  next(): number {
    for (const [offset, state] of this.live) if (state !== 'out') return offset
    return -1
  }

  offsets(): number[] {
    return [...this.live.keys()]
  }
}

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom(
      'push',
      'push',
      'pushMany',
      'take',
      'take',
      'takeAt',
      'settle',
      'release',
      'purge',
      'settleRun',
      'code',
    ),
    gap: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(100_000)),
    pick: fc.nat(),
    many: fc.integer({ min: 1, max: 6000 }),
  }),
  { maxLength: 120 },
)

test('a queue index agrees with a sorted map over any course of events', () => {
  fc.assert(
    fc.property(steps, (course) => {
      let index = new QueueIndex()
      const model = new Model()
      const push = (gap: number): void => {
        model.nextOffset += gap
        index.push(model.nextOffset)
        model.live.set(model.nextOffset, 'ready')
        model.nextOffset++
      }
      for (const step of course) {
        const offsets = model.offsets()
        const picked = offsets[step.pick % Math.max(1, offsets.length)] ?? step.pick
        if (step.kind === 'push') push(step.gap)
        else if (step.kind === 'pushMany') {
          push(step.gap)
          for (let left = step.many; left > 1; left--) push(0)
        } else if (step.kind === 'take') {
          const expected = model.next()
          assert.equal(index.next(), expected)
          if (expected >= 0) {
            assert.equal(index.nextIsReturned, model.live.get(expected) === 'returned')
            index.take()
            model.live.set(expected, 'out')
          }
        } else if (step.kind === 'settle') {
          assert.equal(index.settle(picked), model.live.delete(picked))
          assert.equal(index.settle(picked), false)
        } else if (step.kind === 'takeAt') {
          const state = model.live.get(picked)
          assert.equal(index.takeAt(picked), state === 'ready' || state === 'returned')
          if (state !== undefined) model.live.set(picked, 'out')
        } else if (step.kind === 'release') {
          const wasOut = model.live.get(picked) === 'out'
          assert.equal(index.release(picked), wasOut)
          if (wasOut) model.live.set(picked, 'returned')
        } else if (step.kind === 'purge') {
          const gone: number[] = []
          index.purgeReady((start, count) => {
            for (let n = 0; n < count; n++) gone.push(start + n)
          })
          const expected = offsets.filter((offset) => model.live.get(offset) !== 'out')
          assert.deepEqual(gone, expected)
          for (const offset of expected) model.live.delete(offset)
        } else if (step.kind === 'settleRun') {
          // Only a restart settles runs: nothing is out or returned then.
          for (const offset of offsets) {
            if (model.live.get(offset) === 'ready') continue
            model.live.delete(offset)
            index.settle(offset)
          }
          let count = 0
          for (let offset = picked; offset < picked + step.many; offset++) {
            if (model.live.delete(offset)) count++
          }
          assert.equal(index.settleRun(picked, step.many), count)
        } else {
          const again = new QueueIndex()
          const bytes = index.encode()
          assert.equal(again.decode(bytes, 0), bytes.length)
          index = again
          for (const offset of offsets) model.live.set(offset, 'ready')
        }
        const states = [...model.live.values()]
        assert.equal(index.outCount, states.filter((state) => state === 'out').length)
        assert.equal(index.liveCount, states.length)
        assert.equal(index.next(), model.next())
      }
      const seen: number[] = []
      index.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
        for (let n = 0; n < count; n++) seen.push(start + n)
      })
      assert.deepEqual(seen, model.offsets())
    }),
    { numRuns: 150 },
  )
})

test('ten million consecutive messages take a few megabytes', () => {
  const index = new QueueIndex()
  const before = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers
  for (let offset = 0; offset < 10_000_000; offset++) index.push(offset)
  const grown = process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers - before
  assert.ok(grown < 16 * 1024 * 1024, `${grown} bytes`)
  assert.equal(index.readyCount, 10_000_000)
  assert.ok(index.encode().length < 64 * 1024)
})

test('millions in scattered pieces are settled, purged and skipped without moving them all', () => {
  const index = new QueueIndex()
  const runs = 60_000
  const fill = (): void => {
    for (let run = 0; run < runs; run++) {
      for (let n = 0; n < 33; n++) index.push(run * 40 + n + base)
    }
  }
  let base = 0
  const startedMs = performance.now()
  fill()
  // The first one stays, so that none of the pieces behind it is at the front.
  index.next()
  index.take()
  for (let left = runs * 33 - 1; left > 0; left--) {
    const offset = index.next()
    index.take()
    assert.ok(index.settleOut(offset))
  }
  assert.equal(index.liveCount, 1)
  base = runs * 40
  fill()
  assert.equal(index.settleRun(base, runs * 20), (runs / 2) * 33)
  assert.equal(
    index.purgeReady(() => {}),
    (runs / 2) * 33,
  )
  assert.equal(index.liveCount, 1)
  const tookMs = performance.now() - startedMs
  assert.ok(tookMs < 5000, `${tookMs} ms`)
})

test('only what is out is settled as such', () => {
  const index = new QueueIndex()
  index.push(1)
  assert.ok(!index.settleOut(1))
  index.next()
  index.take()
  index.release(1)
  assert.ok(!index.settleOut(1))
  index.next()
  index.take()
  assert.ok(index.settleOut(1))
  assert.ok(!index.settleOut(1))
})

test('a message sent out at once is settled like any other', () => {
  const index = new QueueIndex()
  index.pushOut(5)
  index.push(6)
  assert.equal(index.next(), 6)
  assert.ok(index.isOut(5))
  assert.ok(index.release(5))
  assert.equal(index.next(), 5)
  assert.ok(index.nextIsReturned)
})
