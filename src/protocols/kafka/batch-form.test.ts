import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordBatchWriter } from '../../codec/kafka/record-batch-writer.ts'
import type { BatchStart, RecordInput } from '../../codec/kafka/record-batch-writer.ts'
import { BATCH_FIELD, CODEC, RecordBatchView } from '../../codec/kafka/record-batch.ts'
import { checkBatch, stampAppendTime } from './batch-check.ts'
import { KAFKA_BATCH_FORM } from './batch-form.ts'
import { compress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { OPENED_BYTES_MAX } from './limits.ts'
import { readLoneRecord } from './record-header.ts'

const CODECS = [CODEC.NONE, CODEC.GZIP, CODEC.SNAPPY, CODEC.LZ4, CODEC.ZSTD]
const RECORDS: readonly RecordInput[] = [
  {
    offsetDelta: 0,
    timestampMs: 1_005,
    key: Buffer.from('a.b'),
    value: Buffer.from('one'),
    headers: [],
  },
  {
    offsetDelta: 1,
    timestampMs: 1_001,
    key: null,
    value: Buffer.alloc(0),
    headers: [{ key: 'h', value: Buffer.of(0xff) }],
  },
  { offsetDelta: 2, timestampMs: -1, key: Buffer.of(0xff), value: null, headers: [] },
  {
    offsetDelta: 3,
    timestampMs: 1_009,
    key: Buffer.alloc(300, 'k'),
    value: Buffer.alloc(900, 'v'),
    headers: [],
  },
]

/** A batch in the middle of other bytes, as it lies in a log. */
function stored(
  codec: number,
  start: Partial<BatchStart> = {},
): [bytes: Buffer, start: number, end: number] {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: 1_000, ...start })
  for (const record of RECORDS) writer.add(record)
  const packing = { codec, compress: (block: Buffer): Buffer => compress(codec, block) }
  const batch = codec === CODEC.NONE ? writer.finish(crc32c) : writer.finish(crc32c, { packing })
  const pad = Buffer.alloc(5, 0xaa)
  return [Buffer.concat([pad, batch, pad]), 5, 5 + batch.length]
}

test('a batch of any codec opens to its messages', () => {
  for (const codec of CODECS) {
    const opened = KAFKA_BATCH_FORM.open(...stored(codec))
    assert.equal(opened.length, RECORDS.length)
    for (const [index, message] of opened.entries()) {
      const { offsetDelta, timestampMs, key, value, headers } = RECORDS[index]!
      assert.equal(message.offsetDelta, offsetDelta)
      assert.equal(message.timestampMs, timestampMs)
      assert.deepEqual(message.body, value ?? Buffer.alloc(0))
      const record = readLoneRecord(message.header, 0, message.header.length)
      assert.deepEqual(record, { timestampMs, key, isNullValue: value === null, headers })
    }
    assert.deepEqual(
      opened.map((message) => message.key),
      ['a.b', '', '', ''],
    )
  }
})

test('a batch that the broker stamped has one time', () => {
  const [bytes, start, end] = stored(CODEC.LZ4)
  stampAppendTime(bytes.subarray(start, end), 5_000)
  const opened = KAFKA_BATCH_FORM.open(bytes, start, end)
  assert.deepEqual(
    opened.map(({ timestampMs }) => timestampMs),
    [5_000, 5_000, 5_000, 5_000],
  )
})

test('a batch is placed where it lies, and a marker opens to nothing', () => {
  const [bytes, start, end] = stored(CODEC.NONE)
  KAFKA_BATCH_FORM.place(bytes, start, end, 4_711)
  assert.equal(new RecordBatchView().open(bytes, start).baseOffset, 4_711)
  const end1 = { producerId: 7, producerEpoch: 1, isCommit: true, timestampMs: 9 }
  const marker = KAFKA_BATCH_FORM.marker(end1)
  const view = new RecordBatchView().open(marker, 0)
  assert.equal(view.crc, crc32c(marker.subarray(BATCH_FIELD.ATTRIBUTES)))
  assert.equal(view.producerId, 7)
  assert.deepEqual(KAFKA_BATCH_FORM.open(marker, 0, marker.length), [])
})

test('a batch that is broken does not open', () => {
  for (const codec of CODECS) {
    const [bytes, start, end] = stored(codec)
    const shorter = end - start - 12 - 3
    bytes.writeInt32BE(shorter, start + BATCH_FIELD.BATCH_LENGTH)
    assert.throws(() => KAFKA_BATCH_FORM.open(bytes, start, end))
  }
})

test('compaction asks for each message and keeps the others at their offsets', () => {
  for (const codec of CODECS) {
    const origin = { producerId: 9, producerEpoch: 2, baseSequence: 40, attributes: 0x10 }
    const [bytes, start, end] = stored(codec, { baseOffset: 100, ...origin })
    const asked: unknown[][] = []
    const kept = KAFKA_BATCH_FORM.compact!(bytes, start, end, (...question) => {
      asked.push(question)
      return question[1] !== 0 && question[1] !== 3
    })
    assert.deepEqual(
      asked,
      RECORDS.map(({ key, offsetDelta, value, timestampMs }) => [
        key,
        offsetDelta,
        value === null,
        timestampMs,
      ]),
    )
    const view = new RecordBatchView().open(kept!, 0)
    assert.equal(view.end, kept!.length)
    assert.equal(view.baseOffset, 100)
    assert.equal(view.lastOffsetDelta, 3)
    assert.equal(view.recordCount, 2)
    assert.equal(view.attributes, 0x10 | codec)
    assert.equal(view.maxTimestampMs, 1_001)
    assert.equal(view.crc, crc32c(kept!.subarray(BATCH_FIELD.ATTRIBUTES)))
    assert.deepEqual([view.producerId, view.producerEpoch, view.baseSequence], [9, 2, 40])
    const before = KAFKA_BATCH_FORM.open(bytes, start, end)
    assert.deepEqual(KAFKA_BATCH_FORM.open(kept!, 0, kept!.length), before.slice(1, 3))
  }
})

test('compaction gives a batch back as it is while all of it stays, and nothing for nothing', () => {
  const [bytes, start, end] = stored(CODEC.ZSTD)
  const all = KAFKA_BATCH_FORM.compact!(bytes, start, end, () => true)
  assert.deepEqual(all, bytes.subarray(start, end))
  assert.equal(
    KAFKA_BATCH_FORM.compact!(bytes, start, end, () => false),
    null,
  )
})

test('compaction keeps the time the broker stamped', () => {
  const [bytes, start, end] = stored(CODEC.NONE)
  stampAppendTime(bytes.subarray(start, end), 5_000)
  const kept = KAFKA_BATCH_FORM.compact!(bytes, start, end, (_key, delta) => delta === 1)!
  const view = new RecordBatchView().open(kept, 0)
  assert.equal(view.hasAppendTime, true)
  assert.equal(view.maxTimestampMs, 5_000)
})

test('what a producer sent and was checked opens without a fault', () => {
  const [bytes, start, end] = stored(CODEC.SNAPPY)
  const records = Buffer.from(bytes.subarray(start, end))
  const rules = {
    bytesMax: 5_000,
    isCompacted: false,
    isLogAppendTime: false,
    beforeMsMax: 10_000,
    afterMsMax: 10_000,
  }
  const limits = { openedBytesMax: OPENED_BYTES_MAX }
  const { facts, errorCode } = checkBatch(records, { rules, nowMs: 1_000, apiVersion: 9, limits })
  assert.equal(errorCode, 0)
  assert.equal(facts.maxTimestampMs, 1_009)
  assert.equal(KAFKA_BATCH_FORM.open(records, 0, records.length).length, facts.count)
})
