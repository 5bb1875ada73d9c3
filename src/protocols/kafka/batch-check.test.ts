import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ERROR, ERROR_NAMES } from '../../codec/kafka/errors.gen.ts'
import { RecordBatchWriter } from '../../codec/kafka/record-batch-writer.ts'
import type { BatchStart, RecordInput } from '../../codec/kafka/record-batch-writer.ts'
import { BATCH_FIELD, CODEC, RecordBatchView } from '../../codec/kafka/record-batch.ts'
import { type BatchRules, checkBatch, stampAppendTime } from './batch-check.ts'
import { compress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { OPENED_BYTES_MAX, RECORD_ERRORS_MAX } from './limits.ts'

const NOW_MS = 1_800_000_000_000
const RULES: BatchRules = {
  bytesMax: 1024 * 1024,
  isCompacted: false,
  isLogAppendTime: false,
  beforeMsMax: Number.MAX_SAFE_INTEGER,
  afterMsMax: 3_600_000,
}
const CODECS = [CODEC.NONE, CODEC.GZIP, CODEC.SNAPPY, CODEC.LZ4, CODEC.ZSTD]

function batchOf(
  list: readonly Partial<RecordInput>[],
  given: { readonly codec?: number; readonly start?: Partial<BatchStart> } = {},
): Buffer {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: NOW_MS, ...given.start })
  for (const [index, one] of list.entries()) {
    const key = Buffer.from('key')
    const whole = { offsetDelta: index, timestampMs: NOW_MS, key, value: key, headers: [], ...one }
    writer.add(whole)
  }
  const { codec = CODEC.NONE } = given
  if (codec === CODEC.NONE) return writer.finish(crc32c)
  const packing = { codec, compress: (block: Buffer): Buffer => compress(codec, block) }
  return writer.finish(crc32c, { packing })
}

/** Changes octets behind the producer's back, and makes the checksum right again. */
function changed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  const copy = Buffer.from(batch)
  change(copy)
  copy.writeUInt32BE(crc32c(copy.subarray(BATCH_FIELD.ATTRIBUTES)), BATCH_FIELD.CRC)
  return copy
}

function check(
  records: Buffer | null,
  given: {
    readonly rules?: Partial<BatchRules>
    readonly apiVersion?: number
    readonly openedBytesMax?: number
  } = {},
): ReturnType<typeof checkBatch> {
  return checkBatch(records, {
    rules: { ...RULES, ...given.rules },
    nowMs: NOW_MS,
    apiVersion: given.apiVersion ?? 9,
    limits: { openedBytesMax: given.openedBytesMax ?? OPENED_BYTES_MAX },
  })
}

function verdict(records: Buffer | null, given?: Parameters<typeof check>[1]): string {
  const { errorCode, errorMessage } = check(records, given)
  return errorCode === 0 ? 'good' : `${ERROR_NAMES.get(errorCode)} ${errorMessage}`
}

const THREE = [{}, { timestampMs: NOW_MS + 5 }, { key: null, value: null }]

test('a sound batch is accepted with what it says, in every codec', () => {
  for (const codec of CODECS) {
    const start = { producerId: 77, producerEpoch: 3, baseSequence: 12, attributes: 0x10 }
    const batch = batchOf(THREE, { codec, start })
    const before = Buffer.from(batch)
    const { errorCode, errorMessage, facts, recordErrors } = check(batch)
    assert.equal(errorCode, ERROR.NONE, errorMessage ?? '')
    assert.deepEqual(facts, {
      count: 3,
      maxTimestampMs: NOW_MS + 5,
      isTransactional: true,
      producerId: 77,
      producerEpoch: 3,
      baseSequence: 12,
    })
    assert.deepEqual(recordErrors, [])
    assert.deepEqual(batch, before)
  }
})

test('records that are no single batch of format 2 are refused', () => {
  const batch = batchOf(THREE)
  const none =
    'INVALID_RECORD Produce requests with version 9 must have at least one record batch per partition'
  assert.equal(verdict(null), none)
  assert.equal(verdict(Buffer.alloc(0)), none)
  assert.equal(verdict(batch.subarray(0, batch.length - 1)), none)
  assert.equal(
    verdict(Buffer.concat([batch, batch])),
    'INVALID_RECORD Produce requests with version 9 are only allowed to contain exactly one record batch per partition',
  )
  assert.match(verdict(Buffer.concat([batch, Buffer.of(1)])), /^INVALID_RECORD .* exactly one/)
  const magic = (value: number): Buffer => changed(batch, (copy) => copy.writeInt8(value, 16))
  assert.match(verdict(magic(1)), /^INVALID_RECORD .* only .* record batches with magic version 2/)
  assert.equal(verdict(magic(3)), 'CORRUPT_MESSAGE Invalid magic found in record: 3')
  const length = (value: number): Buffer => changed(batch, (copy) => copy.writeInt32BE(value, 8))
  assert.match(verdict(length(13)), /^CORRUPT_MESSAGE Record size 13 is less than/)
  assert.match(verdict(length(-1)), /^CORRUPT_MESSAGE/)
  assert.match(
    verdict(length(48)),
    /^CORRUPT_MESSAGE .* smaller than the minimum allowed overhead 61/,
  )
  assert.match(verdict(length(0x7fff_ffff)), /^INVALID_RECORD/)
  const placed = changed(batch, (copy) => copy.writeInt32BE(4, 4))
  assert.match(verdict(placed), /^INVALID_RECORD The baseOffset .* should be 0, but it is 4/)
})

test('zstd needs a client that says it knows it', () => {
  const batch = batchOf(THREE, { codec: CODEC.ZSTD })
  assert.equal(verdict(batch, { apiVersion: 7 }), 'good')
  assert.equal(
    verdict(batch, { apiVersion: 6 }),
    'UNSUPPORTED_COMPRESSION_TYPE Produce requests with version 6 are not allowed to use ZStandard compression',
  )
  const unknown = changed(batch, (copy) => copy.writeInt16BE(5, 21))
  assert.match(verdict(unknown), /^UNSUPPORTED_COMPRESSION_TYPE .* id: 5/)
})

test('a batch as large as allowed is taken, and one octet more is not', () => {
  const batch = batchOf(THREE)
  assert.equal(verdict(batch, { rules: { bytesMax: batch.length } }), 'good')
  assert.match(verdict(batch, { rules: { bytesMax: batch.length - 1 } }), /^MESSAGE_TOO_LARGE/)
})

test('a header that lies is refused', () => {
  const batch = batchOf(THREE)
  const int32 = (at: number, value: number): string =>
    verdict(changed(batch, (copy) => copy.writeInt32BE(value, at)))
  assert.match(int32(BATCH_FIELD.LAST_OFFSET_DELTA, -1), /^INVALID_RECORD .*\[0, -1\]/)
  assert.match(int32(BATCH_FIELD.LAST_OFFSET_DELTA, 3), /^INVALID_RECORD Inconsistent/)
  assert.match(int32(BATCH_FIELD.LAST_OFFSET_DELTA, 0x7fff_ffff), /^INVALID_RECORD Inconsistent/)
  for (const count of [0, -1, 2, 4, 0x7fff_ffff]) {
    assert.match(int32(BATCH_FIELD.RECORD_COUNT, count), /^INVALID_RECORD/)
  }
  const both = (count: number): string =>
    verdict(
      changed(batch, (copy) => {
        copy.writeInt32BE(count - 1, BATCH_FIELD.LAST_OFFSET_DELTA)
        copy.writeInt32BE(count, BATCH_FIELD.RECORD_COUNT)
      }),
    )
  assert.equal(both(3), 'good')
  assert.match(both(2), /^INVALID_RECORD Incorrect declared batch size, records still remaining/)
  assert.match(both(4), /^INVALID_RECORD Incorrect declared batch size, premature EOF/)
  assert.match(both(0x7fff_ffff), /^INVALID_RECORD/)
  const control = changed(batch, (copy) => copy.writeInt16BE(0x20, BATCH_FIELD.ATTRIBUTES))
  assert.match(verdict(control), /^INVALID_RECORD Clients are not allowed to write control records/)
  const noSequence = batchOf(THREE, { start: { producerId: 5, producerEpoch: 0 } })
  assert.match(verdict(noSequence), /^INVALID_RECORD Invalid sequence number -1 .* producerId 5/)
})

// A line or a memory may change any bit of a batch on its way.
test('no batch with a wrong checksum is taken', () => {
  fc.assert(
    fc.property(fc.constantFrom(...CODECS), fc.nat(), fc.nat(7), (codec, seed, bit) => {
      const batch = batchOf(THREE, { codec })
      const at = BATCH_FIELD.CRC + (seed % (batch.length - BATCH_FIELD.CRC))
      batch[at]! ^= 1 << bit
      assert.equal(check(batch).errorCode, ERROR.CORRUPT_MESSAGE)
    }),
  )
})

// A hostile producer makes the checksum right after it changed what it likes.
test('records that were changed are sound or refused for good', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...CODECS),
      fc.nat(),
      fc.uint8Array({ minLength: 1, maxLength: 4 }),
      (codec, seed, octets) => {
        const batch = changed(batchOf(THREE, { codec }), (copy) => {
          const span = copy.length - BATCH_FIELD.ATTRIBUTES
          copy.set(octets.subarray(0, 1), BATCH_FIELD.ATTRIBUTES + (seed % span))
          copy.set(octets, Math.min(BATCH_FIELD.RECORDS + (seed % 40), copy.length - octets.length))
        })
        const { errorCode, facts } = check(batch)
        const allowed: readonly number[] = [
          ERROR.NONE,
          ERROR.CORRUPT_MESSAGE,
          ERROR.INVALID_RECORD,
          ERROR.INVALID_TIMESTAMP,
          ERROR.MESSAGE_TOO_LARGE,
          ERROR.UNSUPPORTED_COMPRESSION_TYPE,
        ]
        assert.ok(allowed.includes(errorCode), `${errorCode}`)
        if (errorCode === 0) assert.equal(facts.count, 3)
      },
    ),
    { numRuns: 1_000 },
  )
})

test('records do not take the offsets they like', () => {
  for (const codec of CODECS) {
    const batch = batchOf([{}, { offsetDelta: 2 }, { offsetDelta: 2 }], { codec })
    assert.equal(verdict(batch), 'INVALID_RECORD Record 1 of the batch has the offset 2')
  }
})

test('a bomb is refused as too large, and a block that does not open as invalid', () => {
  const openedBytesMax = 4_000_000
  const value = Buffer.alloc(openedBytesMax / 8)
  for (const codec of CODECS.slice(1)) {
    const bomb = batchOf(
      Array.from({ length: 8 }, () => ({ value })),
      { codec },
    )
    assert.match(verdict(bomb, { openedBytesMax }), /^MESSAGE_TOO_LARGE .* more than 4000000 bytes/)
    const cut = batchOf(THREE, { codec }).subarray(0, -6)
    const broken = changed(cut, (copy) => copy.writeInt32BE(copy.length - 12, 8))
    assert.match(verdict(broken), /^INVALID_RECORD Failed to decompress record stream/)
    const other = changed(batchOf(THREE), (copy) => copy.writeInt16BE(codec, 21))
    assert.match(verdict(other), /^INVALID_RECORD Failed to decompress record stream/)
  }
})

test('a compacted topic names every record without a key', () => {
  const rules = { isCompacted: true }
  assert.equal(verdict(batchOf([{}, { value: null }]), { rules }), 'good')
  for (const codec of CODECS) {
    const { errorCode, errorMessage, recordErrors } = check(batchOf(THREE, { codec }), { rules })
    assert.equal(errorCode, ERROR.INVALID_RECORD)
    assert.match(errorMessage!, /^One or more records have been rejected due to 1 record errors/)
    const text = 'Compacted topic cannot accept message without key'
    assert.deepEqual(recordErrors, [{ batchIndex: 2, batchIndexErrorMessage: text }])
  }
  const many = Array.from({ length: RECORD_ERRORS_MAX + 9 }, () => ({ key: null }))
  const { errorMessage, recordErrors } = check(batchOf(many), { rules })
  assert.match(errorMessage!, /due to 1009 record errors/)
  assert.equal(recordErrors.length, RECORD_ERRORS_MAX)
})

test('timestamps are held to the range of the topic', () => {
  const at = (timestampMs: number, rules: Partial<BatchRules> = {}): string =>
    verdict(batchOf([{ timestampMs }]), { rules })
  const hour = 3_600_000
  assert.equal(at(NOW_MS + hour), 'good')
  assert.equal(at(0), 'good')
  assert.equal(at(-1, { beforeMsMax: hour }), 'good')
  assert.equal(at(NOW_MS - hour, { beforeMsMax: hour }), 'good')
  const late = 'INVALID_TIMESTAMP One or more records have been rejected due to invalid timestamp'
  assert.equal(at(NOW_MS + hour + 1), late)
  assert.equal(at(NOW_MS - hour - 1, { beforeMsMax: hour }), late)
  assert.equal(at(NOW_MS + 2 * hour, { isLogAppendTime: true }), 'good')
  const { recordErrors } = check(batchOf([{}, { timestampMs: NOW_MS + 2 * hour }]))
  assert.equal(recordErrors[0]?.batchIndex, 1)
  assert.match(recordErrors[0].batchIndexErrorMessage, /with offset 1 is out of range/)
  const stamped = changed(batchOf(THREE), (copy) => copy.writeInt16BE(8, BATCH_FIELD.ATTRIBUTES))
  assert.equal(verdict(stamped), late)
})

test('a maximum timestamp that is not that of the records is set right', () => {
  const batch = batchOf(THREE)
  const lie = changed(batch, (copy) => copy.writeBigInt64BE(-5n, BATCH_FIELD.MAX_TIMESTAMP))
  assert.equal(check(lie).facts.maxTimestampMs, NOW_MS + 5)
  assert.deepEqual(lie, batch)
})

test('a stamp of the broker changes time, mark and checksum and nothing else', () => {
  const batch = batchOf(THREE)
  const stamped = stampAppendTime(Buffer.from(batch), NOW_MS + 99)
  const view = new RecordBatchView().open(stamped, 0)
  assert.equal(view.maxTimestampMs, NOW_MS + 99)
  assert.equal(view.hasAppendTime, true)
  assert.equal(view.crc, crc32c(stamped.subarray(21)))
  assert.deepEqual(stamped.subarray(43), batch.subarray(43))
})
