import type { QueueIndex } from './queue-index.ts'

/** What a snapshot keeps of a queue beside its spec, which is metadata. */
export interface QueueState {
  readonly deliveredBefore: number
  readonly liveBytes: number
  readonly mayExpire: boolean
  readonly attempts: ReadonlyMap<number, number>
  readonly levels: readonly QueueIndex[]
}

/**
 * f64 delivered before, f64 live bytes, u8 may expire, u32 count of attempts and for each f64
 * offset and u32 attempts, u16 count of levels and each level as `QueueIndex.encode` writes it.
 */
export function encodeQueueState(state: QueueState): Buffer {
  const head = Buffer.allocUnsafe(23 + 12 * state.attempts.size)
  let at = head.writeDoubleBE(state.deliveredBefore, 0)
  at = head.writeDoubleBE(state.liveBytes, at)
  at = head.writeUInt8(state.mayExpire ? 1 : 0, at)
  at = head.writeUInt32BE(state.attempts.size, at)
  for (const [offset, attempts] of state.attempts) {
    at = head.writeDoubleBE(offset, at)
    at = head.writeUInt32BE(attempts, at)
  }
  head.writeUInt16BE(state.levels.length, at)
  return Buffer.concat([head, ...state.levels.map((level) => level.encode())])
}

/** Fills `attempts` and `levels`, which must be empty. */
export function decodeQueueState(
  bytes: Buffer,
  attempts: Map<number, number>,
  levels: readonly QueueIndex[],
): { readonly deliveredBefore: number; readonly liveBytes: number; readonly mayExpire: boolean } {
  let at = 21
  for (let left = bytes.readUInt32BE(17); left > 0; left--) {
    attempts.set(bytes.readDoubleBE(at), bytes.readUInt32BE(at + 8))
    at += 12
  }
  const levelCount = bytes.readUInt16BE(at)
  at += 2
  for (let level = 0; level < levelCount; level++) at = levels[level]!.decode(bytes, at)
  return {
    deliveredBefore: bytes.readDoubleBE(0),
    liveBytes: bytes.readDoubleBE(8),
    mayExpire: bytes[16] === 1,
  }
}
