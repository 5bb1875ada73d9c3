import assert from 'node:assert/strict'
import type { CommitLevel, Engine, Log } from '../../src/engine/contract.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import type { EmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'
import { readAll } from '../suites/engine/engine-suite.ts'

const LOG_NAMES = ['a', 'b', 'c'] as const
export type LogName = (typeof LOG_NAMES)[number]

/** One thing that happens to the store. */
export type Step =
  | { readonly do: 'append'; readonly log: LogName; readonly size: number; readonly count: number }
  | { readonly do: 'commit'; readonly level: CommitLevel }
  | { readonly do: 'kv'; readonly key: number; readonly size: number }
  | { readonly do: 'wait' }
  | { readonly do: 'discard'; readonly log: LogName; readonly from: number; readonly to: number }
  | { readonly do: 'delete'; readonly log: LogName }
  | { readonly do: 'close' }
  | { readonly do: 'fill'; readonly bytes: number }
  | { readonly do: 'empty' }
  /** The power goes, or the process is killed, after so many more changes of the disk. */
  | { readonly do: 'crash'; readonly power: boolean; readonly after: number; readonly seed: number }

interface ModelEntry {
  readonly baseOffset: number
  readonly count: number
  readonly data: Buffer
  readonly commit: number
}

interface ModelCommit {
  readonly level: CommitLevel
  /** How many entries of each log are there when this commit is. */
  readonly ends: ReadonlyMap<LogName, number>
  readonly logs: readonly LogName[]
  isAnswered: boolean
}

class ModelLog {
  entries: ModelEntry[] = []
  readonly discarded = new Set<number>()
  /** It is being deleted: after a crash it may be gone or not. */
  isDying = false
  handle!: Log

  get nextOffset(): number {
    const last = this.entries.at(-1)
    return last === undefined ? 0 : last.baseOffset + last.count
  }
}

/**
 * Runs steps against an engine on a faulty disk and against the plainest model there is, and
 * after each crash compares what came back with what was promised.
 */
export class EngineHarness {
  #disk = new FaultyDisk()
  readonly #clock = new ManualClock()
  #engine!: EmbeddedEngine
  readonly #logs = new Map(LOG_NAMES.map((name) => [name, new ModelLog()]))
  #commits: ModelCommit[] = []
  #staged: LogName[] = []
  /** What the kv holds after each commit of it, and how many of those were answered. */
  #kvStates: Map<string, string>[] = [new Map<string, string>()]
  #kvAnswered = 0
  #pending: Promise<unknown>[] = []
  #epoch = 0
  #nextId = 0
  #crash: Extract<Step, { do: 'crash' }> | null = null
  crashCount = 0

  async run(steps: readonly Step[]): Promise<void> {
    await this.#open()
    for (const step of steps) {
      if (this.#disk.hasHalted) await this.#recover()
      await this.#orHalt(() => this.#take(step))
    }
    if (this.#disk.hasHalted) await this.#recover()
    this.#disk.freeSpaceBytes = Infinity
    await this.#orHalt(async () => {
      await this.#settle()
      await this.#engine.close()
    })
    if (this.#disk.hasHalted) {
      await this.#recover()
    } else {
      this.#disk.changesLeft = Infinity
      await this.#reopen()
    }
    await this.#engine.close()
  }

  async #open(): Promise<void> {
    this.#engine = await openEmbeddedEngine({
      disk: this.#disk,
      clock: this.#clock,
      segmentBytes: 4096,
      journalBytesMax: 8192,
      tailCacheBytesMax: 2048,
      readCacheBytesMax: 4096,
      readAheadBytes: 1024,
      diskFreeBytesMin: 0,
    })
    this.#epoch++
    for (const [name, log] of this.#logs) {
      log.handle = await this.#engine.openLog(name, { epoch: this.#epoch })
    }
  }

  async #reopen(): Promise<void> {
    await this.#open()
    await this.#check(true)
  }

  /** Runs `action` until it ends or the disk stops answering for ever. */
  async #orHalt(action: () => Promise<void>): Promise<void> {
    if (this.#disk.hasHalted) return
    const halt = new Promise<void>((resolve) => {
      this.#disk.onHalt = resolve
    })
    await Promise.race([action(), halt])
  }

  async #take(step: Step): Promise<void> {
    switch (step.do) {
      case 'append':
        this.#append(step)
        break
      case 'commit':
        this.#commit(step.level)
        break
      case 'kv':
        this.#commitKv(step)
        break
      case 'discard':
        this.#discard(step)
        break
      case 'delete':
        await this.#delete(step.log)
        break
      case 'wait':
        await this.#settle()
        break
      case 'fill':
        this.#disk.freeSpaceBytes = step.bytes
        break
      case 'empty':
        this.#disk.freeSpaceBytes = Infinity
        this.#clock.advance(1000)
        break
      case 'close':
        this.#disk.freeSpaceBytes = Infinity
        await this.#settle()
        // What is staged without a commit is committed by close.
        if (this.#staged.length > 0) this.#commit('synced')
        await this.#engine.close()
        await this.#reopen()
        break
      case 'crash':
        this.#crash = step
        this.#disk.changesLeft = step.after + 1
        break
    }
  }

  #append({ log: name, size, count }: Extract<Step, { do: 'append' }>): void {
    const log = this.#logs.get(name)!
    const data = Buffer.alloc(size + 4, this.#nextId & 0xff)
    data.writeUInt32LE(this.#nextId++)
    const baseOffset = log.handle.append(data, count)
    assert.equal(baseOffset, log.nextOffset)
    log.entries.push({ baseOffset, count, data, commit: this.#commits.length })
    if (!this.#staged.includes(name)) this.#staged.push(name)
    assert.deepEqual(log.handle.peek(baseOffset + count - 1)?.data, data)
  }

  #commit(level: CommitLevel): void {
    const logs = this.#staged
    const ends = new Map(logs.map((name) => [name, this.#logs.get(name)!.entries.length]))
    const commit: ModelCommit = { level, ends, logs, isAnswered: false }
    this.#commits.push(commit)
    this.#staged = []
    this.#pending.push(
      new Promise<void>((resolve) => {
        this.#engine.commit(level, (error) => {
          assert.equal(error, null)
          commit.isAnswered = true
          resolve()
        })
      }),
    )
  }

  #commitKv({ key, size }: Extract<Step, { do: 'kv' }>): void {
    const state = new Map(this.#kvStates.at(-1))
    const number = this.#kvStates.push(state) - 1
    const value = size === 0 ? null : `${number}`.padEnd(size, 'x')
    if (value === null) state.delete(`k${key}`)
    else state.set(`k${key}`, value)
    const ops = [{ key: `k${key}`, value: value === null ? null : Buffer.from(value) }]
    this.#pending.push(
      this.#engine.kv.commit(ops).then(() => {
        this.#kvAnswered = Math.max(this.#kvAnswered, number)
      }),
    )
  }

  #discard({ log: name, from, to }: Extract<Step, { do: 'discard' }>): void {
    const log = this.#logs.get(name)!
    // In hundredths of what there is.
    const start = Math.floor((log.nextOffset * Math.min(from, to)) / 100)
    const end = Math.floor((log.nextOffset * Math.max(from, to)) / 100)
    log.handle.discard(start, end)
    for (let offset = start; offset < end; offset++) log.discarded.add(offset)
  }

  async #delete(name: LogName): Promise<void> {
    this.#disk.freeSpaceBytes = Infinity
    // Everything is synced before, so that what may be there afterwards is one of two things.
    for (const each of LOG_NAMES) this.#append({ do: 'append', log: each, size: 0, count: 1 })
    this.#commit('synced')
    await this.#settle()
    this.#clock.advance(1000)
    this.#forgetCommits()
    const log = this.#logs.get(name)!
    log.isDying = true
    await this.#engine.deleteLog(name)
    log.isDying = false
    log.entries = []
    log.discarded.clear()
    this.#forgetCommits()
    log.handle = await this.#engine.openLog(name, { epoch: this.#epoch })
    assert.equal(log.handle.nextOffset, 0)
  }

  async #settle(): Promise<void> {
    for (;;) {
      const waiting = this.#pending.splice(0)
      if (waiting.length === 0) return
      const all = Promise.all(waiting)
      let isDone = false
      void all.then(() => (isDone = true))
      // A full disk is tried again by the clock.
      for (let turn = 0; !isDone && turn < 5000; turn++) {
        await new Promise((resolve) => setImmediate(resolve))
        if (turn % 50 === 49) {
          this.#disk.freeSpaceBytes = Infinity
          this.#clock.advance(1000)
        }
      }
      assert.ok(isDone || this.#disk.hasHalted, 'a commit is not answered')
      await all
    }
  }

  async #recover(): Promise<void> {
    const { power, seed } = this.#crash!
    const random = new SeededRandom(seed)
    this.#disk = power ? this.#disk.powerCut(random) : this.#disk.killed()
    this.#pending = []
    this.#staged = []
    this.crashCount++
    await this.#open()
    await this.#check(!power)
  }

  /** Compares what is there with what may be there; then that is what the model holds too. */
  async #check(writtenSurvives: boolean): Promise<void> {
    for (const log of this.#logs.values()) {
      if (log.isDying && log.handle.nextOffset === 0) {
        log.entries = []
        log.discarded.clear()
        this.#forgetCommits()
      }
      log.isDying = false
    }
    const kept = new Map<LogName, number>()
    for (const [name, log] of this.#logs) {
      const { nextOffset } = log.handle
      const index = log.entries.findIndex((entry) => entry.baseOffset >= nextOffset)
      const count = index < 0 ? log.entries.length : index
      kept.set(name, count)
      const last = log.entries[count - 1]
      assert.equal(nextOffset, last === undefined ? 0 : last.baseOffset + last.count)
    }
    for (const commit of this.#commits) {
      const present = commit.logs.filter((name) => kept.get(name)! >= commit.ends.get(name)!)
      const isPromised = commit.isAnswered && (writtenSurvives || commit.level === 'synced')
      if (isPromised) assert.deepEqual(present, commit.logs, 'an answered commit is missing')
      assert.ok([0, commit.logs.length].includes(present.length), 'a commit is there in part')
      for (const name of commit.logs) {
        // Whole entries of a commit, never a part of them.
        const end = commit.ends.get(name)!
        const log = this.#logs.get(name)!
        const number = this.#commits.indexOf(commit)
        const first = log.entries.findIndex((entry) => entry.commit === number)
        if (present.length === 0) assert.ok(kept.get(name)! <= first, 'a part of a commit is there')
        else assert.ok(kept.get(name)! >= end)
      }
    }
    for (const [name, log] of this.#logs) {
      log.entries = log.entries.slice(0, kept.get(name))
      await checkEntries(log)
    }
    await this.#checkKv()
    this.#forgetCommits()
  }

  async #checkKv(): Promise<void> {
    const found = new Map<string, string>()
    for (const { key, value } of await this.#engine.kv.list('')) found.set(key, value.toString())
    const states = this.#kvStates.slice(this.#kvAnswered)
    const match = states.find((state) => isSame(state, found))
    assert.ok(match !== undefined, 'the kv is in a state it never had, or an old one')
    this.#kvStates = [match]
    this.#kvAnswered = 0
  }

  /** What was seen once must stay: it counts as one answered and synced commit from now on. */
  #forgetCommits(): void {
    const logs = LOG_NAMES.filter((name) => this.#logs.get(name)!.entries.length > 0)
    const ends = new Map(logs.map((name) => [name, this.#logs.get(name)!.entries.length]))
    this.#commits = [{ level: 'synced', ends, logs, isAnswered: true }]
    for (const log of this.#logs.values()) {
      log.entries = log.entries.map((entry) => ({ ...entry, commit: 0 }))
    }
  }

  get engine(): Engine {
    return this.#engine
  }
}

/** What is read is what was appended; what is not read was discarded. */
async function checkEntries(log: ModelLog): Promise<void> {
  const entries = new Map((await readAll(log.handle, 700)).map((each) => [each.baseOffset, each]))
  for (const { baseOffset, count, data } of log.entries) {
    const found = entries.get(baseOffset)
    entries.delete(baseOffset)
    if (found === undefined) {
      for (let offset = baseOffset; offset < baseOffset + count; offset++) {
        assert.ok(log.discarded.has(offset), `offset ${offset} is gone`)
      }
    } else {
      assert.equal(found.count, count)
      assert.deepEqual(found.data, data)
    }
  }
  assert.equal(entries.size, 0, 'there are entries that nobody appended')
}

function isSame(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean {
  return left.size === right.size && [...left].every(([key, value]) => right.get(key) === value)
}
