import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from './checksum.ts'

test('the check value of CRC-32/ISO-HDLC, whole and in pieces', () => {
  const bytes = Buffer.from('123456789')
  assert.equal(crc32(bytes), 0xcbf43926)
  assert.equal(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4))), 0xcbf43926)
})
