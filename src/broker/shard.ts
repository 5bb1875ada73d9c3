import { EngineError, type Log } from '../engine/contract.ts'
import type { Digest } from '../lib/digest.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { CommitCycle, Stager } from './commit-cycle.ts'
import { Extents } from './extents.ts'
import type { FailureText } from './failure-texts.ts'
import type { BrokerLimits } from './limits.ts'
import type { TracedOffsets } from './tracing/traced-offsets.ts'
import { OwnedOffsets } from './owned-offsets.ts'
import type { Owners } from './owners.ts'
import type { RangeVisitor } from './index-chunk.ts'
import { RecordBatch } from './record-batch.ts'
import type { RecordCursor } from './record-cursor.ts'
import {
  FLAG,
  type Identified,
  KIND,
  messageRecordBytes,
  type MessageTimes,
  putU32,
  RECORD_HEAD_BYTES,
  writeMessageRecord,
} from './record.ts'
import { Relocations } from './relocations.ts'
import type { SettleRuns } from './settle-runs.ts'

const RUN_BYTES = 12
/** Cursors that may rest on an entry, so that a thousand slow queues pin no thousand entries. */
const WARM_CURSORS = 128

/** A queue, or whatever else keeps messages of a shard: what recovery tells, in log order. */
export interface ShardMember extends Identified {
  readonly settleRuns: SettleRuns
  /** Bytes of all bodies it holds, where a limit needs them to the byte after a restart; else -1. */
  readonly exactBytes: number
  /** A stored message names this member as a target. `start` is its record in `data`. */
  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void
  recoverSettled(start: number, count: number): void
  /** `notBeforeMs`: it is held back until then; 0: it is not. */
  recoverAttempts(offset: number, attempts: number, notBeforeMs: number): void
  /** What consumers said when it failed. */
  recoverFailure(offset: number, text: FailureText): void
  recoverBytes(bytes: number): void
  /** Absent: it remembers no ids. */
  recoverSeen?(id: Digest, timeMs: number): void
  /** All state that a snapshot must keep; `decodeState` reads it into a fresh member. */
  encodeState(): Buffer
  decodeState(bytes: Buffer): void
  visitLive(from: number, to: number, visit: RangeVisitor): void
  isLive(offset: number): boolean
}

/**
 * One log that hosts many queues. Each is a state machine over it: messages and settlements are
 * records, a snapshot plus the records after it rebuild every queue. A message is stored once,
 * however many queues it goes to, and known by the offset it was first stored at.
 */
export class Shard implements Stager {
  staged = false
  /** Messages that are traced; null: none is. Owned by `Tracer`. */
  traced: TracedOffsets | null = null
  readonly durable: boolean
  readonly log: Log
  readonly extents: Extents
  readonly relocations: Relocations = new Relocations()
  readonly members: Map<number, ShardMember> = new Map()
  /** Whose messages count for a limit of their user. */
  readonly owned: OwnedOffsets
  /** Bytes appended since the shard was opened. */
  appendedBytes = 0
  /** Where the message appended last stands in `batch.buffer`. */
  lastStart = 0
  readonly #cycle: CommitCycle
  readonly limits: BrokerLimits
  readonly #batch: RecordBatch
  #settlers: ShardMember[] = []
  #trimAt = 0
  readonly #warm: (RecordCursor | null)[] = Array.from({ length: WARM_CURSORS }, () => null)
  #warmAt = 0

  constructor(
    log: Log,
    cycle: CommitCycle,
    options: { readonly durable: boolean; readonly limits: BrokerLimits; readonly owners: Owners },
  ) {
    const { durable, limits } = options
    this.log = log
    this.#cycle = cycle
    this.durable = durable
    this.limits = limits
    this.owned = new OwnedOffsets(options.owners)
    this.extents = new Extents(durable ? limits.extentBytes : limits.transientExtentBytes)
    this.#batch = new RecordBatch(log, limits.entryBytes)
  }

  /** Where the message appended last can be read, together with `lastStart`. */
  get lastBuffer(): Buffer {
    return this.#batch.buffer
  }

  /** The offset that the next message gets, within a hold; else it may be a later one. */
  get nextOffset(): number {
    return this.#batch.nextOffset
  }

  /** Until `endHold`, whatever is appended or settled is stored together or not at all. */
  beginHold(): void {
    this.#batch.beginHold()
  }

  endHold(): void {
    // What was settled meanwhile belongs to it, not to the end of the turn.
    if (this.#batch.holdCount === 1) this.#writeSettlers()
    this.#batch.endHold()
  }

  /** Stores a message for `targets`; returns its offset. */
  append(draft: MessageDraft, targets: readonly Identified[], times: MessageTimes): number {
    const size = messageRecordBytes(draft, targets.length, times)
    const start = this.#batch.reserve(size)
    writeMessageRecord(this.#batch.buffer, start, size, draft, targets, times)
    this.lastStart = start
    const offset = this.#batch.countMessage()
    this.extents.add(offset, size, targets.length)
    if (draft.owner !== null) {
      this.owned.add(offset, draft.owner, draft.bodyEnd - draft.bodyStart, targets.length)
    }
    this.appendedBytes += size
    if (this.durable && draft.persistent) this.#cycle.requireSync()
    if (!this.staged) this.#cycle.touch(this)
    return offset
  }

  /** `member` is done with a message: never given out again, its space no longer held. */
  settle(member: ShardMember, offset: number): void {
    this.#settling(member)
    member.settleRuns.add(offset, 1)
    if (!this.owned.isEmpty) this.owned.change(offset, 1, -1)
    if (this.relocations.isEmpty) this.extents.release(offset)
    else this.extents.release(this.relocations.release(offset))
  }

  settleRun(member: ShardMember, start: number, count: number): void {
    this.#settling(member)
    member.settleRuns.add(start, count)
    this.releaseRun(start, count)
  }

  /** One queue holds the messages of a run no more. */
  releaseRun(start: number, count: number): void {
    const { extents, relocations } = this
    extents.releaseRun(start, count)
    if (!this.owned.isEmpty) this.owned.change(start, count, -1)
    if (relocations.isEmpty) return
    relocations.visitWithin(start, count, (offset) => {
      // It was released where it stood first when it was moved.
      extents.hold(offset, 1)
      extents.release(relocations.release(offset))
    })
  }

  /** Keeps how often a message failed. */
  keepAttempts(member: ShardMember, offset: number, attempts: number): void {
    const start = this.#reserveRecord(KIND.ATTEMPTS, 24, member.id)
    const out = this.#batch.buffer
    out.writeUInt32BE(attempts, start + 12)
    out.writeDoubleBE(offset, start + 16)
  }

  /** Keeps how often a message failed and when it may be given out again. */
  keepRetry(
    member: ShardMember,
    failed: { readonly offset: number; readonly attempts: number; readonly notBeforeMs: number },
  ): void {
    const start = this.#reserveRecord(KIND.RETRY, 32, member.id)
    const out = this.#batch.buffer
    out.writeUInt32BE(failed.attempts, start + 12)
    out.writeDoubleBE(failed.offset, start + 16)
    out.writeDoubleBE(failed.notBeforeMs, start + 24)
  }

  /** Keeps that the id of the message stored last was seen; in the entry that holds the message. */
  keepSeen(member: ShardMember, id: Digest, timeMs: number): void {
    const start = this.#reserveRecord(KIND.SEEN, 36, member.id)
    const out = this.#batch.buffer
    out.writeDoubleBE(id.high, start + 12)
    out.writeDoubleBE(id.low, start + 20)
    out.writeDoubleBE(timeMs, start + 28)
  }

  /** Keeps what consumers said when a message failed for the first and for the last time. */
  keepFailure(member: ShardMember, offset: number, { first, last }: FailureText): void {
    const firstBytes = Buffer.from(first, 'utf8')
    const lastBytes = Buffer.from(last, 'utf8')
    const size = 24 + firstBytes.length + lastBytes.length
    const start = this.#reserveRecord(KIND.FAILURE, size, member.id)
    const out = this.#batch.buffer
    out.writeUInt32BE(firstBytes.length, start + 12)
    out.writeDoubleBE(offset, start + 16)
    firstBytes.copy(out, start + 24)
    lastBytes.copy(out, start + 24 + firstBytes.length)
  }

  /**
   * Stores a live message again at the end, so that the place it stood in can be freed. The
   * message keeps its first offset, by which its queues know it.
   */
  move(offset: number, record: Buffer, timestampMs: number, holders: readonly number[]): void {
    const moved = movedRecord(offset, record, timestampMs, holders)
    const start = this.#batch.reserve(moved.length)
    moved.copy(this.#batch.buffer, start)
    const place = this.#batch.countMessage()
    this.extents.release(this.relocations.locate(offset))
    for (let rest = holders.length; rest > 1; rest--) {
      this.extents.release(this.relocations.locate(offset))
    }
    this.extents.add(place, moved.length, holders.length)
    this.relocations.add(offset, place, holders.length)
    this.appendedBytes += moved.length
    this.#cycle.requireSync()
    this.#cycle.touch(this)
  }

  /** Points the cursor at a message if it is in memory; false: call `load`. */
  seek(cursor: RecordCursor, offset: number): boolean {
    const place = this.relocations.isEmpty ? offset : this.relocations.locate(offset)
    if (place >= this.log.nextOffset) {
      // It would tear apart what must be stored together; whoever holds reads nothing.
      if (this.#batch.holdCount > 0) throw new Error('a message is read while it is being stored')
      this.stage()
    }
    return cursor.seek(this.log, place)
  }

  /** Reads a message from disk and points the cursor at it, with some that follow it. */
  load(cursor: RecordCursor, offset: number, done: (error: EngineError | null) => void): void {
    const place = this.relocations.locate(offset)
    this.log.read(place, this.limits.readAheadBytes, (error, entries) => {
      const first = entries[0]
      if (error !== null) done(error)
      else if (first !== undefined && cursor.adopt(first, place)) done(null)
      else done(new EngineError('not-found', `log '${this.log.name}' has no message ${place}`))
    })
  }

  /** The owner of the cursor waits for others: its entry may go when many do. */
  rest(cursor: RecordCursor): void {
    if (cursor.isWarm) return
    this.#warm[this.#warmAt]?.forget()
    this.#warm[this.#warmAt] = cursor
    cursor.isWarm = true
    this.#warmAt = (this.#warmAt + 1) % WARM_CURSORS
  }

  /** Appends what was gathered to the log; the commit cycle commits it. */
  stage(): void {
    if (this.#cycle.isClosed) return
    this.#writeSettlers()
    this.#batch.append()
    if (!this.durable) this.#trim()
  }

  /** A volatile log is never recovered, so what nobody holds is given back at once. */
  #trim(): void {
    if (this.appendedBytes < this.#trimAt) return
    this.#trimAt = this.appendedBytes + this.limits.transientExtentBytes
    for (const { start, end } of this.extents.takeDead(Number.MAX_SAFE_INTEGER - 1)) {
      this.log.discard(start, end)
    }
  }

  #settling(member: ShardMember): void {
    if (!member.settleRuns.isEmpty) return
    this.#settlers.push(member)
    if (this.durable) this.#cycle.requireSync()
    this.#cycle.touch(this)
  }

  #writeSettlers(): void {
    const settlers = this.#settlers
    if (settlers.length === 0) return
    this.#settlers = []
    for (const member of settlers) this.#writeSettled(member)
  }

  #writeSettled(member: ShardMember): void {
    const runs = member.settleRuns
    // A volatile log is gone after a restart, so nobody would read what was settled in it.
    if (!this.durable) {
      runs.writeTo(Buffer.allocUnsafe(runs.runCount * RUN_BYTES), 0)
      return
    }
    const count = runs.runCount
    const start = this.#reserveRecord(KIND.SETTLED, 16 + count * RUN_BYTES, member.id)
    const out = this.#batch.buffer
    putU32(out, start + 12, count)
    runs.writeTo(out, start + 16)
    const bytes = member.exactBytes
    if (bytes < 0) return
    const at = this.#reserveRecord(KIND.LIVE_BYTES, 20, member.id)
    this.#batch.buffer.writeDoubleBE(bytes, at + 12)
  }

  #reserveRecord(kind: number, size: number, memberId: number): number {
    const start = this.#batch.reserve(size)
    const out = this.#batch.buffer
    putU32(out, start, size)
    out[start + 4] = kind
    out.fill(0, start + 5, start + 8)
    putU32(out, start + 8, memberId)
    this.extents.add(this.#batch.nextOffset, size, 0)
    this.appendedBytes += size
    if (this.durable) this.#cycle.requireSync()
    this.#cycle.touch(this)
    return start
  }
}

/** The same message with its targets, time of storage and first offset written down. */
export function movedRecord(
  offset: number,
  record: Buffer,
  timestampMs: number,
  holders: readonly number[],
): Buffer {
  const flags = record[5]!
  const targetsEnd = RECORD_HEAD_BYTES + 4 * record.readUInt16BE(8)
  const timesEnd = ownerEndOf(record, targetsEnd)
  const oldTimeEnd = timesEnd + ((flags & FLAG.TIMESTAMP) === 0 ? 0 : 8)
  const annotationsEnd =
    oldTimeEnd + ((flags & FLAG.ANNOTATIONS) === 0 ? 0 : 4 + record.readUInt32BE(oldTimeEnd))
  const restStart = annotationsEnd + (record[4] === KIND.MOVED ? 8 : 0)

  const head = Buffer.from(record.subarray(0, RECORD_HEAD_BYTES))
  head[4] = KIND.MOVED
  head[5] = flags | FLAG.TIMESTAMP
  head.writeUInt16BE(holders.length, 8)
  const targets = Buffer.allocUnsafe(4 * holders.length)
  for (const [index, id] of holders.entries()) targets.writeUInt32BE(id, 4 * index)
  const time = Buffer.allocUnsafe(8)
  time.writeDoubleBE(timestampMs, 0)
  const first = Buffer.allocUnsafe(8)
  first.writeDoubleBE(offset, 0)
  const moved = Buffer.concat([
    head,
    targets,
    record.subarray(targetsEnd, timesEnd),
    time,
    record.subarray(oldTimeEnd, annotationsEnd),
    first,
    record.subarray(restStart),
  ])
  moved.writeUInt32BE(moved.length, 0)
  return moved
}

/** Where the owner of a message ends, or would, in a record whose targets end at `targetsEnd`. */
function ownerEndOf(data: Buffer, targetsEnd: number, flags: number = data[5]!): number {
  let at = targetsEnd
  if ((flags & FLAG.EXPIRES) !== 0) at += 8
  if ((flags & FLAG.DUE) !== 0) at += 8
  if ((flags & FLAG.OWNER) !== 0) at += 2 + data.readUInt16BE(at)
  return at
}

/** The offset that a MOVED record was first stored at. */
export function firstOffsetOf(data: Buffer, start: number): number {
  const flags = data[start + 5]!
  let at = ownerEndOf(data, start + RECORD_HEAD_BYTES + 4 * data.readUInt16BE(start + 8), flags)
  if ((flags & FLAG.TIMESTAMP) !== 0) at += 8
  if ((flags & FLAG.ANNOTATIONS) !== 0) at += 4 + data.readUInt32BE(at)
  return data.readDoubleBE(at)
}
