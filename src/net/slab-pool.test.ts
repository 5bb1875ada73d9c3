import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLAB_BYTES_MAX, SLAB_BYTES_MIN, SLABS_POOLED_BYTES_MAX } from './limits.ts'
import { SlabPool } from './slab-pool.ts'

test('a buffer has the room asked for, and is given out again after it came back', () => {
  const pool = new SlabPool()
  for (const bytes of [1, SLAB_BYTES_MIN, SLAB_BYTES_MIN + 1, 100_000, SLAB_BYTES_MAX]) {
    const slab = pool.take(bytes)
    assert.ok(slab.length >= bytes && slab.length <= Math.max(SLAB_BYTES_MIN, 2 * bytes))
    assert.notEqual(pool.take(bytes), slab)
    pool.give(slab)
    assert.equal(pool.take(bytes), slab)
  }
})

test('what is larger than any slab, or no slab at all, is not kept', () => {
  const pool = new SlabPool()
  const large = pool.take(SLAB_BYTES_MAX + 1)
  pool.give(large)
  assert.notEqual(pool.take(SLAB_BYTES_MAX + 1), large)
  const odd = Buffer.alloc(SLAB_BYTES_MIN + 1)
  pool.give(odd)
  pool.give(Buffer.alloc(16))
  assert.equal(pool.take(10).length, SLAB_BYTES_MIN)
  assert.notEqual(pool.take(SLAB_BYTES_MIN + 1), odd)
})

test('no more than the limit is kept, of all sizes together', () => {
  const pool = new SlabPool()
  const slabs = Array.from({ length: 20 }, () => pool.take(SLAB_BYTES_MAX))
  const small = Array.from({ length: 20 }, () => pool.take(1))
  for (const slab of [...slabs, ...small]) pool.give(slab)
  const known = new Set([...slabs, ...small])
  let keptBytes = 0
  for (const bytes of [SLAB_BYTES_MAX, 1]) {
    for (;;) {
      const slab = pool.take(bytes)
      if (!known.has(slab)) break
      keptBytes += slab.length
    }
  }
  assert.equal(keptBytes, SLABS_POOLED_BYTES_MAX)
})
