import type { Log, LogEntry } from '../engine/contract.ts'
import { readLog } from './log-reader.ts'
import { FLAG, KIND, RECORD_HEAD_BYTES } from './record.ts'
import { firstOffsetOf, type Shard, type ShardMember } from './shard.ts'
import { decodeSnapshot, readSnapshot } from './snapshot.ts'
import { StoredMessage } from './stored-message.ts'

export interface Recovery {
  /** The offset that the snapshot replays from. */
  readonly replayFrom: number
  /** Bytes of the records that had to be replayed. */
  readonly replayedBytes: number
}

/**
 * Rebuilds a shard whose members exist already: the newest snapshot, then every record after it.
 */
export async function recoverShard(shard: Shard, snapshotLog: Log): Promise<Recovery> {
  const snapshot = await readSnapshot(snapshotLog)
  const replayFrom = snapshot === null ? shard.log.startOffset : decodeSnapshot(shard, snapshot)
  let replayedBytes = 0
  for await (const entry of readLog(shard.log, replayFrom)) {
    replayEntry(shard, entry, replayFrom)
    replayedBytes += entry.data.length
  }
  countHolders(shard)
  discardGaps(shard, replayFrom)
  return { replayFrom, replayedBytes }
}

function replayEntry(shard: Shard, entry: LogEntry, replayFrom: number): void {
  const data = entry.data
  let offset = entry.baseOffset
  let at = 0
  while (at < data.length) {
    const size = data.readUInt32BE(at)
    const kind = data[at + 4]
    if (kind === KIND.MESSAGE || kind === KIND.MOVED) {
      if (offset >= replayFrom) {
        if (kind === KIND.MESSAGE) replayMessage(shard, offset, data, at, entry.timestampMs)
        else shard.relocations.add(firstOffsetOf(data, at), offset, 1)
        shard.extents.add(offset, size, data.readUInt16BE(at + 8))
      }
      offset++
    } else {
      if (offset >= replayFrom) shard.extents.add(offset, size, 0)
      // A member that is not there was deleted later.
      const member = shard.members.get(data.readUInt32BE(at + 8))
      if (member !== undefined) replayState(member, data, at)
    }
    at += size
  }
}

function replayMessage(
  shard: Shard,
  offset: number,
  data: Buffer,
  start: number,
  timestampMs: number,
): void {
  if ((data[start + 5]! & FLAG.OWNER) !== 0) {
    const message = new StoredMessage()
    message.set(data, start, timestampMs)
    shard.owned.recover(offset, message.ownerName!, message.bodyEnd - message.bodyStart)
  }
  let at = start + RECORD_HEAD_BYTES
  for (let left = data.readUInt16BE(start + 8); left > 0; left--) {
    // A member that is not there was deleted later.
    shard.members.get(data.readUInt32BE(at))?.recoverMessage(offset, data, start, timestampMs)
    at += 4
  }
}

function replayState(member: ShardMember, data: Buffer, start: number): void {
  const kind = data[start + 4]
  if (kind === KIND.SETTLED) replaySettled(member, data, start)
  else if (kind === KIND.LIVE_BYTES) member.recoverBytes(data.readDoubleBE(start + 12))
  else if (kind === KIND.SEEN) {
    const id = { high: data.readDoubleBE(start + 12), low: data.readDoubleBE(start + 20) }
    member.recoverSeen?.(id, data.readDoubleBE(start + 28))
  } else if (kind === KIND.ATTEMPTS) {
    member.recoverAttempts(data.readDoubleBE(start + 16), data.readUInt32BE(start + 12), 0)
  } else if (kind === KIND.RETRY) {
    const notBeforeMs = data.readDoubleBE(start + 24)
    member.recoverAttempts(
      data.readDoubleBE(start + 16),
      data.readUInt32BE(start + 12),
      notBeforeMs,
    )
  } else if (kind === KIND.FAILURE) replayFailure(member, data, start)
}

function replayFailure(member: ShardMember, data: Buffer, start: number): void {
  const firstEnd = start + 24 + data.readUInt32BE(start + 12)
  member.recoverFailure(data.readDoubleBE(start + 16), {
    first: data.toString('utf8', start + 24, firstEnd),
    last: data.toString('utf8', firstEnd, start + data.readUInt32BE(start)),
  })
}

function replaySettled(member: ShardMember, data: Buffer, start: number): void {
  let at = start + 16
  for (let left = data.readUInt32BE(start + 12); left > 0; left--) {
    member.recoverSettled(data.readDoubleBE(at), data.readUInt32BE(at + 8))
    at += 12
  }
}

/** Counts who holds what from the queues themselves: some that held may be deleted by now. */
function countHolders(shard: Shard): void {
  const refs = new Map<number, number>()
  for (const [offset] of shard.relocations.entries()) refs.set(offset, 0)
  shard.extents.clearRefs()
  for (const member of shard.members.values()) countMember(shard, member, refs)
  shard.owned.recovered()
  for (const [offset, count] of refs) {
    const place = shard.relocations.locate(offset)
    if (count === 0) shard.relocations.remove(offset)
    else shard.relocations.add(offset, place, count)
  }
}

function countMember(shard: Shard, member: ShardMember, moved: Map<number, number>): void {
  member.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
    shard.extents.hold(start, count)
    if (!shard.owned.isEmpty) shard.owned.change(start, count, 1)
    shard.relocations.visitWithin(start, count, (offset) => {
      // It does not stand there any more.
      shard.extents.releaseRun(offset, 1)
      shard.extents.hold(shard.relocations.locate(offset), 1)
      moved.set(offset, moved.get(offset)! + 1)
    })
  })
}

/** What no extent covers was found dead before; its discard may not have reached the disk. */
function discardGaps(shard: Shard, replayFrom: number): void {
  let from = shard.log.startOffset
  for (const { start, end } of shard.extents.list()) {
    if (start > from) shard.log.discard(from, Math.min(start, replayFrom))
    from = Math.max(from, end)
    if (from >= replayFrom) return
  }
  if (from < replayFrom) shard.log.discard(from, replayFrom)
}
