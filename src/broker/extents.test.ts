import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Extents } from './extents.ts'

test('an extent is dead exactly when nobody holds a message in it', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({ bytes: fc.integer({ min: 1, max: 40 }), refs: fc.integer({ min: 0, max: 3 }) }),
        {
          maxLength: 200,
        },
      ),
      fc.array(fc.nat(), { maxLength: 400 }),
      (records, releases) => {
        const extents = new Extents(100)
        const held = records.map((record) => record.refs)
        for (const [offset, record] of records.entries())
          extents.add(offset, record.bytes, record.refs)
        for (const pick of releases) {
          const offset = pick % Math.max(1, records.length)
          if ((held[offset] ?? 0) === 0) continue
          held[offset]!--
          extents.release(offset)
        }
        for (const { start, end } of extents.takeDead(records.length)) {
          assert.ok(held.slice(start, end).every((refs) => refs === 0))
        }
        for (const { start, end, refs } of extents.list()) {
          const alive = held.slice(start, end).reduce((sum, count) => sum + count, 0)
          assert.equal(refs, alive)
        }
      },
    ),
    { numRuns: 200 },
  )
})

test('a stretch that is nearly dead is found, the one that still grows is not', () => {
  const extents = new Extents(10)
  for (let offset = 0; offset < 25; offset++) extents.add(offset, 1, 1)
  extents.releaseRun(0, 9)
  assert.deepEqual(extents.nearlyDead(25, 1 / 8), { start: 0, end: 10 })
  assert.equal(extents.nearlyDead(5, 1 / 8), null)
  extents.releaseRun(20, 5)
  assert.deepEqual(extents.takeDead(25), [])
})
