import type { Clock } from '../../lib/clock.ts'
import { Histogram, LATENCY_BOUNDS } from '../../lib/histogram.ts'
import { DiskError } from '../../storage/disk.ts'
import { encodeGroup, groupBytes } from '../../storage/entry-format.ts'
import type { EntryPlace } from '../../storage/entry-format.ts'
import type { JournalPart } from '../../storage/journal.ts'
import type { JournalWriter } from '../../storage/journal-writer.ts'
import type { CommitLevel, Done, EngineError } from '../contract.ts'
import { later } from '../../lib/later.ts'
import type { DurableLog } from './durable-log.ts'
import { closedError, toEngineError } from './engine-errors.ts'
import { FULL_RETRY_MS } from './options.ts'

/** So many segments are synced side by side at a checkpoint; more only queue up behind it. */
const SYNCS_AT_ONCE = 4

/** A full disk is tried again so often when the engine closes, without waiting in between. */
const TRIES_AT_CLOSE = 3

/** What goes to the disk together and is answered together. */
interface Group {
  readonly logs: DurableLog[]
  readonly dones: Done[]
  isSynced: boolean
  /** The logs' listeners know of it. */
  isAnswered: boolean
}

/** The part of a group that goes into one log. */
interface Part {
  readonly log: DurableLog
  readonly place: EntryPlace
  readonly buffers: Buffer[]
}

export interface GroupHost {
  readonly clock: Clock
  readonly journal: JournalWriter
  readonly journalBytesMax: number
  /** The device took no more; commits wait and are tried again. */
  becameFull(error: DiskError): void
  /** The device broke; nothing can be stored until the engine is opened again. */
  becameFailed(error: EngineError): void
  /** Makes the files of logs that have none yet. */
  bear(logs: readonly DurableLog[]): Promise<void>
  /** The device took so many bytes. */
  wrote(bytes: number): void
}

/**
 * Brings groups onto the disk one after the other; whatever gathers meanwhile is the next group.
 *
 * A group that touches one log goes straight into that log's active segment. One that touches
 * several goes into the journal as one record, so that one sync makes all of it durable at once;
 * only then do the segments get it, unsynced until the next checkpoint. A segment therefore never
 * holds a part of a group of which the journal could lose another part.
 */
export class GroupCommit {
  readonly #host: GroupHost
  /** How long the device took for what somebody waited for, in seconds. */
  readonly syncTimes: Histogram = new Histogram(LATENCY_BOUNDS)
  #gathering: Group | null = null
  #flight: Group | null = null
  #isBusy = false
  readonly #tasks: (() => Promise<void>)[] = []
  #failure: EngineError | null = null
  #group = 1
  /** Tries again at once; one for each write that waits for space. */
  readonly #waits = new Set<() => void>()
  /** Endless until the engine is closed. */
  #triesLeft = Infinity
  /** Logs whose active segment got a part of a journal record since it was last synced. */
  readonly #unsynced = new Set<DurableLog>()
  #checkpoint: Promise<void> = Promise.resolve()

  constructor(host: GroupHost) {
    this.#host = host
  }

  get failure(): EngineError | null {
    return this.#failure
  }

  /** Groups are numbered from above `group` on: no number is used twice. */
  skipGroups(group: number): void {
    this.#group = Math.max(this.#group, group + 1)
  }

  /** Takes what the logs have staged into the next group. */
  commit(logs: readonly DurableLog[], level: CommitLevel, done: Done): void {
    if (this.#failure !== null) {
      this.#refuse(logs, done, this.#failure)
      return
    }
    if (logs.length === 0) {
      this.#follow(done)
      return
    }
    this.#gathering ??= { logs: [], dones: [], isSynced: false, isAnswered: false }
    const group = this.#gathering
    for (const log of logs) {
      if (log.gathered.length === 0) group.logs.push(log)
      log.gather()
    }
    if (level === 'synced') group.isSynced = true
    group.dones.push(done)
    if (!this.#isBusy) this.#next()
  }

  /** Runs `task` while no group is in flight, before the ones that gather. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#tasks.push(async () => {
        try {
          if (this.#failure !== null) throw this.#failure
          resolve(await task())
        } catch (error) {
          reject(toEngineError(error))
        }
      })
      if (!this.#isBusy) this.#next()
    })
  }

  /** Like `run`, for work on the disk that must succeed: waits for space, fails the engine. */
  runStubborn(task: () => Promise<void>): void {
    this.#tasks.push(async () => void (await this.#stubborn(task)))
    if (!this.#isBusy) this.#next()
  }

  /** Answers when no segment is being synced for a checkpoint: then files may be closed. */
  get checkpointed(): Promise<void> {
    return this.#checkpoint
  }

  /** The log is closed or deleted; what the journal holds of it needs no sync any more. */
  forget(log: DurableLog): void {
    this.#unsynced.delete(log)
  }

  /** Waits for space no longer: what does not fit now is refused. */
  stopWaiting(): void {
    this.#triesLeft = TRIES_AT_CLOSE
    for (const retry of [...this.#waits]) retry()
  }

  #refuse(logs: readonly DurableLog[], done: Done, failure: EngineError): void {
    for (const log of logs) log.staged = []
    later(() => done(failure))
  }

  /** Answers after everything that was committed before. */
  #follow(done: Done): void {
    const ahead = this.#gathering ?? this.#flight
    if (ahead === null) later(() => done(null))
    else ahead.dones.push(done)
  }

  #next(): void {
    const task = this.#tasks.shift()
    if (task !== undefined) {
      this.#isBusy = true
      void task().finally(() => {
        this.#isBusy = false
        this.#next()
      })
      return
    }
    const group = this.#gathering
    if (group === null || this.#failure !== null) return
    this.#isBusy = true
    this.#gathering = null
    this.#flight = group
    for (const log of group.logs) {
      log.flight = log.gathered
      log.gathered = []
    }
    if (this.#needsPreparation(group)) void this.#prepare(group)
    else this.#write(group)
  }

  #needsPreparation(group: Group): boolean {
    if (group.logs.length > 1) return true
    return group.logs.some(({ files, flight }) => {
      return !files.isBorn || files.needsRoll(groupBytes(flight))
    })
  }

  async #prepare(group: Group): Promise<void> {
    const unborn = group.logs.filter(({ files }) => !files.isBorn)
    if (unborn.length > 0 && !(await this.#stubborn(() => this.#host.bear(unborn)))) return
    for (const log of group.logs) {
      if (!log.files.needsRoll(groupBytes(log.flight))) continue
      if (!(await this.#stubborn(() => log.roll()))) return
    }
    for (const log of group.logs.length > 1 ? group.logs : []) {
      // The journal may bring back what comes now, but not what it should stand on.
      if (log.files.isSafe) continue
      if (!(await this.#stubborn(() => log.files.sync()))) return
    }
    const { journal, journalBytesMax } = this.#host
    if (group.logs.length > 1 && (!journal.isOpen || journal.bytes > journalBytesMax)) {
      if (!(await this.#stubborn(() => this.#renewJournal()))) return
    }
    this.#write(group)
  }

  /**
   * Begins a journal file. The one before goes when all it speaks of is synced, which takes a
   * while and happens beside the groups that follow.
   */
  async #renewJournal(): Promise<void> {
    const { journal } = this.#host
    await this.#checkpoint
    await journal.begin()
    const logs = [...this.#unsynced]
    this.#unsynced.clear()
    this.#checkpoint = this.#syncAll(logs).then(
      () => journal.removeBefore(),
      (error: unknown) => this.fail(error),
    )
  }

  async #syncAll(logs: readonly DurableLog[]): Promise<void> {
    for (let from = 0; from < logs.length; from += SYNCS_AT_ONCE) {
      const some = logs.slice(from, from + SYNCS_AT_ONCE)
      await Promise.all(some.map((log) => log.files.sync()))
    }
  }

  #write(group: Group): void {
    const number = this.#group++
    const parts = group.logs.map((log) => this.#encode(log, number))
    if (parts.length === 1) this.#writeDirect(group, parts[0]!)
    else this.#writeJournal(group, parts, number)
  }

  #encode(log: DurableLog, number: number): Part {
    const place = log.files.place(log.epoch, number)
    return { log, place, buffers: encodeGroup(log.flight, place) }
  }

  #writeDirect(group: Group, part: Part): void {
    this.#writePart(part, () => {
      if (!group.isSynced) {
        this.#landed(group)
        return
      }
      const { files } = part.log
      const { bytes } = files.active
      const startedMs = this.#host.clock.monotonicMs()
      files.activeFile.sync((error) => {
        this.#timed(startedMs)
        if (error !== null) {
          this.fail(error)
          return
        }
        files.synced(bytes)
        this.#unsynced.delete(part.log)
        this.#landed(group)
      })
    })
  }

  /** Writes until the device takes it. */
  #writePart(part: Part, done: () => void): void {
    const { files } = part.log
    files.activeFile.write(part.buffers, part.place.position, (error) => {
      if (error === null) {
        const before = files.active.bytes
        files.written(part.log.flight, part.place)
        this.#host.wrote(files.active.bytes - before)
        done()
        return
      }
      this.#waitForSpace(
        error,
        () => files.activeFile.truncate(part.place.position),
        () => this.#writePart(part, done),
      )
    })
  }

  #writeJournal(group: Group, parts: readonly Part[], number: number): void {
    const { journal } = this.#host
    const records: JournalPart[] = parts.map(({ log, place, buffers }) => ({
      logId: log.id,
      baseOffset: log.files.active.baseOffset,
      position: place.position,
      buffers,
    }))
    const write = (): void => {
      journal.write(records, number, (error) => {
        if (error !== null) {
          this.#waitForSpace(error, () => journal.undo(), write)
          return
        }
        this.#host.wrote(records.length)
        this.#syncJournal(group, parts)
      })
    }
    write()
  }

  #syncJournal(group: Group, parts: readonly Part[]): void {
    // Whoever needs no sync is answered now; the segments must wait for it all the same.
    if (!group.isSynced) this.#answer(group)
    const startedMs = this.#host.clock.monotonicMs()
    this.#host.journal.sync((error) => {
      this.#timed(startedMs)
      if (error !== null) {
        this.fail(error)
        return
      }
      if (group.isSynced) this.#answer(group)
      let waiting = parts.length
      for (const part of parts) {
        this.#unsynced.add(part.log)
        this.#writePart(part, () => {
          part.log.files.journaled()
          if (--waiting === 0) this.#landed(group)
        })
      }
    })
  }

  #timed(startedMs: number): void {
    this.syncTimes.record((this.#host.clock.monotonicMs() - startedMs) / 1000)
  }

  /** Tells whoever waits. The entries stay in memory until `#landed`. */
  #answer(group: Group): void {
    group.isAnswered = true
    const waiting = group.dones.splice(0)
    for (const log of group.logs) {
      const last = log.flight.at(-1)!
      log.committedOffset = last.baseOffset + last.count
    }
    later(() => tell(waiting, group.logs))
  }

  #landed(group: Group): void {
    if (this.#failure !== null) return
    for (const log of group.logs) log.landed()
    this.#flight = null
    this.#isBusy = false
    // The disk works on the next group while whoever waited for this one is told.
    this.#next()
    tell(group.dones.splice(0), group.isAnswered ? [] : group.logs)
    group.logs[0]!.trimCache()
  }

  /** False when the engine failed meanwhile. */
  async #stubborn(task: () => Promise<void>): Promise<boolean> {
    for (;;) {
      try {
        if (this.#failure !== null) return false
        await task()
        this.#host.wrote(0)
        return true
      } catch (error) {
        const isFull = error instanceof DiskError && error.isFull
        if (!isFull) {
          this.fail(error)
          return false
        }
        const again = await new Promise<boolean>((resolve) => {
          this.#waitForSpace(
            error,
            () => Promise.resolve(),
            () => resolve(true),
            () => resolve(false),
          )
        })
        if (!again) return false
      }
    }
  }

  #waitForSpace(
    error: DiskError,
    undo: () => Promise<void>,
    again: () => void,
    stopped: () => void = () => {},
  ): void {
    if (!error.isFull) {
      this.fail(error)
      stopped()
      return
    }
    this.#host.becameFull(error)
    // What a refused write left half done must never be taken for an entry.
    undo().then(
      () => this.#wait(again, stopped),
      (failure: unknown) => {
        this.fail(failure)
        stopped()
      },
    )
  }

  #wait(again: () => void, stopped: () => void): void {
    if (this.#triesLeft === 0) {
      this.fail(closedError('the engine was closed while the disk was full: it'))
      stopped()
      return
    }
    if (this.#triesLeft < Infinity) {
      this.#triesLeft--
      later(again)
      return
    }
    const retry = (): void => {
      timer.cancel()
      this.#waits.delete(retry)
      again()
    }
    const timer = this.#host.clock.setTimer(FULL_RETRY_MS, retry)
    this.#waits.add(retry)
  }

  /** Stores nothing more: whatever waits and whatever comes is answered with the error. */
  fail(error: unknown): void {
    const failure = toEngineError(error)
    if (this.#failure !== null) return
    this.#failure = failure
    this.#host.becameFailed(failure)
    const groups = [this.#flight, this.#gathering]
    this.#flight = null
    this.#gathering = null
    this.#isBusy = false
    for (const group of groups) {
      for (const done of group?.dones ?? []) later(() => done(failure))
    }
    this.#next()
  }
}

function tell(dones: readonly Done[], logs: readonly DurableLog[]): void {
  for (const done of dones) done(null)
  for (const log of logs) log.listener?.(log.committedOffset)
}
