import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ENTRY_HEADER_BYTES, encodeGroup, groupBytes } from './entry-format.ts'
import type { StoredEntry } from './entry-format.ts'
import { decodeSegmentIndex } from './segment-index.ts'
import { scanSegment } from './segment-scan.ts'
import { segmentSalt } from './segment.ts'

const salt = segmentSalt(3, 100)
const POSITION = 40

interface Built {
  readonly bytes: Buffer
  /** Where each group begins, and the end. */
  readonly edges: readonly number[]
}

/** A segment file of groups with so many entries of so many bytes each, each group synced. */
function build(groups: readonly (readonly number[])[], isSynced = true): Built {
  const buffers: Buffer[] = [Buffer.alloc(POSITION)]
  const edges = [POSITION]
  let baseOffset = 100
  for (const [number, sizes] of groups.entries()) {
    const entries: StoredEntry[] = sizes.map((size, index) => {
      const entry = {
        baseOffset,
        count: index + 1,
        timestampMs: number,
        data: Buffer.alloc(size, 9),
      }
      baseOffset += entry.count
      return entry
    })
    const position = edges.at(-1)!
    const syncedBytes = isSynced ? position : POSITION
    buffers.push(...encodeGroup(entries, { position, syncedBytes, salt, epoch: 1, group: number }))
    edges.push(position + groupBytes(entries))
  }
  return { bytes: Buffer.concat(buffers), edges }
}

const scan = (bytes: Buffer, trustedBytes = 0): ReturnType<typeof scanSegment> => {
  return scanSegment(bytes, { salt, position: POSITION, baseOffset: 100, trustedBytes })
}

const groups = fc.array(
  fc.array(fc.oneof(fc.nat(40), fc.nat(6000)), { minLength: 1, maxLength: 4 }),
  { minLength: 1, maxLength: 6 },
)

// A crash may stop the last write at any byte.
test('a file cut anywhere is good up to its last whole group, and the rest is no damage', () => {
  fc.assert(
    fc.property(groups, fc.nat(1_000_000), (sizes, cut) => {
      const { bytes, edges } = build(sizes)
      const start = edges.at(-2)!
      const end = start + (cut % (bytes.length - start + 1))
      const found = scan(bytes.subarray(0, end))
      assert.equal(found.bytes, end === bytes.length ? end : start)
      assert.equal(found.fault === null, end === start || end === bytes.length)
      assert.equal(found.fault?.proof ?? null, null)
    }),
  )
})

test('a changed byte below a synced group is damage, with its place', () => {
  fc.assert(
    fc.property(groups, fc.nat(1_000_000), fc.integer({ min: 1, max: 255 }), (sizes, at, mask) => {
      const { bytes, edges } = build([...sizes, [10]])
      const end = edges.at(-2)!
      const position = POSITION + (at % (end - POSITION))
      bytes[position]! ^= mask
      const { fault } = scan(bytes)
      assert.ok(fault !== null && fault.proof !== null)
      assert.ok(fault.position <= position)
      // It is the entry that holds the byte, not one before it.
      assert.ok(position < fault.position + ENTRY_HEADER_BYTES + 6000)
    }),
  )
})

test('without a sync between them, groups behind a broken one prove nothing', () => {
  const { bytes, edges } = build([[10], [20], [30]], false)
  bytes[edges[1]! + 60]! ^= 1
  const found = scan(bytes)
  assert.equal(found.bytes, edges[1])
  assert.equal(found.fault?.proof, null)
  // But a length that was noted does.
  assert.match(scan(bytes, bytes.length).fault!.proof!, /were noted as stored/)
  assert.match(scan(bytes.subarray(0, edges[1]), bytes.length).fault!.reason, /shorter/)
})

test('an entry of another segment, or at another place, is none here', () => {
  const { bytes, edges } = build([[100]])
  const copy = Buffer.concat([bytes, bytes.subarray(POSITION)])
  assert.equal(scan(copy).bytes, edges[1])
  const other = scanSegment(bytes, {
    salt: segmentSalt(4, 100),
    position: POSITION,
    baseOffset: 100,
  })
  assert.equal(other.entryCount, 0)
})

test('an index file comes back as it was, and a changed one not at all', () => {
  const { bytes } = build([[10_000, 70_000], [5], [90_000]])
  const { index, nextOffset, ...rest } = scan(bytes)
  const summary = { ...rest, nextOffset }
  const stored = index.encode(summary, true)
  const decoded = decodeSegmentIndex(stored)!
  assert.equal(decoded.isFinal, true)
  assert.equal(decoded.summary.nextOffset, nextOffset)
  assert.equal(decoded.summary.bytes, bytes.length)
  assert.equal(decoded.index.pointCount, index.pointCount)
  for (let offset = 99; offset < nextOffset + 2; offset++) {
    assert.equal(decoded.index.floorOfOffset(offset), index.floorOfOffset(offset))
  }
  for (let at = 0; at < stored.length; at++) {
    const broken = Buffer.from(stored)
    broken[at]! ^= 1
    assert.equal(decodeSegmentIndex(broken), null)
    assert.equal(decodeSegmentIndex(stored.subarray(0, at)), null)
  }
})
