import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashBytes53, hashText32, mix32 } from './hash32.ts'

// What a stored ring or partition depends on: these numbers may never change.
test('hashes are the same in every release', () => {
  assert.equal(mix32(0), 0)
  assert.equal(mix32(1), 1_364_076_727)
  assert.equal(hashText32(''), 2_872_998_923)
  assert.equal(hashText32('orders.eu'), 2_376_886_828)
  assert.equal(hashText32('ключ'), 3_185_335_672)
})

test('mixing is one to one on unsigned 32-bit numbers', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), (a, b) => {
      assert.equal(mix32(a) === mix32(b), a === b)
      assert.ok(mix32(a) >= 0 && mix32(a) <= 0xffff_ffff && Number.isInteger(mix32(a)))
    }),
  )
})

test('numbered texts fall evenly into buckets', () => {
  const counts = Array.from({ length: 16 }, () => 0)
  for (let index = 0; index < 16_000; index++) counts[hashText32(`key-${index}`) >>> 28]! += 1
  for (const count of counts) assert.ok(count > 850 && count < 1150, `counts: ${counts.join()}`)
})

test('octets hash to safe integers, and a hundred thousand keys to different ones', () => {
  const seen = new Set<number>()
  for (let index = 0; index < 100_000; index++) {
    const key = Buffer.from(`..k${index}..`)
    const hash = hashBytes53(key, 2, key.length - 2)
    assert.ok(Number.isSafeInteger(hash) && hash >= 0)
    seen.add(hash)
  }
  assert.equal(seen.size, 100_000)
  assert.notEqual(hashBytes53(Buffer.from('a'), 0, 1), hashBytes53(Buffer.from('a\0'), 0, 2))
})
