import type { Log } from '../engine/contract.ts'
import type { Extent } from './extents.ts'
import { readLog } from './log-reader.ts'
import type { Shard } from './shard.ts'

const PIECE_HEAD_BYTES = 8
const FORMAT_VERSION = 2

/**
 * A snapshot of a shard: u8 format version, f64 offset to replay from, u32 count of extents and
 * each as f64 start, f64 end, f64 bytes, f64 total; u32 count of relocations and each as f64
 * offset, f64 place; u32 bytes and what `OwnedOffsets.encode` writes; then for each member u32 id, u32 size and its own state, to the end.
 */
export function encodeSnapshot(shard: Shard, replayFrom: number): Buffer {
  const extents = shard.extents.list()
  const head = Buffer.allocUnsafe(17 + 32 * extents.length + 16 * shard.relocations.size)
  let at = head.writeUInt8(FORMAT_VERSION, 0)
  at = head.writeDoubleBE(replayFrom, at)
  at = head.writeUInt32BE(extents.length, at)
  for (const { start, end, bytes, total } of extents) {
    at = head.writeDoubleBE(start, at)
    at = head.writeDoubleBE(end, at)
    at = head.writeDoubleBE(bytes, at)
    at = head.writeDoubleBE(total, at)
  }
  at = head.writeUInt32BE(shard.relocations.size, at)
  for (const [offset, { place }] of shard.relocations.entries()) {
    at = head.writeDoubleBE(offset, at)
    at = head.writeDoubleBE(place, at)
  }
  const owned = shard.owned.encode()
  const ownedHead = Buffer.allocUnsafe(4)
  ownedHead.writeUInt32BE(owned.length, 0)
  const parts: Buffer[] = [head, ownedHead, owned]
  for (const member of shard.members.values()) {
    const state = member.encodeState()
    const memberHead = Buffer.allocUnsafe(8)
    memberHead.writeUInt32BE(member.id, 0)
    memberHead.writeUInt32BE(state.length, 4)
    parts.push(memberHead, state)
  }
  return Buffer.concat(parts)
}

/** Puts a snapshot into a fresh shard whose members exist; returns where to replay from. */
export function decodeSnapshot(shard: Shard, bytes: Buffer): number {
  if (bytes[0] !== FORMAT_VERSION) {
    throw new Error(
      `a snapshot has format version ${bytes[0]}, this broker reads ${FORMAT_VERSION}`,
    )
  }
  const replayFrom = bytes.readDoubleBE(1)
  let at = 13
  const extents: Extent[] = []
  for (let left = bytes.readUInt32BE(9); left > 0; left--) {
    extents.push({
      start: bytes.readDoubleBE(at),
      end: bytes.readDoubleBE(at + 8),
      bytes: bytes.readDoubleBE(at + 16),
      total: bytes.readDoubleBE(at + 24),
      refs: 0,
    })
    at += 32
  }
  shard.extents.restore(extents)
  const relocationCount = bytes.readUInt32BE(at)
  at += 4
  for (let left = relocationCount; left > 0; left--) {
    shard.relocations.add(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8), 1)
    at += 16
  }
  const ownedEnd = at + 4 + bytes.readUInt32BE(at)
  shard.owned.decode(bytes.subarray(at + 4, ownedEnd))
  at = ownedEnd
  while (at < bytes.length) {
    const size = bytes.readUInt32BE(at + 4)
    // A member that is not there was deleted after the snapshot was taken.
    shard.members.get(bytes.readUInt32BE(at))?.decodeState(bytes.subarray(at + 8, at + 8 + size))
    at += 8 + size
  }
  return replayFrom
}

/** Appends a snapshot to its log in pieces, each knowing how many there are. */
export function appendSnapshot(log: Log, snapshot: Buffer, pieceBytes: number): void {
  const pieceCount = Math.max(1, Math.ceil(snapshot.length / pieceBytes))
  for (let piece = 0; piece < pieceCount; piece++) {
    const head = Buffer.allocUnsafe(PIECE_HEAD_BYTES)
    head.writeUInt32BE(piece, 0)
    head.writeUInt32BE(pieceCount, 4)
    const part = snapshot.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)
    log.append(Buffer.concat([head, part]), 1)
  }
}

/** The newest snapshot of which every piece is there; null when there is none. */
export async function readSnapshot(log: Log): Promise<Buffer | null> {
  let pieces: Buffer[] = []
  let newest: Buffer | null = null
  for await (const { data } of readLog(log, log.startOffset)) {
    const piece = data.readUInt32BE(0)
    if (piece === 0) pieces = []
    if (piece === pieces.length) pieces.push(data.subarray(PIECE_HEAD_BYTES))
    if (pieces.length === data.readUInt32BE(4)) newest = Buffer.concat(pieces)
  }
  return newest
}
