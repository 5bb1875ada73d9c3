/** Record batches as a hostile producer makes them; the checksum is right unless it says otherwise. */
import { RecordBatchWriter } from '../../src/codec/kafka/record-batch-writer.ts'
import type { RecordInput } from '../../src/codec/kafka/record-batch-writer.ts'
import { BATCH_FIELD, CODEC } from '../../src/codec/kafka/record-batch.ts'
import { compress } from '../../src/protocols/kafka/compression.ts'
import { crc32c } from '../../src/protocols/kafka/crc32c.ts'
import type { Draw } from './sessions.ts'

export const CODECS: readonly number[] = Object.values(CODEC)
const { NONE } = CODEC
/** Older records would be cleared away for their age. */
const NOW_MS = Date.now()

/** Sound, unless `records` say otherwise. */
export function batchOf(records: readonly Partial<RecordInput>[], codec: number = NONE): Buffer {
  const writer = new RecordBatchWriter()
  writer.start({ baseOffset: 0, baseTimestampMs: NOW_MS })
  for (const [offsetDelta, record] of records.entries()) {
    const timestampMs = NOW_MS + offsetDelta
    const value = Buffer.from(`value ${offsetDelta}`)
    writer.add({ offsetDelta, timestampMs, key: value, value, headers: [], ...record })
  }
  if (codec === NONE) return writer.finish(crc32c)
  const packing = { codec, compress: (block: Buffer): Buffer => compress(codec, block) }
  return writer.finish(crc32c, { packing })
}

/** The batch with its octets changed, and the length and checksum that go with them. */
export function resealed(batch: Buffer, change: (batch: Buffer) => Buffer | void): Buffer {
  const copy = Buffer.from(batch)
  const changed = change(copy) ?? copy
  changed.writeInt32BE(changed.length - 12, BATCH_FIELD.BATCH_LENGTH)
  return signed(changed)
}

function signed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(BATCH_FIELD.ATTRIBUTES)), BATCH_FIELD.CRC)
  return batch
}

/** A block of records as it stands, whatever it holds, in a batch that says it has `count`. */
export function batchAround(block: Buffer, count: number, codec: number = NONE): Buffer {
  const body = codec === NONE ? block : compress(codec, block)
  const head = batchOf([{}]).subarray(0, BATCH_FIELD.RECORDS)
  return resealed(Buffer.concat([head, body]), (batch) => {
    batch.writeInt16BE(codec, BATCH_FIELD.ATTRIBUTES)
    batch.writeInt32BE(count - 1, BATCH_FIELD.LAST_OFFSET_DELTA)
    batch.writeInt32BE(count, BATCH_FIELD.RECORD_COUNT)
  })
}

/** Mostly sound; else with octets changed, and half of those with the right checksum. */
export function randomBatch(draw: Draw): Buffer {
  const records = Array.from({ length: 1 + draw.below(4) }, () => ({
    key: draw.chance(30) ? null : draw.random.bytes(draw.below(12)),
    value: draw.chance(10) ? null : draw.random.bytes(draw.below(60)),
    headers: draw.chance(20) ? [{ key: 'h', value: draw.random.bytes(3) }] : [],
  }))
  const batch = batchOf(records, draw.one(CODECS))
  if (draw.chance(50)) return batch
  for (let left = 1 + draw.below(3); left > 0; left--) {
    batch[draw.below(batch.length)] = draw.below(256)
  }
  return draw.chance(50) ? signed(batch) : batch
}
