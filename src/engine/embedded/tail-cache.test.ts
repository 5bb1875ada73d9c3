import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecentEntries } from './recent-entries.ts'
import { TailCache } from './tail-cache.ts'

function owner(): { recent: RecentEntries; writtenOffset: number } {
  return { recent: new RecentEntries(), writtenOffset: 0 }
}

function entry(baseOffset: number): Parameters<RecentEntries['push']>[0] {
  return { baseOffset, count: 1, timestampMs: 0, data: Buffer.alloc(800), free: null }
}

test('the oldest appends of all logs go first, but never one that is not written yet', () => {
  const cache = new TailCache(5000)
  const [left, right] = [owner(), owner()]
  for (let offset = 0; offset < 10; offset++) {
    cache.add(left, entry(offset))
    cache.add(right, entry(offset))
  }
  cache.trim()
  assert.equal(left.recent.count, 10)
  left.writtenOffset = 10
  cache.trim()
  // The second place belongs to the right log, which has written nothing.
  assert.equal(left.recent.count, 9)
  right.writtenOffset = 10
  cache.trim()
  assert.ok(cache.bytes <= 5000)
  assert.equal(left.recent.oldest?.baseOffset, 8)
  assert.equal(right.recent.oldest?.baseOffset, 7)
  cache.release(right)
  assert.equal(cache.bytes, left.recent.bytes)
})
