import { ENTRY_HEADER_BYTES, ENTRY_MAGIC_BYTES, decodeHeader, isWhole } from './entry-format.ts'
import type { StoredEntry } from './entry-format.ts'

/** Bytes of a segment that are no whole entries. */
export interface Damage {
  readonly position: number
  readonly end: number
  readonly reason: string
  /** Offsets that stood there: from the end of the entry before to the start of the one behind. */
  readonly lostFrom: number
  /** null when nothing behind says where the next offset begins. */
  readonly lostTo: number | null
}

/** Whole entries that stand one behind the other. */
export interface Run {
  readonly entries: readonly StoredEntry[]
  readonly epoch: number
  readonly end: number
}

export interface WalkResult {
  readonly runs: readonly Run[]
  readonly damage: readonly Damage[]
}

export interface WalkOptions {
  readonly salt: number
  /** Where the first entry should stand. */
  readonly position: number
  readonly baseOffset: number
}

/**
 * Finds every whole entry of a segment, also behind damage, where a scan for recovery would stop.
 * The entries are views on `bytes`.
 */
export function walkSegment(bytes: Buffer, options: WalkOptions): WalkResult {
  const runs: Run[] = []
  const damage: Damage[] = []
  let nextOffset = options.baseOffset
  let position = options.position
  while (position < bytes.length) {
    const run = takeRun(bytes, { ...options, position, baseOffset: nextOffset })
    if (run.entries.length > 0) {
      runs.push(run)
      const last = run.entries.at(-1)!
      nextOffset = last.baseOffset + last.count
      position = run.end
    }
    if (position >= bytes.length) break
    const next = findWhole(bytes, position + 1, { salt: options.salt, nextOffset })
    const end = next?.position ?? bytes.length
    const lostTo = next?.baseOffset ?? null
    const reason = reasonOf(bytes, position)
    damage.push({ position, end, reason, lostFrom: nextOffset, lostTo })
    position = end
    nextOffset = lostTo ?? nextOffset
  }
  return { runs, damage }
}

function takeRun(bytes: Buffer, { salt, position, baseOffset }: WalkOptions): Run {
  const entries: StoredEntry[] = []
  let at = position
  let nextOffset = baseOffset
  let epoch = 0
  while (at < bytes.length) {
    const header = decodeHeader(bytes, at, at)
    if (header === null || !isWhole(bytes, at, header.dataBytes, salt)) break
    if (header.baseOffset !== nextOffset || header.count === 0) break
    const start = at + ENTRY_HEADER_BYTES
    at = start + header.dataBytes
    const { count, timestampMs } = header
    entries.push({ baseOffset: nextOffset, count, timestampMs, data: bytes.subarray(start, at) })
    nextOffset += count
    epoch = header.epoch
  }
  return { entries, epoch, end: at }
}

function findWhole(
  bytes: Buffer,
  from: number,
  { salt, nextOffset }: { readonly salt: number; readonly nextOffset: number },
): { readonly position: number; readonly baseOffset: number } | null {
  let at = bytes.indexOf(ENTRY_MAGIC_BYTES, from)
  while (at >= 0) {
    const header = decodeHeader(bytes, at, at)
    if (header !== null && header.baseOffset >= nextOffset) {
      if (isWhole(bytes, at, header.dataBytes, salt)) {
        return { position: at, baseOffset: header.baseOffset }
      }
    }
    at = bytes.indexOf(ENTRY_MAGIC_BYTES, at + 1)
  }
  return null
}

function reasonOf(bytes: Buffer, position: number): string {
  const header = decodeHeader(bytes, position, position)
  if (header === null) return 'no entry begins there'
  const end = position + ENTRY_HEADER_BYTES + header.dataBytes
  if (end > bytes.length) return `an entry of ${header.dataBytes} bytes does not fit`
  return 'the entry does not carry its checksum, or not the offset that follows'
}
