import assert from 'node:assert/strict'
import { test } from 'node:test'
import { copyBytes } from './copy-bytes.ts'

test('a range of any size is copied, and nothing beside it', () => {
  const source = Buffer.from(Array.from({ length: 200 }, (_, index) => index))
  for (const size of [0, 1, 31, 32, 33, 64, 150]) {
    const out = Buffer.alloc(200, 0xff)
    assert.equal(copyBytes(out, 3, source, 7, 7 + size), 3 + size)
    assert.deepEqual(out.subarray(3, 3 + size), source.subarray(7, 7 + size))
    assert.ok(out.subarray(0, 3).every((octet) => octet === 0xff))
    assert.ok(out.subarray(3 + size).every((octet) => octet === 0xff))
  }
})
