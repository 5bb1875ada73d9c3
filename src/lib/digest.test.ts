import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { type Digest, digestText } from './digest.ts'

test('a digest is the front of SHA-256, in safe integers', () => {
  for (const text of ['', 'a', 'grüße', 'x'.repeat(1000)]) {
    const digest: Digest = { high: 0, low: 0 }
    digestText(text, digest)
    const hex = createHash('sha256').update(text).digest('hex')
    assert.equal(digest.high, Number(BigInt(`0x${hex.slice(0, 13)}`)))
    assert.equal(digest.low, Number(BigInt(`0x${hex.slice(13, 26)}`)))
    assert.ok(Number.isSafeInteger(digest.high) && Number.isSafeInteger(digest.low))
  }
})
