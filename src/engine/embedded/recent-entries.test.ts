import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LogEntry } from '../contract.ts'
import { RecentEntries, entryCost } from './recent-entries.ts'

const step = fc.oneof(
  fc.record({
    do: fc.constant('push'),
    a: fc.integer({ min: 1, max: 4 }),
    b: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ do: fc.constant('dropOldest'), a: fc.constant(0), b: fc.constant(0) }),
  fc.record({ do: fc.constant('dropBelow'), a: fc.nat(60), b: fc.constant(0) }),
  fc.record({ do: fc.constant('dropWithin'), a: fc.nat(60), b: fc.nat(30) }),
)

test('it finds what a plain list would find, whatever was dropped', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const recent = new RecentEntries()
      let model: LogEntry[] = []
      let nextOffset = 0
      const keep = (wanted: (entry: LogEntry) => boolean): void => {
        model = model.filter(wanted)
      }
      for (const { do: action, a, b } of steps) {
        if (action === 'push') {
          const data = Buffer.alloc(b)
          const entry = { baseOffset: nextOffset, count: a, timestampMs: b, data, free: null }
          nextOffset += a
          recent.push(entry)
          model.push(entry)
        } else if (action === 'dropOldest') {
          recent.dropOldest()
          model.shift()
        } else if (action === 'dropBelow') {
          recent.dropBelow(a)
          keep(({ baseOffset, count }) => baseOffset + count > a)
        } else {
          recent.dropWithin(a, a + b)
          keep(({ baseOffset, count }) => baseOffset < a || baseOffset + count > a + b)
        }
        assert.equal(recent.count, model.length)
        assert.equal(recent.oldest, model[0] ?? null)
        assert.equal(
          recent.bytes,
          model.reduce((sum, entry) => sum + entryCost(entry), 0),
        )
        for (let offset = 0; offset <= nextOffset; offset++) {
          const found = model.find((entry) => entry.baseOffset + entry.count > offset)
          const holds = found !== undefined && found.baseOffset <= offset
          assert.equal(recent.find(offset), holds ? found : null)
          assert.deepEqual(recent.collect(offset, 0), found === undefined ? [] : [found])
        }
      }
    }),
    { numRuns: 150 },
  )
})

test('an entry is freed when it is dropped, unless somebody was given it', () => {
  const recent = new RecentEntries()
  const freed: number[] = []
  for (let baseOffset = 0; baseOffset < 5; baseOffset++) {
    const free = (): void => void freed.push(baseOffset)
    recent.push({ baseOffset, count: 1, timestampMs: 0, data: Buffer.alloc(1), free })
  }
  recent.find(1)
  recent.collect(3, 1)
  while (recent.count > 0) recent.dropOldest()
  assert.deepEqual(freed, [0, 2, 4])
})
