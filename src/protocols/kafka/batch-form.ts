import { isUtf8 } from 'node:buffer'
import { encodeMarker, RecordBatchWriter } from '../../codec/kafka/record-batch-writer.ts'
import {
  CODEC,
  CODEC_MASK,
  placeBatch,
  RecordBatchView,
  RecordCursor,
} from '../../codec/kafka/record-batch.ts'
import type { BatchForm, KeepsMessage, OpenedMessage } from '../../model/native-form.ts'
import { compress, decompress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { STORED_BYTES_MAX } from './limits.ts'
import { encodeLoneRecord } from './record-header.ts'

/** The broker's address fields hold so much. */
const KEY_BYTES_MAX = 255

const EMPTY: Buffer = Buffer.alloc(0)

/** How the broker looks into record batches, which it keeps and gives back whole. */
export const KAFKA_BATCH_FORM: BatchForm = {
  place: (bytes, start, _end, baseOffset) => placeBatch(bytes, start, baseOffset),
  open: openBatch,
  eachKey: visitKeys,
  marker: (end) => encodeMarker(end, crc32c),
  compact: compactBatch,
}

/** What is routed with: a key that is text, and short enough. Anything else is no routing key. */
export function isRoutable(key: Buffer): boolean {
  return key.length <= KEY_BYTES_MAX && isUtf8(key)
}

/** The time of a record: its own, or the broker's where that stamped the batch. */
function timestampOf(view: RecordBatchView, cursor: RecordCursor): number {
  if (view.hasAppendTime) return view.maxTimestampMs
  return Math.min(view.baseTimestampMs + cursor.timestampDeltaMs, Number.MAX_SAFE_INTEGER)
}

/** A cursor over the records of a stored batch, opened where it is compressed. */
function recordsOf(view: RecordBatchView): RecordCursor {
  const { bytes, codec, recordsStart, end, recordCount } = view
  const cursor = new RecordCursor()
  if (codec === CODEC.NONE) return cursor.open(bytes, { start: recordsStart, end }, recordCount)
  const block = decompress(codec, bytes.subarray(recordsStart, end), STORED_BYTES_MAX)
  return cursor.open(block, { start: 0, end: block.length }, recordCount)
}

function openBatch(bytes: Buffer, start: number): OpenedMessage[] {
  const view = new RecordBatchView().open(bytes, start)
  if (view.isControl) return []
  const cursor = recordsOf(view)
  const messages: OpenedMessage[] = []
  while (cursor.next()) messages.push(messageOf(view, cursor))
  return messages
}

function visitKeys(
  bytes: Buffer,
  start: number,
  _end: number,
  visit: (offsetDelta: number, key: Buffer | null) => void,
): void {
  const view = new RecordBatchView().open(bytes, start)
  if (view.isControl) return
  const cursor = recordsOf(view)
  while (cursor.next()) {
    const { keyStart, keyEnd, offsetDelta } = cursor
    visit(offsetDelta, keyStart < 0 ? null : cursor.bytes.subarray(keyStart, keyEnd))
  }
}

function messageOf(view: RecordBatchView, cursor: RecordCursor): OpenedMessage {
  const { bytes, offsetDelta, keyStart, valueStart } = cursor
  const timestampMs = timestampOf(view, cursor)
  const key = keyStart < 0 ? null : bytes.subarray(keyStart, cursor.keyEnd)
  const isNullValue = valueStart < 0
  const headers = bytes.subarray(cursor.headersStart, cursor.recordEnd)
  return {
    offsetDelta,
    timestampMs,
    header: encodeLoneRecord({ timestampMs, key, isNullValue, headers }),
    // The block was made for this call, or belongs to the log: either way it stays as it is.
    body: isNullValue ? EMPTY : bytes.subarray(valueStart, cursor.valueEnd),
    key: key !== null && isRoutable(key) ? key.toString('utf8') : '',
  }
}

/** The batch as it is while all of it stays; else the same batch without those that go. */
function compactBatch(
  bytes: Buffer,
  start: number,
  end: number,
  keeps: KeepsMessage,
): Buffer | null {
  const view = new RecordBatchView().open(bytes, start)
  const cursor = recordsOf(view)
  const { codec, recordCount } = view
  const writer = new RecordBatchWriter(Math.min(end - start, STORED_BYTES_MAX))
  writer.start({
    baseOffset: view.baseOffset,
    baseTimestampMs: view.baseTimestampMs,
    attributes: view.attributes & ~CODEC_MASK,
    producerId: view.producerId,
    producerEpoch: view.producerEpoch,
    baseSequence: view.baseSequence,
  })
  while (cursor.next()) {
    const { bytes: block, offsetDelta, keyStart } = cursor
    const timestampMs = timestampOf(view, cursor)
    const key = keyStart < 0 ? null : block.subarray(keyStart, cursor.keyEnd)
    if (!keeps(key, offsetDelta, cursor.valueStart < 0, timestampMs)) continue
    writer.addRaw(block.subarray(cursor.recordStart, cursor.recordEnd), {
      offsetDelta,
      timestampMs,
    })
  }
  if (writer.count === 0) return null
  if (writer.count === recordCount) return bytes.subarray(start, end)
  const { lastOffsetDelta } = view
  if (codec === CODEC.NONE) return writer.finish(crc32c, { lastOffsetDelta })
  const packing = { codec, compress: (block: Buffer): Buffer => compress(codec, block) }
  return writer.finish(crc32c, { lastOffsetDelta, packing })
}
