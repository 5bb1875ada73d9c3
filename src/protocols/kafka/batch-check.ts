import { ERROR } from '../../codec/kafka/errors.gen.ts'
import {
  BATCH_FIELD,
  BATCH_HEADER_BYTES,
  batchSize,
  CODEC,
  RecordBatchView,
  RecordCursor,
  stampBatch,
} from '../../codec/kafka/record-batch.ts'
import { RecordError } from '../../codec/kafka/record-error.ts'
import { decompress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { RECORD_ERRORS_MAX } from './limits.ts'
import { PackedError } from './opened-blocks.ts'

/** What a topic demands of a batch. */
export interface BatchRules {
  /** `max.message.bytes` */
  readonly bytesMax: number
  /** `cleanup.policy` has `compact`: every record needs a key. */
  readonly isCompacted: boolean
  /** `message.timestamp.type` is `LogAppendTime`. */
  readonly isLogAppendTime: boolean
  /** `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` */
  readonly beforeMsMax: number
  readonly afterMsMax: number
}

/** What a batch says of itself; good when it was checked. */
export interface BatchFacts {
  readonly count: number
  /** The largest of its records; -1 when none has a timestamp. */
  readonly maxTimestampMs: number
  readonly isTransactional: boolean
  /** -1: none. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
}

/** What is wrong with one record. */
export interface RecordFault {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

/** `errorCode` 0: it may be stored, and `facts` are right. */
export interface CheckedBatch {
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly recordErrors: readonly RecordFault[]
  readonly facts: BatchFacts
}

export interface BatchContext {
  readonly rules: BatchRules
  readonly nowMs: number
  /** Of the Produce request; 3 or more. */
  readonly apiVersion: number
  /** What a compressed block may open to. */
  readonly limits: { readonly openedBytesMax: number }
}

/**
 * Checks the records of one partition of a Produce request, in Kafka's order and with its words: one
 * batch of format 2, right checksum, as many records as it says at offsets 0 and on, each of them
 * sound, with a key and a timestamp where the topic demands it. A compressed block is opened to see.
 *
 * Where the batch names another maximum timestamp than its records have, it is set right in
 * `records`, as Kafka does. The answer is one object that is filled anew by the next check.
 */
export function checkBatch(records: Buffer | null, context: BatchContext): CheckedBatch {
  checked.clear()
  const fault = frameFault(records, context.apiVersion)
  if (fault !== null) return checked.refuse(fault)
  const bytes = records!
  view.open(bytes, 0)
  const refusal = headerFault(bytes, context.rules) ?? recordsFault(bytes, context)
  return refusal === null ? checked.accept() : checked.refuse(refusal)
}

/** Gives a checked batch the broker's time, in place. */
export function stampAppendTime(records: Buffer, nowMs: number): Buffer {
  const stamp = { maxTimestampMs: nowMs, isAppendTime: true }
  stampBatch(records, { start: 0, end: records.length }, stamp, crc32c)
  return records
}

type Fault = readonly [code: number, message: string]

const { CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE } = ERROR
const { UNSUPPORTED_COMPRESSION_TYPE } = ERROR

const MAGIC = 2
const NO_TIMESTAMP = -1
/** Kafka reads no further than this to know what it has (up to the magic). */
const FRAME_BYTES_MIN = 17
/** The least that any message format takes behind its length. */
const RECORD_BYTES_MIN = 14
const ZSTD_VERSION_MIN = 7

const view = new RecordBatchView()
const cursor = new RecordCursor()

class Checked implements CheckedBatch {
  errorCode = 0
  errorMessage: string | null = null
  recordErrors: RecordFault[] = []
  readonly facts = {
    count: 0,
    maxTimestampMs: -1,
    isTransactional: false,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
  }
  keyFaults = 0
  timeFaults = 0

  clear(): void {
    this.errorCode = ERROR.NONE
    this.errorMessage = null
    if (this.recordErrors.length > 0) this.recordErrors = []
    this.keyFaults = 0
    this.timeFaults = 0
  }

  refuse([code, message]: Fault): this {
    this.errorCode = code
    this.errorMessage = message
    return this
  }

  accept(): this {
    const { facts } = this
    facts.count = view.recordCount
    facts.isTransactional = view.isTransactional
    facts.producerId = view.producerId
    facts.producerEpoch = view.producerEpoch
    facts.baseSequence = view.baseSequence
    return this
  }

  recordFault(batchIndex: number, batchIndexErrorMessage: string): void {
    if (this.recordErrors.length >= RECORD_ERRORS_MAX) return
    this.recordErrors.push({ batchIndex, batchIndexErrorMessage })
  }
}

const checked = new Checked()

/** Whether there is one batch and nothing else, of the one format that is taken. */
function frameFault(records: Buffer | null, apiVersion: number): Fault | null {
  const request = `Produce requests with version ${apiVersion}`
  const absent: Fault = [
    INVALID_RECORD,
    `${request} must have at least one record batch per partition`,
  ]
  if (records === null || records.length < FRAME_BYTES_MIN) return absent
  const length = records.readInt32BE(BATCH_FIELD.BATCH_LENGTH)
  if (length < RECORD_BYTES_MIN) {
    const text = `Record size ${length} is less than the minimum record overhead (${RECORD_BYTES_MIN})`
    return [CORRUPT_MESSAGE, text]
  }
  const magic = records.readInt8(BATCH_FIELD.MAGIC)
  if (magic < 0 || magic > MAGIC) {
    return [CORRUPT_MESSAGE, `Invalid magic found in record: ${magic}`]
  }
  const size = batchSize(records, 0)
  if (size > records.length) return absent
  if (magic !== MAGIC) {
    const text = `${request} are only allowed to contain record batches with magic version 2`
    return [INVALID_RECORD, text]
  }
  if (size < BATCH_HEADER_BYTES) {
    const text = `Record batch is corrupt (the size ${size} is smaller than the minimum allowed overhead ${BATCH_HEADER_BYTES})`
    return [CORRUPT_MESSAGE, text]
  }
  const isZstd = (records.readInt16BE(BATCH_FIELD.ATTRIBUTES) & 0x07) === CODEC.ZSTD
  if (isZstd && apiVersion < ZSTD_VERSION_MIN) {
    return [UNSUPPORTED_COMPRESSION_TYPE, `${request} are not allowed to use ZStandard compression`]
  }
  if (size < records.length) {
    const text = `${request} are only allowed to contain exactly one record batch per partition`
    return [INVALID_RECORD, text]
  }
  return null
}

function headerFault(bytes: Buffer, { bytesMax }: BatchRules): Fault | null {
  const { baseOffset, crc } = view
  if (baseOffset !== 0) {
    const text = `The baseOffset of the record batch in the append should be 0, but it is ${baseOffset}`
    return [INVALID_RECORD, text]
  }
  if (bytes.length > bytesMax) {
    const text = `The record batch size in the append is ${bytes.length} bytes which exceeds the maximum configured value of ${bytesMax}.`
    return [MESSAGE_TOO_LARGE, text]
  }
  const computed = crc32c(bytes.subarray(BATCH_FIELD.ATTRIBUTES))
  if (computed !== crc) {
    const text = `Record is corrupt (stored crc = ${crc}, computed crc = ${computed})`
    return [CORRUPT_MESSAGE, text]
  }
  return headerTruthFault()
}

/** The checksum is right, but a producer may have lied before it made it. */
function headerTruthFault(): Fault | null {
  const { lastOffsetDelta, recordCount, producerId, baseSequence } = view
  const range = `[0, ${lastOffsetDelta}]`
  if (lastOffsetDelta < 0) {
    return [INVALID_RECORD, `Batch has an invalid offset range: ${range}`]
  }
  if (recordCount <= 0) {
    return [INVALID_RECORD, `Invalid reported count for record batch: ${recordCount}`]
  }
  if (lastOffsetDelta + 1 !== recordCount) {
    const text = `Inconsistent batch offset range ${range} and count of records ${recordCount}`
    return [INVALID_RECORD, text]
  }
  if (view.isControl) {
    return [INVALID_RECORD, 'Clients are not allowed to write control records']
  }
  if (producerId >= 0 && baseSequence < 0) {
    const text = `Invalid sequence number ${baseSequence} in record batch with producerId ${producerId}`
    return [INVALID_RECORD, text]
  }
  if (view.codec > CODEC.ZSTD) {
    return [UNSUPPORTED_COMPRESSION_TYPE, `Unknown compression type id: ${view.codec}`]
  }
  return null
}

function recordsFault(bytes: Buffer, context: BatchContext): Fault | null {
  const { openedBytesMax } = context.limits
  try {
    const { codec, recordCount, recordsStart } = view
    if (codec === CODEC.NONE) {
      cursor.open(bytes, { start: recordsStart, end: bytes.length }, recordCount)
    } else {
      const block = decompress(codec, bytes.subarray(recordsStart), openedBytesMax)
      cursor.open(block, { start: 0, end: block.length }, recordCount)
    }
    return walk(bytes, context)
  } catch (error) {
    if (error instanceof RecordError) return [INVALID_RECORD, error.message]
    if (!(error instanceof PackedError)) throw error
    if (error.reason === 'broken') {
      return [INVALID_RECORD, `Failed to decompress record stream: ${error.message}`]
    }
    const text = `The records of the batch take more than ${openedBytesMax} bytes uncompressed`
    return [MESSAGE_TOO_LARGE, text]
  }
}

/** One pass over the records, which makes nothing for those that are sound. */
function walk(bytes: Buffer, { rules, nowMs }: BatchContext): Fault | null {
  const { baseTimestampMs, hasAppendTime } = view
  const earliestMs = nowMs - rules.beforeMsMax
  const latestMs = nowMs + rules.afterMsMax
  let maxMs = NO_TIMESTAMP
  let index = 0
  for (; cursor.next(); index += 1) {
    if (cursor.offsetDelta !== index) {
      const text = `Record ${index} of the batch has the offset ${cursor.offsetDelta}`
      return [INVALID_RECORD, text]
    }
    const ms = Math.min(baseTimestampMs + cursor.timestampDeltaMs, Number.MAX_SAFE_INTEGER)
    if (ms > maxMs) maxMs = ms
    if (rules.isCompacted && cursor.keyStart < 0) {
      checked.keyFaults += 1
      checked.recordFault(index, 'Compacted topic cannot accept message without key')
    } else if (hasAppendTime) {
      checked.timeFaults += 1
      checked.recordFault(index, 'Producer should not set timestamp type to LogAppendTime.')
    } else if (
      !rules.isLogAppendTime &&
      ms !== NO_TIMESTAMP &&
      (ms < earliestMs || ms > latestMs)
    ) {
      checked.timeFaults += 1
      checked.recordFault(index, outOfRange(ms, index, { earliestMs, latestMs }))
    }
  }
  checked.facts.maxTimestampMs = maxMs
  if (checked.keyFaults + checked.timeFaults > 0) return recordErrorsFault()
  if (maxMs !== view.maxTimestampMs && !rules.isLogAppendTime) {
    const window = { start: 0, end: bytes.length }
    stampBatch(bytes, window, { maxTimestampMs: maxMs, isAppendTime: false }, crc32c)
  }
  return null
}

function outOfRange(
  ms: number,
  index: number,
  range: { readonly earliestMs: number; readonly latestMs: number },
): string {
  return `Timestamp ${ms} of message with offset ${index} is out of range. The timestamp should be within [${range.earliestMs}, ${range.latestMs}]`
}

function recordErrorsFault(): Fault {
  if (checked.timeFaults > 0) {
    const text = 'One or more records have been rejected due to invalid timestamp'
    return [INVALID_TIMESTAMP, text]
  }
  const first = checked.recordErrors
    .slice(0, 3)
    .map((fault) => `record ${fault.batchIndex}: ${fault.batchIndexErrorMessage}`)
  const text = `One or more records have been rejected due to ${checked.keyFaults} record errors in total, and only showing the first three errors at most: [${first.join(', ')}]`
  return [INVALID_RECORD, text]
}
