import { EngineError, type LogEntry } from '../../engine/contract.ts'
import { KIND } from '../record.ts'
import { firstOffsetOf } from '../shard.ts'
import { StoredMessage } from '../stored-message.ts'
import { BATCH_HEAD_BYTES, batchCountOf, batchOffsetOf } from './batch-record.ts'
import type { EntrySource } from './entry-source.ts'
import { Piece, type PiecesDone } from './piece.ts'

/** What to read of a log. */
export interface ReadRange {
  /** The first piece is the one that holds this offset, or the next one that is kept. */
  readonly from: number
  /** No piece begins there or later. */
  readonly below: number
  /** Beyond it a piece is given only if it is the first. */
  readonly bytesMax: number
  /** What is asked of the disk at once. */
  readonly readAheadBytes: number
  /** See `Log.read`. */
  readonly target?: Buffer | undefined
}

/** Gathers pieces from entries until there are enough. */
class PieceGatherer {
  readonly pieces: Piece[] = []
  /** Where to go on. */
  offset: number
  isFull = false
  readonly #range: ReadRange
  #bytes = 0

  constructor(range: ReadRange) {
    this.#range = range
    this.offset = range.from
  }

  get isDone(): boolean {
    return this.isFull || this.offset >= this.#range.below
  }

  take(entry: LogEntry): void {
    const { data } = entry
    let here = entry.baseOffset
    for (let start = 0; start < data.length && !this.isFull;) {
      const end = start + data.readUInt32BE(start)
      const kind = data[start + 4]!
      if (kind === KIND.BATCH) {
        const baseOffset = batchOffsetOf(data, start)
        here = baseOffset + batchCountOf(data, start)
        this.#add(entry, start, { baseOffset, nextOffset: here })
      } else if (kind === KIND.MESSAGE || kind === KIND.MOVED) {
        const baseOffset = kind === KIND.MOVED ? firstOffsetOf(data, start) : here
        here = baseOffset + 1
        this.#add(entry, start, { baseOffset, nextOffset: here })
      }
      start = end
    }
    if (!this.isFull) this.offset = Math.max(this.offset, entry.baseOffset + entry.count)
  }

  #add(
    { data, timestampMs }: LogEntry,
    start: number,
    place: { readonly baseOffset: number; readonly nextOffset: number },
  ): void {
    const { below, bytesMax } = this.#range
    // Where the compacted part ends, the first entry after it may begin before that.
    if (place.nextOffset <= this.offset) return
    const end = start + data.readUInt32BE(start)
    const isBatch = data[start + 4] === KIND.BATCH
    const size = end - start
    if (place.baseOffset >= below || (this.pieces.length > 0 && this.#bytes + size > bytesMax)) {
      this.isFull = true
      return
    }
    this.#bytes += size
    this.offset = place.nextOffset
    this.pieces.push(
      new Piece(
        { data, start: isBatch ? start + BATCH_HEAD_BYTES : start, end },
        {
          ...place,
          kind: isBatch ? 'batch' : 'message',
          form: data[start + 7]!,
          timestampMs: data[start + 4] === KIND.MOVED ? timeOf(data, start) : timestampMs,
        },
      ),
    )
  }
}

/** When a message was stored that was stored again since. */
function timeOf(data: Buffer, start: number): number {
  const view = new StoredMessage()
  view.set(data, start, 0)
  return view.timestampMs
}

/** Calls back in the call when something of what is asked for is in memory, else when it is read. */
export function readPieces(log: EntrySource, range: ReadRange, done: PiecesDone): void {
  gather(log, range, new PieceGatherer(range), done)
}

function gather(log: EntrySource, range: ReadRange, found: PieceGatherer, done: PiecesDone): void {
  while (!found.isDone) {
    const entry = log.peek(found.offset)
    if (entry === null) break
    found.take(entry)
  }
  if (found.pieces.length > 0 || found.isDone) {
    done(null, found.pieces)
    return
  }
  const { target } = range
  const bytes =
    target === undefined ? Math.max(range.bytesMax, range.readAheadBytes) : range.bytesMax
  log.read(
    found.offset,
    bytes,
    (error, entries) => {
      if (error !== null) {
        done(error, [])
        return
      }
      const before = found.offset
      for (const entry of entries) if (!found.isDone) found.take(entry)
      if (found.pieces.length > 0 || found.isDone) done(null, found.pieces)
      else if (found.offset === before) done(missing(log, before), [])
      else gather(log, range, found, done)
    },
    target,
  )
}

function missing(log: EntrySource, offset: number): EngineError {
  return new EngineError('not-found', `log '${log.name}' has nothing at offset ${offset}`)
}
