import { later } from '../../lib/later.ts'
import { encodeGroup } from '../../storage/entry-format.ts'
import { RangeSet } from '../../storage/range-set.ts'
import type { SegmentLog } from '../../storage/segment-log.ts'
import { EngineError } from '../contract.ts'
import type { LogEntry, ReadDone, Retention } from '../contract.ts'
import { toEngineError } from './engine-errors.ts'
import type { LogCore, LogHost } from './log-core.ts'
import { CachedReads, takeUpTo } from './read-cache.ts'
import type { ReadCache } from './read-cache.ts'
import { RecentEntries } from './recent-entries.ts'

/** So much goes to the scratch file in one write. */
const SPILL_BYTES = 4 * 1024 * 1024

export interface VolatileHost extends LogHost {
  readonly readCache: ReadCache
  /** Memory may be over its limit now. */
  volatileGrew(bytes: number): void
  /** Makes the scratch file of the log, which is thrown away at the next start. */
  makeScratch(log: VolatileLog, discarded: RangeSet, baseOffset: number): Promise<SegmentLog>
}

/** A log in memory, the older part of which may have gone to a scratch file that is never synced. */
export class VolatileLog implements LogCore {
  readonly id: number
  readonly name: string
  readonly volatile = true
  epoch: number
  listener: ((committedOffset: number) => void) | null = null
  nextOffset = 0
  committedOffset = 0
  readonly recent: RecentEntries = new RecentEntries()
  readonly #host: VolatileHost
  readonly #reads: CachedReads
  readonly #discarded = new RangeSet()
  #scratch: SegmentLog | null = null
  /** Entries below are in the scratch file, if anywhere. */
  #spilledOffset = 0
  #isSpilling = false
  #isClosed = false
  #lastMs = 0
  #retention: Retention = {}

  constructor(id: number, name: string, options: { epoch: number; host: VolatileHost }) {
    this.id = id
    this.name = name
    this.epoch = options.epoch
    this.#host = options.host
    this.#reads = new CachedReads(options.host.readCache)
  }

  get startOffset(): number {
    const scratch = this.#scratch
    if (scratch !== null && scratch.startOffset < this.#spilledOffset) return scratch.startOffset
    return this.recent.oldest?.baseOffset ?? this.nextOffset
  }

  get storedBytes(): number {
    return this.recent.bytes + (this.#scratch?.storedBytes ?? 0)
  }

  append(data: Buffer, count: number, free: (() => void) | null = null): number {
    const { entryBytesMax } = this.#host
    if (data.length > entryBytesMax) {
      const text = `an entry of ${data.length} bytes is above the limit of ${entryBytesMax}`
      throw new EngineError('too-large', text)
    }
    if (!Number.isInteger(count) || count < 1) {
      throw new RangeError(`an entry stands for 1 or more offsets, not ${count}`)
    }
    const baseOffset = this.nextOffset
    this.nextOffset += count
    this.#lastMs = Math.max(this.#lastMs, this.#host.now())
    const before = this.recent.bytes
    this.recent.push({ baseOffset, count, timestampMs: this.#lastMs, data, free })
    this.#host.volatileGrew(this.recent.bytes - before)
    return baseOffset
  }

  /** Everything appended so far is committed: there is nothing to wait for. */
  commit(): void {
    if (this.committedOffset === this.nextOffset) return
    this.committedOffset = this.nextOffset
    if (this.listener === null) return
    const offset = this.committedOffset
    later(() => this.listener?.(offset))
  }

  peek(offset: number): LogEntry | null {
    return this.recent.find(offset) ?? this.#reads.find(offset)
  }

  read(offset: number, bytesMax: number, done: ReadDone): void {
    if (offset < this.startOffset || offset > this.nextOffset) {
      const kept = `offsets ${this.startOffset} to ${this.nextOffset} are kept`
      const text = `offset ${offset} of log '${this.name}': ${kept}`
      later(() => done(new EngineError('not-found', text), []))
      return
    }
    const scratch = this.#scratch
    if (scratch === null || offset >= this.#spilledOffset) {
      later(() => done(null, this.recent.collect(offset, bytesMax)))
      return
    }
    const cached = this.#reads.collect(offset, bytesMax)
    if (cached.length > 0) {
      later(() => done(null, cached))
      return
    }
    scratch.read(offset, Math.max(bytesMax, this.#host.readAheadBytes), (error, entries) => {
      if (error !== null) done(toEngineError(error), [])
      else if (entries.length === 0) done(null, this.recent.collect(offset, bytesMax))
      else {
        this.#reads.add(entries)
        done(null, takeUpTo(entries, 0, bytesMax))
      }
    })
  }

  async offsetForTime(timeMs: number): Promise<number> {
    const scratch = this.#scratch
    if (scratch !== null && scratch.lastMs >= timeMs) {
      const offset = await new Promise<number>((resolve, reject) => {
        scratch.findTime(timeMs, (error, found) => {
          if (error === null) resolve(found)
          else reject(toEngineError(error))
        })
      })
      if (offset < this.#spilledOffset) return offset
    }
    return this.recent.findTime(timeMs)?.baseOffset ?? this.nextOffset
  }

  discard(from: number, to: number): void {
    const end = Math.min(to, this.committedOffset)
    if (from >= end) return
    this.#discarded.add(from, end)
    const start = this.#discarded.startOf(from)
    const freed = this.recent.dropWithin(start, this.#discarded.endOf(from))
    this.#host.volatileGrew(-freed)
    this.#reads.forgetWithin(from, end)
    if (this.#scratch === null) this.#discarded.removeBelow(this.startOffset)
    else this.#scratch.discard(from, end)
  }

  setRetention(retention: Retention): void {
    this.#retention = retention
    this.applyRetention()
  }

  applyRetention(): void {
    const { ageMsMax = Infinity, bytesMax = Infinity } = this.#retention
    if (ageMsMax === Infinity && bytesMax === Infinity) return
    const oldestMs = this.#host.now() - ageMsMax
    this.#scratch?.trimHead((segment, bytes) => {
      return bytes + this.recent.bytes > bytesMax || segment.lastMs < oldestMs
    })
    for (let entry = this.recent.oldest; entry !== null; entry = this.recent.oldest) {
      const isOver = this.storedBytes > bytesMax || entry.timestampMs < oldestMs
      if (!isOver || entry.baseOffset + entry.count > this.committedOffset) break
      this.#host.volatileGrew(-this.recent.dropOldest())
    }
  }

  /** Moves the oldest entries to the scratch file; answers whether any went. */
  async spill(): Promise<boolean> {
    const batch = this.recent.oldestUpTo(this.committedOffset, SPILL_BYTES)
    if (this.#isSpilling || this.#isClosed || batch.length === 0) return false
    this.#isSpilling = true
    try {
      const first = batch[0]!.baseOffset
      this.#scratch ??= await this.#host.makeScratch(this, this.#discarded, first)
      const scratch = this.#scratch
      if (scratch.needsRoll(SPILL_BYTES)) await scratch.roll()
      const place = scratch.place(this.epoch, 0)
      const buffers = encodeGroup(batch, place)
      await new Promise<void>((resolve, reject) => {
        scratch.activeFile.write(buffers, place.position, (error) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
      const last = batch.at(-1)!
      scratch.written(batch, place)
      this.#spilledOffset = last.baseOffset + last.count
      this.#host.volatileGrew(-this.recent.dropBelow(this.#spilledOffset))
      return true
    } finally {
      this.#isSpilling = false
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.listener = null
    this.#host.volatileGrew(-this.recent.clear())
    this.#reads.clear()
    await this.#scratch?.abandon()
  }
}
