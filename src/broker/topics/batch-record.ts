import { KIND, putU32 } from '../record.ts'
import type { BatchDraft } from './batch-draft.ts'

/**
 * The record of a batch, big-endian:
 *
 *     0  u32 bytes of the whole record      20 f64 producer id, -1: none
 *     4  u8  kind                           28 i16 producer epoch
 *     5  u8  flags                          30 u16 0
 *     6  u8  0                              32 i32 base sequence, -1: none
 *     7  u8  native form                    36 f64 largest time of its messages, -1: none
 *     8  u32 how many offsets it takes      44 the batch in its native form, to the end
 *     12 f64 first offset
 */
export const BATCH_HEAD_BYTES = 44

export const BATCH_FLAG: {
  readonly TRANSACTIONAL: 1
  readonly MARKER: 2
  /** A marker of a transaction that was committed; without it, of one that was aborted. */
  readonly COMMIT: 4
} = { TRANSACTIONAL: 1, MARKER: 2, COMMIT: 4 }

/** Writes the head of a record of `size` bytes that takes offsets from `baseOffset` on. */
export function writeBatchHead(
  out: Buffer,
  start: number,
  draft: BatchDraft,
  place: { readonly size: number; readonly baseOffset: number; readonly flags: number },
): void {
  putU32(out, start, place.size)
  out[start + 4] = KIND.BATCH
  out[start + 5] = place.flags
  out[start + 6] = 0
  out[start + 7] = draft.form
  putU32(out, start + 8, draft.count)
  out.writeDoubleBE(place.baseOffset, start + 12)
  out.writeDoubleBE(draft.producerId, start + 20)
  out.writeInt16BE(draft.producerEpoch, start + 28)
  out.writeUInt16BE(0, start + 30)
  out.writeInt32BE(draft.baseSequence, start + 32)
  out.writeDoubleBE(draft.maxTimestampMs, start + 36)
}

export function batchCountOf(data: Buffer, start: number): number {
  return data.readUInt32BE(start + 8)
}

export function batchOffsetOf(data: Buffer, start: number): number {
  return data.readDoubleBE(start + 12)
}

export function producerIdOf(data: Buffer, start: number): number {
  return data.readDoubleBE(start + 20)
}

export function producerEpochOf(data: Buffer, start: number): number {
  return data.readInt16BE(start + 28)
}

export function baseSequenceOf(data: Buffer, start: number): number {
  return data.readInt32BE(start + 32)
}

export function maxTimestampOf(data: Buffer, start: number): number {
  return data.readDoubleBE(start + 36)
}
