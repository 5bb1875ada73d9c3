import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeGroup } from './entry-format.ts'
import { JOURNAL_HEADER_BYTES, encodeJournalHeader, encodeRecord, scanJournal } from './journal.ts'
import { segmentSalt } from './segment.ts'

/** A journal of records for two logs each, every one synced before the next. */
function build(recordCount: number): { readonly bytes: Buffer; readonly edges: number[] } {
  const buffers = [encodeJournalHeader(7)]
  const edges = [JOURNAL_HEADER_BYTES]
  for (let group = 1; group <= recordCount; group++) {
    const position = edges.at(-1)!
    const parts = [1, 2].map((logId) => {
      const entry = { baseOffset: group, count: 1, timestampMs: 5, data: Buffer.alloc(50, group) }
      const place = {
        position: 100 * group,
        syncedBytes: 0,
        salt: segmentSalt(logId, 0),
        epoch: 1,
        group,
      }
      return { logId, baseOffset: 0, position: 100 * group, buffers: encodeGroup([entry], place) }
    })
    const record = encodeRecord(parts, { number: 7, position, syncedBytes: position, group })
    buffers.push(...record)
    edges.push(position + record.reduce((sum, { length }) => sum + length, 0))
  }
  return { bytes: Buffer.concat(buffers), edges }
}

test('a journal cut anywhere gives its whole records, and the rest is no damage', () => {
  const { bytes, edges } = build(3)
  for (let end = 0; end <= bytes.length; end++) {
    const scan = scanJournal(bytes.subarray(0, end), 7)
    const whole = Math.max(0, edges.filter((edge) => edge <= end).length - 1)
    assert.equal(scan.recordCount, whole)
    assert.equal(scan.parts.length, whole * 2)
    assert.equal(scan.group, whole)
    assert.equal(scan.fault?.proof ?? null, null)
  }
})

test('a changed byte before the last record is damage; going on finds the records behind', () => {
  const { bytes, edges } = build(3)
  for (let at = edges[1]!; at < edges[2]!; at++) {
    const broken = Buffer.from(bytes)
    broken[at]! ^= 0x10
    const scan = scanJournal(broken, 7)
    assert.equal(scan.fault?.position, edges[1])
    assert.match(scan.fault!.proof!, /a later record at byte \d+ is whole/)
    assert.equal(scan.recordCount, 1)
    assert.equal(scanJournal(broken, 7, { goOn: true }).recordCount, 2)
  }
})

test('a journal with another number holds nothing', () => {
  assert.equal(scanJournal(build(2).bytes, 8).recordCount, 0)
})
