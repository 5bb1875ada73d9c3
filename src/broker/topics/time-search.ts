import type { NativeForm } from '../../model/native-form.ts'
import type { Partition } from './partition.ts'
import type { Piece } from './piece.ts'
import type { TimeIndex } from './time-index.ts'

/** A message and its time, in milliseconds since 1970. */
export interface TimedOffset {
  readonly offset: number
  readonly timestampMs: number
}

const READ_BYTES = 1024 * 1024

type Forms = ReadonlyMap<number, NativeForm>

/** The first message below the high watermark whose time is at or after `timestampMs`. */
export async function findTime(
  partition: Partition,
  times: TimeIndex,
  options: { readonly timestampMs: number; readonly forms: Forms },
): Promise<TimedOffset | null> {
  const { timestampMs, forms } = options
  const from = Math.max(times.floorOf(timestampMs), partition.startOffset)
  for await (const piece of readAll(partition, from, Infinity)) {
    if (piece.maxTimestampMs < timestampMs) continue
    for (const found of timesIn(piece, forms)) {
      if (found.timestampMs >= timestampMs && found.offset >= partition.startOffset) return found
    }
  }
  return null
}

/** The first of the messages below the high watermark that have the largest time. */
export async function findMaxTimestamp(
  partition: Partition,
  times: TimeIndex,
  forms: Forms,
): Promise<TimedOffset | null> {
  const stretches = times.stretches()
  let best: Piece | null = null
  let bestMs = -1
  // A stretch may have lost its largest time with its beginning, so each is looked at that could
  // hold it; all but one or two say by themselves that they do not.
  const order = stretches.map((_stretch, index) => index)
  order.sort((one, other) => stretches[other]!.maxMs - stretches[one]!.maxMs || one - other)
  for (const index of order) {
    const { from, maxMs } = stretches[index]!
    if (maxMs < bestMs || maxMs < 0) break
    const to = stretches[index + 1]?.from ?? Infinity
    for await (const piece of readAll(partition, Math.max(from, partition.startOffset), to)) {
      const isLarger = piece.maxTimestampMs > bestMs
      const isSooner =
        best !== null && piece.maxTimestampMs === bestMs && piece.baseOffset < best.baseOffset
      if (!isLarger && !isSooner) continue
      best = piece
      bestMs = piece.maxTimestampMs
    }
  }
  if (best === null) return null
  let first: TimedOffset | null = null
  for (const found of timesIn(best, forms)) {
    if (found.offset < partition.startOffset) continue
    if (first === null || found.timestampMs > first.timestampMs) first = found
  }
  return first
}

function* timesIn(piece: Piece, forms: Forms): Iterable<TimedOffset> {
  const { baseOffset, data, start, end, timestampMs } = piece
  if (piece.kind === 'message') {
    yield { offset: baseOffset, timestampMs }
    return
  }
  for (const opened of forms.get(piece.form)?.batch?.open(data, start, end) ?? []) {
    yield { offset: baseOffset + opened.offsetDelta, timestampMs: opened.timestampMs }
  }
}

async function* readAll(partition: Partition, from: number, to: number): AsyncIterable<Piece> {
  const below = Math.min(to, partition.highWatermark)
  for (let at = from; at < below;) {
    const pieces = await readSome(partition, at, below)
    if (pieces.length === 0) return
    yield* pieces
    at = pieces.at(-1)!.nextOffset
  }
}

function readSome(partition: Partition, from: number, below: number): Promise<readonly Piece[]> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, pieces: readonly Piece[]): void => {
      if (error === null) resolve(pieces)
      else reject(error)
    }
    // What was read so far may have been cut off meanwhile.
    partition.readFrom(Math.max(from, partition.startOffset), READ_BYTES, done, { below })
  })
}
