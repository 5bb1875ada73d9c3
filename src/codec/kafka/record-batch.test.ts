import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { encodeMarker, RecordBatchWriter } from './record-batch-writer.ts'
import type { RecordInput } from './record-batch-writer.ts'
import {
  BATCH_HEADER_BYTES,
  batchSize,
  CODEC,
  placeBatch,
  RecordBatchView,
  RecordCursor,
  stampBatch,
} from './record-batch.ts'
import { RecordError } from './record-error.ts'

// The codec is handed its checksum; any will do here.
const crc = (bytes: Uint8Array): number => crc32(bytes)

const octets = fc
  .option(fc.uint8Array({ maxLength: 200 }))
  .map((bytes) => (bytes === null ? null : Buffer.from(bytes)))
const headers = fc.array(
  fc.record(
    { key: fc.string({ unit: 'binary', maxLength: 10 }), value: octets },
    { noNullPrototype: true },
  ),
  { maxLength: 3 },
)
const times = fc.oneof(fc.nat(2 ** 31 - 1), fc.integer({ min: -1, max: 2 ** 48 }))
const records = fc
  .array(
    fc.record(
      { timestampMs: times, key: octets, value: octets, headers },
      { noNullPrototype: true },
    ),
    { maxLength: 8 },
  )
  .map((list) => list.map((record, offsetDelta): RecordInput => ({ ...record, offsetDelta })))

function batchOf(list: readonly RecordInput[], baseTimestampMs: number): Buffer {
  const writer = new RecordBatchWriter(1)
  writer.start({ baseOffset: 5, baseTimestampMs, producerId: 2 ** 40, producerEpoch: 3 })
  for (const record of list) writer.add(record)
  return writer.finish(crc)
}

function readBatch(bytes: Buffer, start: number): RecordInput[] {
  const view = new RecordBatchView().open(bytes, start)
  const window = { start: view.recordsStart, end: view.end }
  const cursor = new RecordCursor().open(bytes, window, view.recordCount)
  const list: RecordInput[] = []
  while (cursor.next()) {
    list.push({
      offsetDelta: cursor.offsetDelta,
      timestampMs: view.baseTimestampMs + cursor.timestampDeltaMs,
      key: part(bytes, cursor.keyStart, cursor.keyEnd),
      value: part(bytes, cursor.valueStart, cursor.valueEnd),
      headers: cursor.headers(),
    })
  }
  return list
}

function part(bytes: Buffer, start: number, end: number): Buffer | null {
  return start < 0 ? null : Buffer.from(bytes.subarray(start, end))
}

// A producer may send any records, and a pooled buffer may start anywhere.
test('records come back as they were written, from any place', () => {
  fc.assert(
    fc.property(records, times, fc.nat(20), (list, baseTimestampMs, offset) => {
      const batch = batchOf(list, baseTimestampMs)
      const bytes = Buffer.concat([Buffer.alloc(offset, 0xaa), batch, Buffer.alloc(3, 0xaa)])
      assert.deepEqual(readBatch(bytes, offset), list)
      const view = new RecordBatchView().open(bytes, offset)
      assert.equal(batchSize(bytes, offset), batch.length)
      assert.equal(view.baseOffset, 5)
      assert.equal(view.magic, 2)
      assert.equal(view.codec, CODEC.NONE)
      assert.equal(view.producerId, 2 ** 40)
      assert.equal(view.producerEpoch, 3)
      assert.equal(view.baseSequence, -1)
      assert.equal(view.recordCount, list.length)
      assert.equal(view.lastOffsetDelta, Math.max(list.length - 1, 0))
      assert.equal(view.maxTimestampMs, Math.max(-1, ...list.map((one) => one.timestampMs)))
      assert.equal(view.crc, crc(batch.subarray(21)))
    }),
  )
})

test('a batch has the octets Kafka gives it', () => {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: 1_000 })
  const value = Buffer.from('v')
  writer.add({ offsetDelta: 0, timestampMs: 1_001, key: null, value, headers: [] })
  writer.add({
    offsetDelta: 1,
    timestampMs: 999,
    key: value,
    value: null,
    headers: [{ key: 'h', value: null }],
  })
  assert.equal(writer.count, 2)
  const block = '0e00020001027600' + '14000102027601020268' + '01'
  assert.equal(writer.size, BATCH_HEADER_BYTES + block.length / 2)
  const batch = writer.finish(() => 0xdead_beef)
  const head = [
    '0000000000000000',
    '00000044',
    '00000000',
    '02',
    'deadbeef',
    '0000',
    '00000001',
    '00000000000003e8',
    '00000000000003e9',
    'ffffffffffffffff',
    'ffff',
    'ffffffff',
    '00000002',
  ]
  assert.equal(batch.toString('hex'), head.join('') + block)
})

// A producer may lie about every size, and the octets may end anywhere.
test('a block that was cut or changed is read or refused, and never read beyond its end', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.nat(255), fc.boolean(), (list, seed, octet, isCut) => {
      const batch = batchOf(list, 0)
      const start = BATCH_HEADER_BYTES
      if (batch.length === start) return
      const at = start + (seed % (batch.length - start))
      const end = isCut ? at : batch.length
      if (!isCut) batch[at] = octet
      const cursor = new RecordCursor().open(batch, { start, end }, list.length)
      try {
        while (cursor.next()) {
          assert.ok(cursor.recordEnd <= end && cursor.recordStart >= start)
          assert.ok(cursor.keyEnd <= cursor.recordEnd && cursor.valueEnd <= cursor.recordEnd)
          cursor.headers()
        }
        assert.ok(!isCut)
      } catch (error) {
        assert.ok(error instanceof RecordError, String(error))
      }
    }),
  )
})

test('what is wrong with a record is said as Kafka says it', () => {
  const read = (hex: string, count = 1): void => {
    const bytes = Buffer.from(hex, 'hex')
    const cursor = new RecordCursor().open(bytes, { start: 0, end: bytes.length }, count)
    while (cursor.next());
  }
  read('0c00000001010000'.slice(0, 14))
  read('', 0)
  assert.throws(() => read(''), /premature EOF reached/)
  assert.throws(() => read('0c000000010100', 2), /premature EOF reached/)
  assert.throws(() => read('0c000000010100' + '00'), /records still remaining in file/)
  assert.throws(() => read('0e000000010100'), /expected 7 bytes, and 6 are left/)
  assert.throws(() => read('01000000010100'), /expected -1 bytes/)
  assert.throws(() => read('0e00000001010000'), /but instead read 6/)
  assert.throws(() => read('0c000000010101'), /invalid number of record headers -1/)
  assert.throws(() => read('0c0000000101fc'), /invalid record structure/)
  assert.throws(() => read('0e0000000101fc01'), /invalid number of record headers. 126/)
  assert.throws(() => read('10000000010102' + '0101'), /negative header key size -1/)
  assert.throws(() => read('0c0000007e0100'), /invalid record structure/)
  assert.throws(() => read('0c00ffffffffff'), /invalid record structure/)
  assert.throws(() => read('1e00ffffffffffffffffffff010001010000'), RecordError)
})

test('a batch is placed and stamped where it lies', () => {
  const batch = batchOf(
    [{ offsetDelta: 0, timestampMs: 7, key: null, value: null, headers: [] }],
    7,
  )
  const bytes = Buffer.concat([Buffer.alloc(3), batch])
  const view = new RecordBatchView().open(bytes, 3)
  placeBatch(bytes, 3, 2 ** 50 + 1)
  assert.equal(view.baseOffset, 2 ** 50 + 1)
  assert.equal(view.crc, crc(bytes.subarray(24)))
  const window = { start: 3, end: bytes.length }
  stampBatch(bytes, window, { maxTimestampMs: 99, isAppendTime: true }, crc)
  assert.equal(view.hasAppendTime, true)
  assert.equal(view.maxTimestampMs, 99)
  assert.equal(view.crc, crc(bytes.subarray(24)))
  stampBatch(bytes, window, { maxTimestampMs: 7, isAppendTime: false }, crc)
  assert.deepEqual(bytes.subarray(3 + 8), batch.subarray(8))
})

test('a marker says how a transaction ended', () => {
  for (const isCommit of [true, false]) {
    const given = { producerId: 4_711, producerEpoch: 2, isCommit, timestampMs: 50 }
    const marker = encodeMarker(given, crc)
    const view = new RecordBatchView().open(marker, 0)
    assert.equal(view.attributes, 0x30)
    assert.ok(view.isControl && view.isTransactional)
    assert.equal(view.baseSequence, -1)
    const [record, ...others] = readBatch(marker, 0)
    assert.deepEqual(others, [])
    assert.deepEqual(record?.key, Buffer.of(0, 0, 0, isCommit ? 1 : 0))
    assert.deepEqual(record?.value, Buffer.alloc(6))
    assert.equal(record?.timestampMs, 50)
  }
})

test('records are kept as they are when others of their batch go', () => {
  const input = (offsetDelta: number): RecordInput => {
    const timestampMs = 100 + offsetDelta
    return { offsetDelta, timestampMs, key: Buffer.from('k'), value: null, headers: [] }
  }
  const batch = batchOf([input(0), input(1), input(2)], 100)
  const view = new RecordBatchView().open(batch, 0)
  const cursor = new RecordCursor().open(batch, { start: view.recordsStart, end: view.end }, 3)
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: view.baseOffset, baseTimestampMs: view.baseTimestampMs })
  while (cursor.next()) {
    if (cursor.offsetDelta === 2) continue
    const timestampMs = view.baseTimestampMs + cursor.timestampDeltaMs
    const raw = batch.subarray(cursor.recordStart, cursor.recordEnd)
    writer.addRaw(raw, { offsetDelta: cursor.offsetDelta, timestampMs })
  }
  const packing = {
    codec: CODEC.GZIP,
    compress: (block: Buffer): Buffer => block.toReversed() as Buffer,
  }
  const kept = writer.finish(crc, { lastOffsetDelta: view.lastOffsetDelta })
  assert.deepEqual(readBatch(kept, 0), [input(0), input(1)])
  const keptView = new RecordBatchView().open(kept, 0)
  assert.equal(keptView.lastOffsetDelta, 2)
  assert.equal(keptView.recordCount, 2)
  const packed = writer.finish(crc, { packing })
  assert.equal(new RecordBatchView().open(packed, 0).codec, CODEC.GZIP)
  assert.equal(packed.at(-1), kept[BATCH_HEADER_BYTES])
})
