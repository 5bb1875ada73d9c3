import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LogEntry } from '../contract.ts'
import { CachedReads, ReadCache } from './read-cache.ts'

/** Entries of three offsets each, as a read would bring them. */
function block(from: number, count: number): LogEntry[] {
  return Array.from({ length: count }, (_, index) => {
    return { baseOffset: (from + index) * 3, count: 3, timestampMs: 0, data: Buffer.alloc(10) }
  })
}

test('what was just read is found, and the bound holds', () => {
  const read = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 6 }), fc.nat(1))
  fc.assert(
    fc.property(fc.array(read, { maxLength: 40 }), (reads) => {
      const cache = new ReadCache(150)
      const logs = [new CachedReads(cache), new CachedReads(cache)]
      for (const [from, count, which] of reads) {
        const log = logs[which]!
        const entries = block(from, count)
        log.add(entries)
        for (const entry of entries) {
          for (const offset of [entry.baseOffset, entry.baseOffset + 2]) {
            assert.equal(log.find(offset)?.baseOffset, entry.baseOffset)
            assert.equal(log.collect(offset, 1)[0]?.baseOffset, entry.baseOffset)
          }
        }
        assert.ok(cache.bytes <= 150)
      }
      for (const log of logs) log.forgetWithin(0, 1000)
      assert.equal(cache.bytes, 0)
      assert.equal(logs[0]!.find(0), null)
    }),
  )
})

test('the block that was used longest ago goes first', () => {
  const cache = new ReadCache(100)
  const log = new CachedReads(cache)
  log.add(block(0, 4))
  log.add(block(10, 4))
  assert.ok(log.find(0) !== null)
  log.add(block(20, 4))
  assert.ok(log.find(0) !== null)
  assert.equal(log.find(30), null)
  log.clear()
  assert.equal(cache.bytes, 0)
})
