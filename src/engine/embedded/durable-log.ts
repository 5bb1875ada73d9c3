import { later } from '../../lib/later.ts'
import { toEngineError } from './engine-errors.ts'
import type { SegmentLog } from '../../storage/segment-log.ts'
import { EngineError } from '../contract.ts'
import type { LogEntry, ReadDone, Retention } from '../contract.ts'
import type { LogCore, LogHost } from './log-core.ts'
import { CachedReads, takeUpTo } from './read-cache.ts'
import type { ReadCache } from './read-cache.ts'
import { type HeldEntry, RecentEntries } from './recent-entries.ts'
import type { TailCache } from './tail-cache.ts'

/** A dead active segment is given up from this part of its full size on. */
const DEAD_PART = 8
/** A log that keeps few bytes is cut into about so many segments, so that trimming can be fine. */
const RETAINED_SEGMENTS = 8
const RETAINED_SEGMENT_BYTES_MIN = 64 * 1024

export interface DurableHost extends LogHost {
  readonly tailCache: TailCache
  readonly readCache: ReadCache
  readonly segmentBytes: number
  /** The log has its first entry since the last commit. */
  staged(log: DurableLog): void
  /** Counts appended bytes until they are answered. */
  addUncommitted(bytes: number): void
  /** Asks for `log.roll` between two groups. */
  wantRoll(log: DurableLog): void
}

interface WaitingRead {
  readonly bytesMax: number
  readonly done: ReadDone
}

/** A log on disk: what was appended and is not there yet, what is, and what of it is in memory. */
export class DurableLog implements LogCore {
  readonly id: number
  readonly name: string
  readonly volatile = false
  readonly files: SegmentLog
  readonly recent: RecentEntries = new RecentEntries()
  epoch: number
  listener: ((committedOffset: number) => void) | null = null
  nextOffset: number
  committedOffset: number
  /** Appended since the last commit. */
  staged: LogEntry[] = []
  /** Committed, waiting for the group in flight. */
  gathered: LogEntry[] = []
  /** On its way to the disk. */
  flight: LogEntry[] = []
  isRollWanted = false
  isClosed = false
  readonly #host: DurableHost
  readonly #reads: CachedReads
  /** Reads on their way, by offset: whoever asks for the same meanwhile gets the same answer. */
  readonly #waiting = new Map<number, WaitingRead[]>()
  #lastMs: number
  #retention: Retention = {}

  constructor(id: number, name: string, files: SegmentLog, host: DurableHost) {
    this.id = id
    this.name = name
    this.files = files
    this.#host = host
    this.#reads = new CachedReads(host.readCache)
    this.nextOffset = files.nextOffset
    this.committedOffset = files.nextOffset
    this.epoch = files.active.epoch
    this.#lastMs = files.lastMs
  }

  get startOffset(): number {
    return this.files.startOffset
  }

  /** Below it everything can be read from the segments. */
  get writtenOffset(): number {
    return this.files.nextOffset
  }

  get storedBytes(): number {
    return this.files.storedBytes
  }

  append(data: Buffer, count: number, free: (() => void) | null = null): number {
    const { entryBytesMax, hasFailed } = this.#host
    if (data.length > entryBytesMax) {
      const text = `an entry of ${data.length} bytes is above the limit of ${entryBytesMax}`
      throw new EngineError('too-large', text)
    }
    if (!Number.isInteger(count) || count < 1) {
      throw new RangeError(`an entry stands for 1 or more offsets, not ${count}`)
    }
    const baseOffset = this.nextOffset
    this.nextOffset += count
    // Nothing can be stored any more; keeping it would only fill the memory.
    if (hasFailed) return baseOffset
    // Times never go back within a log, or no search by time could work.
    this.#lastMs = Math.max(this.#lastMs, this.#host.now())
    const entry: HeldEntry = { baseOffset, count, timestampMs: this.#lastMs, data, free }
    this.staged.push(entry)
    this.#host.tailCache.add(this, entry)
    this.#host.addUncommitted(data.length)
    if (this.staged.length === 1) this.#host.staged(this)
    return baseOffset
  }

  /** Hands what is staged to the next group. */
  gather(): void {
    const { staged } = this
    this.staged = []
    if (this.gathered.length === 0) this.gathered = staged
    else for (const entry of staged) this.gathered.push(entry)
  }

  peek(offset: number): LogEntry | null {
    return this.recent.find(offset) ?? this.#reads.find(offset)
  }

  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void {
    const refusal = this.#refusalOf(offset)
    if (refusal !== null) {
      later(() => done(refusal, []))
      return
    }
    const inMemory = this.#collect(offset, bytesMax)
    if (inMemory.length > 0 || offset >= this.nextOffset) {
      later(() => done(null, inMemory))
      return
    }
    if (target !== undefined) {
      this.#readInto(target, offset, bytesMax, done)
      return
    }
    const waiting = this.#waiting.get(offset)
    if (waiting !== undefined) {
      waiting.push({ bytesMax, done })
      return
    }
    this.#waiting.set(offset, [{ bytesMax, done }])
    const bytes = Math.max(bytesMax, this.#host.readAheadBytes)
    this.files.read(offset, bytes, (error, entries) => {
      const waiters = this.#waiting.get(offset) ?? []
      this.#waiting.delete(offset)
      if (error !== null) {
        const failure = toEngineError(error)
        for (const waiter of waiters) waiter.done(failure, [])
        return
      }
      if (entries.length > 0) this.#reads.add(entries)
      for (const waiter of waiters) waiter.done(null, this.#upTo(entries, offset, waiter.bytesMax))
    })
  }

  /** Nobody else shares what lies in a buffer of the caller's. */
  #readInto(target: Buffer, offset: number, bytesMax: number, done: ReadDone): void {
    this.files.read(
      offset,
      bytesMax,
      (error, entries) => {
        if (error !== null) done(toEngineError(error), [])
        else done(null, this.#upTo(entries, offset, bytesMax))
      },
      target,
    )
  }

  #upTo(entries: readonly LogEntry[], offset: number, bytesMax: number): LogEntry[] {
    // Nothing from there on is on disk: the next entry kept is one of the newest.
    if (entries.length === 0) return this.recent.collect(offset, bytesMax)
    return takeUpTo(entries, 0, bytesMax)
  }

  offsetForTime(timeMs: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.files.findTime(timeMs, (error, offset) => {
        if (error !== null) {
          reject(toEngineError(error))
          return
        }
        const onDisk = offset < this.files.nextOffset
        resolve(onDisk ? offset : (this.recent.findTime(timeMs)?.baseOffset ?? this.nextOffset))
      })
    })
  }

  discard(from: number, to: number): void {
    this.files.discard(from, Math.min(to, this.committedOffset))
    this.#reads.forgetWithin(from, to)
    this.#wantRollIfDead()
  }

  setRetention(retention: Retention): void {
    this.#retention = retention
    const { bytesMax } = retention
    this.files.segmentBytes =
      bytesMax === undefined
        ? this.#host.segmentBytes
        : Math.min(
            this.#host.segmentBytes,
            Math.max(RETAINED_SEGMENT_BYTES_MIN, Math.ceil(bytesMax / RETAINED_SEGMENTS)),
          )
    this.applyRetention()
  }

  /** Trims by age and size, and begins a new segment where the active one grows old. */
  applyRetention(): void {
    const { ageMsMax = Infinity, bytesMax = Infinity } = this.#retention
    if (ageMsMax === Infinity && bytesMax === Infinity) return
    const nowMs = this.#host.now()
    this.files.trimHead((oldest, storedBytes) => {
      return storedBytes > bytesMax || oldest.lastMs + ageMsMax < nowMs
    })
    const { active } = this.files
    const ageMs = nowMs - active.firstMs
    if (!active.isEmpty && ageMs > ageMsMax / RETAINED_SEGMENTS) this.#wantRoll()
  }

  /** What the flight wrote is where it belongs, and whoever waits may be told. */
  landed(): void {
    const last = this.flight.at(-1)!
    this.committedOffset = last.baseOffset + last.count
    let bytes = 0
    for (const entry of this.flight) bytes += entry.data.length
    this.#host.addUncommitted(-bytes)
    this.flight = []
  }

  /** Lets the oldest entries in memory go, of this log or any other. */
  trimCache(): void {
    this.#host.tailCache.trim()
  }

  /** Begins a new segment; called between two groups. */
  async roll(): Promise<void> {
    await this.files.roll()
    this.isRollWanted = false
    this.applyRetention()
  }

  /** Forgets everything that is in memory. */
  release(): void {
    this.isClosed = true
    this.listener = null
    this.#host.tailCache.release(this)
    this.#reads.clear()
  }

  #wantRollIfDead(): void {
    if (this.files.isActiveDead(this.files.segmentBytes / DEAD_PART)) this.#wantRoll()
  }

  #wantRoll(): void {
    if (this.isRollWanted) return
    this.isRollWanted = true
    this.#host.wantRoll(this)
  }

  #refusalOf(offset: number): EngineError | null {
    if (offset >= this.startOffset && offset <= this.nextOffset) return null
    const kept = `offsets ${this.startOffset} to ${this.nextOffset} are kept`
    return new EngineError('not-found', `offset ${offset} of log '${this.name}': ${kept}`)
  }

  #collect(offset: number, bytesMax: number): LogEntry[] {
    const oldest = this.recent.oldest
    if (oldest !== null && oldest.baseOffset <= offset) {
      return this.recent.collect(offset, bytesMax)
    }
    return this.#reads.collect(offset, bytesMax)
  }
}
