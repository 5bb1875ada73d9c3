import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionOfKey } from './partitioner.ts'

/** From the tests of Kafka's own client. */
const HASHES: readonly (readonly [key: string, hash: number])[] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test('a key goes where Kafka puts it', () => {
  for (const [key, hash] of HASHES) {
    const bytes = Buffer.from(`xx${key}yy`)
    const range = { start: 2, end: bytes.length - 2 }
    for (const count of [1, 3, 12, 0x7fff_ffff]) {
      assert.equal(partitionOfKey(bytes, range, count), (hash & 0x7fff_ffff) % count, key)
    }
  }
})
