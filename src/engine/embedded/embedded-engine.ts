import type { Clock, Timer } from '../../lib/clock.ts'
import { DiskError } from '../../storage/disk.ts'
import type { Histogram } from '../../lib/histogram.ts'
import type { Disk, DiskLock } from '../../storage/disk.ts'
import { JournalWriter } from '../../storage/journal-writer.ts'
import type { RangeSet } from '../../storage/range-set.ts'
import { SegmentFiles } from '../../storage/segment-files.ts'
import { SegmentLog } from '../../storage/segment-log.ts'
import type { SegmentLogOptions } from '../../storage/segment-log.ts'
import type { Cut } from '../../storage/segment-recovery.ts'
import { EngineError } from '../contract.ts'
import type {
  Capabilities,
  CommitLevel,
  Done,
  Engine,
  EngineState,
  Kv,
  Leases,
  Log,
  LogOptions,
} from '../contract.ts'
import { DurableLog } from './durable-log.ts'
import type { DurableHost } from './durable-log.ts'
import { someAtOnce } from '../../lib/some-at-once.ts'
import { closedError, toEngineError } from './engine-errors.ts'
import { Freezer } from './frozen-store.ts'
import type { FrozenStore } from './frozen-store.ts'
import { GroupCommit } from './group-commit.ts'
import { KvStore } from './kv-store.ts'
import { LogRegistry } from './log-registry.ts'
import { StoredLeases } from './stored-leases.ts'
import { FILES_AT_ONCE, WATCH_BYTES, WATCH_INTERVAL_MS } from './options.ts'
import type { EmbeddedLimits } from './options.ts'
import { ReadCache } from './read-cache.ts'
import { StateKeeper } from './state-keeper.ts'
import {
  KV_LOG_ID,
  KV_LOG_NAME,
  LOGS_FOLDER,
  SCRATCH_FOLDER,
  isUnborn,
  logFolder,
} from './store-folder.ts'
import { TailCache } from './tail-cache.ts'
import type { VolatileHost, VolatileLog } from './volatile-log.ts'

/** Spilling stops at this part of the limit, so that it does not begin again at once. */
const SPILL_TO_PART = 0.75

export interface EngineParts {
  readonly disk: Disk
  readonly lock: DiskLock
  readonly clock: Clock
  readonly limits: EmbeddedLimits
  /** The newest journal that was found, and the highest group in any. */
  readonly journalNumber: number
  readonly group: number
  readonly cuts: readonly Cut[]
}

/** The store on a local disk. See docs/durability.md for what it promises and how. */
export class EmbeddedEngine implements Engine, DurableHost, VolatileHost {
  readonly capabilities: Capabilities
  readonly tailCache: TailCache
  readonly readCache: ReadCache
  readonly #parts: EngineParts
  readonly #files: SegmentFiles
  readonly #journal: JournalWriter
  readonly #groups: GroupCommit
  readonly #freezer: Freezer
  readonly #keeper = new StateKeeper()
  readonly #cuts: Cut[]
  #kv!: KvStore
  #kvApi!: Kv
  #leases!: Leases
  #registry!: LogRegistry
  /** Durable logs with something staged. */
  #dirty: DurableLog[] = []
  #uncommittedBytes = 0
  #volatileBytes = 0
  #isSpilling = false
  #scratchCount = 0
  #watchTimer: Timer | null = null
  #bytesSinceWatch = 0
  #closing: Promise<void> | null = null

  private constructor(parts: EngineParts) {
    this.#parts = parts
    const { disk, clock, limits } = parts
    this.tailCache = new TailCache(limits.tailCacheBytesMax)
    this.readCache = new ReadCache(limits.readCacheBytesMax)
    this.#files = new SegmentFiles(disk)
    this.#journal = new JournalWriter(disk, parts.journalNumber)
    this.#cuts = [...parts.cuts]
    this.capabilities = {
      name: 'embedded',
      durability: disk.durable ? 'fsync' : 'memory',
      entryBytesMax: limits.entryBytesMax,
      kvOpsMax: 10_000,
      atomicAcrossLogs: true,
    }
    this.#groups = new GroupCommit({
      clock,
      journal: this.#journal,
      journalBytesMax: limits.journalBytesMax,
      becameFull: (error) => this.#keeper.set('full', `the disk is full: ${error.message}`),
      becameFailed: (error) => this.#keeper.set('failed', error.message),
      bear: (logs) => this.#bear(logs),
      wrote: (bytes) => this.#wrote(bytes),
    })
    this.#freezer = new Freezer({
      disk,
      clock,
      atRest: (task) => this.#groups.run(task),
      writtenBytes: () => this.#registry.writtenBytes(),
    })
  }

  /** Opens the kv and is ready; logs are opened, and their ends checked, when asked for. */
  static async open(parts: EngineParts): Promise<EmbeddedEngine> {
    const engine = new EmbeddedEngine(parts)
    engine.#groups.skipGroups(parts.group)
    const { disk } = parts
    const kvLog = (await isUnborn(disk, KV_LOG_ID, KV_LOG_NAME))
      ? await engine.makeLog(KV_LOG_ID, KV_LOG_NAME)
      : await engine.loadLog(KV_LOG_ID, KV_LOG_NAME)
    engine.#kv = await KvStore.open(kvLog, {
      commit: (log, done) => engine.#groups.commit([log], 'synced', done),
      roll: (log) => engine.#groups.run(() => log.roll()),
    })
    engine.#kvApi = engine.#kv.asKv()
    engine.#leases = new StoredLeases(engine.#kv)
    engine.#registry = await LogRegistry.open({
      disk,
      kv: engine.#kv,
      kvLog,
      groups: engine.#groups,
      engine,
    })
    await engine.#watch()
    return engine
  }

  get kv(): Kv {
    return this.#kvApi
  }

  get leases(): Leases {
    return this.#leases
  }

  get state(): EngineState {
    return this.#keeper.state
  }

  get uncommittedBytes(): number {
    return this.#uncommittedBytes
  }

  /** What recovery cut off since the store was opened: never anything that was acknowledged. */
  /** How long the device took to make commits durable, in seconds. */
  get syncTimes(): Histogram {
    return this.#groups.syncTimes
  }

  get cuts(): readonly Cut[] {
    return this.#cuts
  }

  async openLog(name: string, options: LogOptions): Promise<Log> {
    this.#checkOpen()
    try {
      return await this.#registry.open(name, options)
    } catch (error) {
      throw toEngineError(error)
    }
  }

  async listLogs(): Promise<readonly string[]> {
    return this.#registry.names()
  }

  async deleteLog(name: string): Promise<void> {
    this.#checkOpen()
    try {
      await this.#registry.delete(name)
    } catch (error) {
      throw toEngineError(error)
    }
  }

  commit(level: CommitLevel, done: Done): void {
    this.#registry.commitVolatile()
    const dirty = this.#dirty
    if (dirty.length > 0) this.#dirty = []
    // A log may have been flushed or closed since it said that it has something.
    const isFresh = dirty.every((log) => log.staged.length > 0)
    const logs = isFresh ? dirty : dirty.filter((log) => log.staged.length > 0)
    this.#groups.commit(logs, level, done)
  }

  /**
   * Holds the store still as it stands between two commits, for a backup. `conflict` while another
   * one is held or where nothing is on a disk; `io` where the file system knows no hard links.
   */
  async freeze(): Promise<FrozenStore> {
    this.#checkOpen()
    if (this.capabilities.durability === 'memory') {
      throw new EngineError('conflict', 'the store is in memory, there is nothing to back up')
    }
    try {
      return await this.#freezer.freeze()
    } catch (error) {
      throw toEngineError(error)
    }
  }

  /** The frozen store of this number; null when it was given up. */
  frozen(id: number): FrozenStore | null {
    return this.#freezer.held(id)
  }

  onState(listener: ((state: EngineState, reason: string) => void) | null): void {
    this.#keeper.listener = listener
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // What the logs need of the engine.

  get entryBytesMax(): number {
    return this.#parts.limits.entryBytesMax
  }

  get readAheadBytes(): number {
    return this.#parts.limits.readAheadBytes
  }

  get segmentBytes(): number {
    return this.#parts.limits.segmentBytes
  }

  get hasFailed(): boolean {
    return this.#groups.failure !== null
  }

  now(): number {
    return this.#parts.clock.now()
  }

  staged(log: DurableLog): void {
    // The kv commits for itself: its changes never ride on a commit of the broker's records.
    if (log.id !== KV_LOG_ID) this.#dirty.push(log)
  }

  addUncommitted(bytes: number): void {
    this.#uncommittedBytes += bytes
  }

  wantRoll(log: DurableLog): void {
    this.#groups.runStubborn(async () => {
      if (log.isRollWanted && !log.isClosed) await log.roll()
    })
  }

  volatileGrew(bytes: number): void {
    this.#volatileBytes += bytes
    const { limits, disk } = this.#parts
    if (bytes <= 0 || this.#volatileBytes <= limits.volatileBytesMax || !disk.durable) return
    if (!this.#isSpilling) void this.#spill()
  }

  makeScratch(_log: VolatileLog, discarded: RangeSet, baseOffset: number): Promise<SegmentLog> {
    const id = ++this.#scratchCount
    const folder = `${SCRATCH_FOLDER}/${id}`
    const options = { ...this.#logOptions(id, 'scratch'), folder, durable: false, discarded }
    return SegmentLog.create(options, baseOffset)
  }

  /** A log that was never there; its files are made when it gets something to hold. */
  beginLog(id: number, name: string): DurableLog {
    return new DurableLog(id, name, SegmentLog.unborn(this.#logOptions(id, name)), this)
  }

  /** Makes the files of a log that was never there. */
  async makeLog(id: number, name: string): Promise<DurableLog> {
    const files = await SegmentLog.create(this.#logOptions(id, name))
    return new DurableLog(id, name, files, this)
  }

  /** Opens the files of a log and cuts its torn end, if there is one. */
  async loadLog(id: number, name: string): Promise<DurableLog> {
    const files = await SegmentLog.open(this.#logOptions(id, name))
    if (files.cut !== null) this.#cuts.push(files.cut)
    this.#groups.skipGroups(files.active.group)
    return new DurableLog(id, name, files, this)
  }

  #logOptions(id: number, name: string): SegmentLogOptions {
    return {
      disk: this.#parts.disk,
      files: this.#files,
      folder: logFolder(id),
      logId: id,
      name,
      segmentBytes: this.#parts.limits.segmentBytes,
      durable: true,
    }
  }

  async #bear(logs: readonly DurableLog[]): Promise<void> {
    const { disk } = this.#parts
    await someAtOnce(logs, FILES_AT_ONCE, ({ files }) => files.bear())
    // Once for all of them: the names of their folders must survive a power cut too.
    await disk.syncFolder(LOGS_FOLDER)
    await disk.syncFolder('')
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw closedError('the engine')
    if (this.#groups.failure !== null) throw this.#groups.failure
  }

  #wrote(bytes: number): void {
    this.#keeper.clear('full')
    this.#bytesSinceWatch += bytes
    if (this.#bytesSinceWatch >= WATCH_BYTES) {
      this.#bytesSinceWatch = 0
      void this.#lookAtSpace()
    }
  }

  async #spill(): Promise<void> {
    this.#isSpilling = true
    try {
      const target = this.#parts.limits.volatileBytesMax * SPILL_TO_PART
      while (this.#volatileBytes > target && this.#closing === null) {
        const log = this.#registry.largestVolatile()
        if (log === null || !(await log.spill())) break
      }
    } catch (error) {
      // It stays in memory; the state tells publishers to wait, and the next append tries again.
      if (error instanceof DiskError && error.isFull) {
        this.#keeper.set('low-space', `the scratch file does not fit: ${error.message}`)
      } else {
        this.#keeper.set('low-space', `the scratch file cannot be written: ${String(error)}`)
      }
    } finally {
      this.#isSpilling = false
    }
  }

  /** Looks at free space, the lock and the age of entries, now and every few seconds. */
  async #watch(): Promise<void> {
    await this.#lookAtSpace()
    const { lock, clock, disk } = this.#parts
    if (!disk.durable) return
    try {
      if (this.#closing === null && !(await lock.isHeld())) {
        const text = `another process took over the lock of ${disk.name}`
        this.#groups.fail(new EngineError('locked', text))
      }
    } catch (error) {
      this.#groups.fail(error)
    }
    if (this.#closing !== null || this.hasFailed) return
    this.#registry.applyRetention()
    this.#watchTimer = clock.setTimer(WATCH_INTERVAL_MS, () => void this.#watch())
  }

  async #lookAtSpace(): Promise<void> {
    const { disk, limits } = this.#parts
    let free: number
    try {
      free = await disk.freeBytes()
    } catch {
      // Some file systems do not tell; then only a refused write does.
      return
    }
    if (free >= limits.diskFreeBytesMin) {
      this.#keeper.clear('low-space')
      return
    }
    const limit = limits.diskFreeBytesMin
    this.#keeper.set('low-space', `${disk.name} has ${free} bytes free, the limit is ${limit}`)
  }

  async #close(): Promise<void> {
    this.#watchTimer?.cancel()
    this.#groups.stopWaiting()
    try {
      await this.#registry.close()
      if (!this.hasFailed && this.#journal.isOpen) await this.#journal.end()
    } finally {
      await this.#journal.abandon()
      await this.#freezer.close()
      await this.#files.closeIdle()
      await this.#parts.lock.release()
      // Whoever commits now is told so.
      this.#groups.fail(closedError('the engine'))
    }
  }
}
