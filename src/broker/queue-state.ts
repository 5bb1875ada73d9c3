import type { FailureTexts } from './failure-texts.ts'
import type { OffsetMap } from './offset-map.ts'
import type { QueueIndex } from './queue-index.ts'

/** What a snapshot keeps of a queue beside its spec, which is metadata. */
export interface QueueState {
  readonly deliveredBefore: number
  readonly liveBytes: number
  readonly mayExpire: boolean
  readonly attempts: OffsetMap
  readonly levels: readonly QueueIndex[]
  /** Before when messages that failed are held back, in milliseconds since the epoch. */
  readonly notBefore: OffsetMap
  readonly failures: FailureTexts
}

/**
 * f64 delivered before, f64 live bytes, u8 may expire, u32 count of attempts and for each f64
 * offset and u32 attempts, u16 count of levels and each level as `QueueIndex.encode` writes it,
 * u32 count of messages held back and for each f64 offset and f64 not before, u32 count of failures
 * that were told of and for each f64 offset, u16 bytes and the first text, u16 bytes and the last.
 */
export function encodeQueueState(state: QueueState): Buffer {
  const head = Buffer.allocUnsafe(23 + 12 * state.attempts.size)
  let at = head.writeDoubleBE(state.deliveredBefore, 0)
  at = head.writeDoubleBE(state.liveBytes, at)
  at = head.writeUInt8(state.mayExpire ? 1 : 0, at)
  at = head.writeUInt32BE(state.attempts.size, at)
  for (const [offset, attempts] of state.attempts.entries()) {
    at = head.writeDoubleBE(offset, at)
    at = head.writeUInt32BE(attempts, at)
  }
  head.writeUInt16BE(state.levels.length, at)
  const levels = state.levels.map((level) => level.encode())
  return Buffer.concat([
    head,
    ...levels,
    encodeTimes(state.notBefore),
    encodeFailures(state.failures),
  ])
}

function encodeFailures(failures: FailureTexts): Buffer {
  const count = Buffer.allocUnsafe(4)
  count.writeUInt32BE(failures.size, 0)
  const parts: Buffer[] = [count]
  for (const [offset, { first, last }] of failures.entries()) {
    const place = Buffer.allocUnsafe(8)
    place.writeDoubleBE(offset, 0)
    parts.push(place, sizedText(first), sizedText(last))
  }
  return Buffer.concat(parts)
}

function sizedText(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8')
  return Buffer.concat([Buffer.of(bytes.length >>> 8, bytes.length & 0xff), bytes])
}

function decodeFailures(bytes: Buffer, start: number, failures: FailureTexts): void {
  let at = start + 4
  const text = (): string => {
    const from = at + 2
    at = from + bytes.readUInt16BE(at)
    return bytes.toString('utf8', from, at)
  }
  for (let left = bytes.readUInt32BE(start); left > 0; left--) {
    const offset = bytes.readDoubleBE(at)
    at += 8
    failures.recover(offset, { first: text(), last: text() })
  }
}

function encodeTimes(times: OffsetMap): Buffer {
  const out = Buffer.allocUnsafe(4 + 16 * times.size)
  let at = out.writeUInt32BE(times.size, 0)
  for (const [offset, timeMs] of times.entries()) {
    at = out.writeDoubleBE(offset, at)
    at = out.writeDoubleBE(timeMs, at)
  }
  return out
}

/** Fills `attempts`, `levels`, `notBefore` and `failures`, which must be empty. */
export function decodeQueueState(
  bytes: Buffer,
  {
    attempts,
    levels,
    notBefore,
    failures,
  }: Pick<QueueState, 'attempts' | 'levels' | 'notBefore' | 'failures'>,
): { readonly deliveredBefore: number; readonly liveBytes: number; readonly mayExpire: boolean } {
  let at = 21
  for (let left = bytes.readUInt32BE(17); left > 0; left--) {
    attempts.set(bytes.readDoubleBE(at), bytes.readUInt32BE(at + 8))
    at += 12
  }
  const levelCount = bytes.readUInt16BE(at)
  at += 2
  for (let level = 0; level < levelCount; level++) at = levels[level]!.decode(bytes, at)
  let left = bytes.readUInt32BE(at)
  for (at += 4; left > 0; left--) {
    notBefore.set(bytes.readDoubleBE(at), bytes.readDoubleBE(at + 8))
    at += 16
  }
  decodeFailures(bytes, at, failures)
  return {
    deliveredBefore: bytes.readDoubleBE(0),
    liveBytes: bytes.readDoubleBE(8),
    mayExpire: bytes[16] === 1,
  }
}
