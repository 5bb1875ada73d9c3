import type { MessageDraft } from '../model/message-draft.ts'

/**
 * What the broker puts into log entries: records, one after the other, each starting with its
 * size. All numbers are big-endian.
 *
 * A message:
 *
 *     0  u32 bytes of the whole record      8  u16 count of targets
 *     4  u8  kind                           10 u16 address bytes
 *     5  u8  flags                          12 u32 header bytes
 *     6  u8  priority                       16 u32 destination id, for each target
 *     7  u8  native form                    .. by flags: f64 expires at, f64 due at, u16 + name
 *                                              of the owner, f64 stored at, u32 + annotations
 *                                           .. MOVED only: f64 offset it was first stored at
 *                                           .. address, header, body to the end
 *
 * COMPACTED is followed by 3 zero bytes and an f64: when what comes after it in the entry was first
 * compacted. BATCH is a run of messages, see `topics/batch-record.ts`, and takes as many offsets as it says.
 * MESSAGE and MOVED take one offset each, in order; every other kind takes none. Those begin with
 * the same 8 bytes and u32 destination id, and go on
 *
 *     SETTLED     u32 count of runs, and each as f64 offset, u32 count
 *     ATTEMPTS    u32 attempts, f64 offset
 *     LIVE_BYTES  f64 bytes of all bodies that the destination holds
 *     RETRY       u32 attempts, f64 offset, f64 not before, in milliseconds since the epoch
 *     SEEN        f64 high, f64 low half of the digest of an id, f64 when it was taken in
 *     FAILURE     u32 bytes of the first text, f64 offset, the first text, the last one to the end
 */
export const KIND: {
  readonly MESSAGE: 1
  readonly MOVED: 2
  readonly SETTLED: 3
  readonly ATTEMPTS: 4
  readonly LIVE_BYTES: 5
  readonly RETRY: 6
  readonly BATCH: 7
  readonly COMPACTED: 8
  readonly SEEN: 9
  readonly FAILURE: 10
} = {
  MESSAGE: 1,
  MOVED: 2,
  SETTLED: 3,
  ATTEMPTS: 4,
  LIVE_BYTES: 5,
  RETRY: 6,
  BATCH: 7,
  COMPACTED: 8,
  SEEN: 9,
  FAILURE: 10,
}

export const FLAG: {
  readonly PERSISTENT: 1
  readonly EXPIRES: 2
  readonly DUE: 4
  readonly TIMESTAMP: 8
  readonly ANNOTATIONS: 16
  readonly OWNER: 32
  /** Any flag that adds a field. */
  readonly EXTRAS: 62
} = { PERSISTENT: 1, EXPIRES: 2, DUE: 4, TIMESTAMP: 8, ANNOTATIONS: 16, OWNER: 32, EXTRAS: 62 }

export const RECORD_HEAD_BYTES = 16

/** A record has 16 bits for the count of its targets; for more, a message is stored again. */
export const TARGETS_MAX = 0xffff

/** Whatever can be named as the target of a stored message. */
export interface Identified {
  readonly id: number
}

/** Times of a message that are not in its draft, in milliseconds since the epoch; 0: none. */
export interface MessageTimes {
  expiresAtMs: number
  dueAtMs: number
}

export function messageRecordBytes(
  draft: MessageDraft,
  targetCount: number,
  times: MessageTimes,
): number {
  let size =
    RECORD_HEAD_BYTES +
    4 * targetCount +
    (draft.addressEnd - draft.addressStart) +
    (draft.headerEnd - draft.headerStart) +
    (draft.bodyEnd - draft.bodyStart)
  if (times.expiresAtMs !== 0) size += 8
  if (times.dueAtMs !== 0) size += 8
  if (draft.owner !== null) size += 2 + draft.owner.nameBytes.length
  if (draft.annotations !== null) size += 4 + draft.annotations.length
  return size
}

/** Writes a MESSAGE record of the size `messageRecordBytes` gave; returns where it ends. */
export function writeMessageRecord(
  out: Buffer,
  start: number,
  size: number,
  draft: MessageDraft,
  targets: readonly Identified[],
  times: MessageTimes,
): number {
  const addressBytes = draft.addressEnd - draft.addressStart
  const headerBytes = draft.headerEnd - draft.headerStart
  const targetCount = targets.length
  const flags =
    (draft.persistent ? FLAG.PERSISTENT : 0) |
    (times.expiresAtMs === 0 ? 0 : FLAG.EXPIRES) |
    (times.dueAtMs === 0 ? 0 : FLAG.DUE) |
    (draft.owner === null ? 0 : FLAG.OWNER) |
    (draft.annotations === null ? 0 : FLAG.ANNOTATIONS)
  putU32(out, start, size)
  out[start + 4] = KIND.MESSAGE
  out[start + 5] = flags
  out[start + 6] = draft.priority
  out[start + 7] = draft.form
  out[start + 8] = targetCount >>> 8
  out[start + 9] = targetCount
  out[start + 10] = addressBytes >>> 8
  out[start + 11] = addressBytes
  putU32(out, start + 12, headerBytes)
  let at = start + RECORD_HEAD_BYTES
  for (let index = 0; index < targetCount; index++) {
    putU32(out, at, targets[index]!.id)
    at += 4
  }
  if ((flags & FLAG.EXTRAS) !== 0) at = writeExtras(out, at, draft, times)
  at = copyBytes(draft.address, draft.addressStart, draft.addressEnd, out, at)
  at = copyBytes(draft.header, draft.headerStart, draft.headerEnd, out, at)
  return copyBytes(draft.body, draft.bodyStart, draft.bodyEnd, out, at)
}

function writeExtras(out: Buffer, start: number, draft: MessageDraft, times: MessageTimes): number {
  let at = start
  if (times.expiresAtMs !== 0) at = out.writeDoubleBE(times.expiresAtMs, at)
  if (times.dueAtMs !== 0) at = out.writeDoubleBE(times.dueAtMs, at)
  if (draft.owner !== null) {
    const { nameBytes } = draft.owner
    at = out.writeUInt16BE(nameBytes.length, at)
    at += nameBytes.copy(out, at)
  }
  if (draft.annotations !== null) {
    at = out.writeUInt32BE(draft.annotations.length, at)
    at += draft.annotations.copy(out, at)
  }
  return at
}

export function putU32(out: Buffer, at: number, value: number): void {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
}

/** A call into native code costs more than a short loop. */
const LOOP_COPY_BYTES_MAX = 48

function copyBytes(source: Buffer, start: number, end: number, out: Buffer, at: number): number {
  const size = end - start
  if (size > LOOP_COPY_BYTES_MAX) {
    source.copy(out, at, start, end)
    return at + size
  }
  for (let index = 0; index < size; index++) out[at + index] = source[start + index]!
  return at + size
}
