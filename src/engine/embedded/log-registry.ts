import { someAtOnce } from '../../lib/some-at-once.ts'
import type { Disk } from '../../storage/disk.ts'
import { EngineError } from '../contract.ts'
import type { KvOp, LogOptions } from '../contract.ts'
import type { DurableLog } from './durable-log.ts'
import { EmbeddedLog } from './embedded-log.ts'
import type { EmbeddedEngine } from './embedded-engine.ts'
import type { GroupCommit } from './group-commit.ts'
import type { KvStore } from './kv-store.ts'
import { LOG_KEY, decodeLogRecord, encodeLogRecord } from './log-record.ts'
import type { LogRecord } from './log-record.ts'
import type { LogCore } from './log-core.ts'
import { FILES_AT_ONCE } from './options.ts'
import {
  KV_LOG_ID,
  LOGS_FOLDER,
  isUnborn,
  listLogIds,
  logFolder,
  nameInSegments,
} from './store-folder.ts'
import { VolatileLog } from './volatile-log.ts'

const DEAD_KEY = 'dead/'
const LAST_ID_KEY = 'last-id'
/** So many notes go in one commit. */
const BORN_OPS = 1000

export interface RegistryParts {
  readonly disk: Disk
  readonly kv: KvStore
  readonly kvLog: DurableLog
  readonly groups: GroupCommit
  readonly engine: EmbeddedEngine
}

interface OpenLog<Core extends LogCore> {
  readonly core: Core
  handle: EmbeddedLog
}

/** Which logs there are, which of them are open, and who may write them. */
export class LogRegistry {
  readonly #parts: RegistryParts
  readonly #durable = new Map<string, OpenLog<DurableLog>>()
  readonly #volatile = new Map<string, OpenLog<VolatileLog>>()
  /** The last change of each name on its way: the next one waits for it. */
  readonly #changes = new Map<string, Promise<unknown>>()
  #lastId = KV_LOG_ID
  #volatileCount = 0

  private constructor(parts: RegistryParts) {
    this.#parts = parts
  }

  static async open(parts: RegistryParts): Promise<LogRegistry> {
    const registry = new LogRegistry(parts)
    await registry.#clean()
    return registry
  }

  async names(): Promise<readonly string[]> {
    const durable = this.#parts.kv.listInternal(LOG_KEY).map(({ key }) => key.slice(LOG_KEY.length))
    return [...durable, ...this.#volatile.keys()].toSorted()
  }

  open(name: string, options: LogOptions): Promise<EmbeddedLog> {
    return this.#inTurn(name, async () => {
      const handle =
        options.volatile === true
          ? this.#openVolatile(name, options)
          : await this.#openDurable(name, options)
      if (options.retention !== undefined) handle.setRetention(options.retention)
      return handle
    })
  }

  delete(name: string): Promise<void> {
    return this.#inTurn(name, async () => {
      await this.#closeVolatile(name)
      const record = this.#recordOf(name)
      if (record === null) return
      await this.#closeDurable(name, true)
      const { kv } = this.#parts
      const dead = `${DEAD_KEY}${record.id}`
      await kv.commitInternal([
        { key: LOG_KEY + name, value: null },
        // Until the folder is gone, so that a crash in between is made good at the next start.
        { key: dead, value: Buffer.alloc(0) },
      ])
      await this.#removeFiles(record.id)
      await kv.commitInternal([{ key: dead, value: null }])
    })
  }

  commitVolatile(): void {
    for (const { core } of this.#volatile.values()) core.commit()
  }

  largestVolatile(): VolatileLog | null {
    let largest: VolatileLog | null = null
    for (const { core } of this.#volatile.values()) {
      if (largest === null || core.recent.bytes > largest.recent.bytes) largest = core
    }
    return largest
  }

  /** How far the open logs, the kv too, are written: bytes of the last segment, by its path. */
  writtenBytes(): Map<string, number> {
    const written = new Map<string, number>()
    const { kvLog } = this.#parts
    for (const { files } of [kvLog, ...[...this.#durable.values()].map(({ core }) => core)]) {
      written.set(files.active.path, files.active.bytes)
    }
    return written
  }

  applyRetention(): void {
    for (const { core } of this.#durable.values()) core.applyRetention()
    for (const { core } of this.#volatile.values()) core.applyRetention()
  }

  /** Commits what is staged and closes every log, the kv last. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#changes.values())
    for (const name of this.#volatile.keys()) await this.#closeVolatile(name)
    await this.#closeAll()
    await this.#closeCore(this.#parts.kvLog, false)
  }

  /** One change of a name at a time. */
  #inTurn<T>(name: string, change: () => Promise<T>): Promise<T> {
    const before = this.#changes.get(name) ?? Promise.resolve()
    const own = before.then(change, change)
    this.#changes.set(name, own)
    const forget = (): void => {
      if (this.#changes.get(name) === own) this.#changes.delete(name)
    }
    own.then(forget, forget)
    return own
  }

  async #openDurable(name: string, { epoch }: LogOptions): Promise<EmbeddedLog> {
    if (this.#volatile.has(name)) throw kindError(name, 'volatile')
    const record = this.#recordOf(name)
    if (record !== null && epoch < record.epoch) throw fencedError(name, epoch, record.epoch)
    const open = this.#durable.get(name)
    if (open !== undefined) {
      if (epoch === open.core.epoch) return open.handle
      // The old writer adds nothing from here on; what it had staged is stored before the new
      // one learns where it goes on.
      open.handle.fence(epoch)
      await this.#flush([open.core])
      const { id, files } = open.core
      await this.#note(name, { id, epoch, isBorn: files.isBorn })
      open.core.epoch = epoch
      open.core.listener = null
      open.handle = this.#handleOf(open.core)
      return open.handle
    }
    const { engine } = this.#parts
    const id = record?.id ?? ++this.#lastId
    const isNew = record === null || (record.isBorn === false && (await this.#isUnborn(id, name)))
    const core = isNew ? engine.beginLog(id, name) : await engine.loadLog(id, name)
    const isBorn = !isNew
    if (record?.epoch !== epoch || (record.isBorn ?? true) !== isBorn) {
      await this.#note(name, { id, epoch, isBorn })
    }
    core.epoch = epoch
    const handle = this.#handleOf(core)
    this.#durable.set(name, { core, handle })
    return handle
  }

  #openVolatile(name: string, { epoch }: LogOptions): EmbeddedLog {
    if (this.#recordOf(name) !== null) throw kindError(name, 'durable')
    const open = this.#volatile.get(name)
    if (open === undefined) {
      const options = { epoch, host: this.#parts.engine }
      const core = new VolatileLog(++this.#volatileCount, name, options)
      const handle = this.#handleOf(core)
      this.#volatile.set(name, { core, handle })
      return handle
    }
    const { core } = open
    if (epoch < core.epoch) throw fencedError(name, epoch, core.epoch)
    if (epoch > core.epoch) {
      open.handle.fence(epoch)
      core.commit()
      core.epoch = epoch
      core.listener = null
      open.handle = this.#handleOf(core)
    }
    return open.handle
  }

  #handleOf(core: LogCore): EmbeddedLog {
    return new EmbeddedLog(core, (handle) => {
      return this.#inTurn(handle.name, () => {
        if (core.volatile) return this.#closeVolatile(handle.name)
        return this.#closeDurable(handle.name, false)
      })
    })
  }

  async #closeVolatile(name: string): Promise<void> {
    const open = this.#volatile.get(name)
    if (open === undefined) return
    open.handle.shut()
    this.#volatile.delete(name)
    await open.core.close()
  }

  async #closeDurable(name: string, isDeleted: boolean): Promise<void> {
    const open = this.#durable.get(name)
    if (open === undefined) return
    open.handle.shut()
    await this.#closeCore(open.core, isDeleted)
    this.#durable.delete(name)
  }

  /** All durable logs, as `#closeDurable` closes one. */
  async #closeAll(): Promise<void> {
    const { groups } = this.#parts
    const logs = [...this.#durable.values()]
    const cores = logs.map(({ core }) => core)
    // All in one group; should it fail, each log sees that for itself. What turns that are not
    // over append meanwhile is stored too.
    if (groups.failure === null) await this.#flush(cores).catch(() => {})
    try {
      await this.#noteBorn(cores)
      for (const { handle } of logs) handle.shut()
      if (groups.failure === null) await this.#flush(cores)
      await groups.checkpointed
      await groups.run(() => someAtOnce(cores, FILES_AT_ONCE, ({ files }) => files.close()))
    } catch (error) {
      for (const { files } of cores) await files.abandon()
      // Whoever waited for a commit was told; the files are all that is left to see to.
      if (groups.failure === null) throw error
    } finally {
      for (const core of cores) {
        groups.forget(core)
        core.release()
      }
      this.#durable.clear()
    }
  }

  /** Logs that have got their files: these are missed from now on, should they be gone one day. */
  async #noteBorn(cores: readonly DurableLog[]): Promise<void> {
    const { kv } = this.#parts
    const ops: KvOp[] = []
    for (const { id, name, epoch, files } of cores) {
      if (!files.isBorn || this.#recordOf(name)?.isBorn !== false) continue
      ops.push({ key: LOG_KEY + name, value: encodeLogRecord({ id, epoch, isBorn: true }) })
    }
    for (let at = 0; at < ops.length; at += BORN_OPS) {
      await kv.commitInternal(ops.slice(at, at + BORN_OPS))
    }
  }

  async #closeCore(core: DurableLog, isDeleted: boolean): Promise<void> {
    const { groups } = this.#parts
    try {
      if (groups.failure === null) await this.#flush([core])
      await groups.checkpointed
      await groups.run(() => (isDeleted ? core.files.abandon() : core.files.close()))
    } catch (error) {
      await core.files.abandon()
      // Whoever waited for a commit was told; the files are all that is left to see to.
      if (groups.failure === null) throw error
    } finally {
      groups.forget(core)
      core.release()
    }
  }

  async #flush(logs: readonly DurableLog[]): Promise<void> {
    const staged = logs.filter((log) => log.staged.length > 0)
    await new Promise<void>((resolve, reject) => {
      this.#parts.groups.commit(staged, 'synced', (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  }

  /** Synced, because a folder that came back would be taken for a log whose record was lost. */
  async #removeFiles(id: number): Promise<void> {
    const { disk } = this.#parts
    await disk.removeFolder(logFolder(id))
    await disk.syncFolder(LOGS_FOLDER)
  }

  #isUnborn(id: number, name: string): Promise<boolean> {
    return isUnborn(this.#parts.disk, id, name)
  }

  #recordOf(name: string): LogRecord | null {
    const value = this.#parts.kv.getInternal(LOG_KEY + name)
    return value === null ? null : decodeLogRecord(value)
  }

  async #note(name: string, record: LogRecord): Promise<void> {
    const value = encodeLogRecord(record)
    await this.#parts.kv.commitInternal([
      { key: LOG_KEY + name, value },
      // A number is never given away twice: a removed file may come back after a power cut, and
      // must not be taken for one of another log.
      { key: LAST_ID_KEY, value: Buffer.from(String(this.#lastId)) },
    ])
  }

  /** Finishes deletions that a crash cut short, and finds the next free number. */
  async #clean(): Promise<void> {
    const { kv, disk } = this.#parts
    for (const { key } of kv.listInternal(DEAD_KEY)) {
      await this.#removeFiles(Number(key.slice(DEAD_KEY.length)))
      await kv.commitInternal([{ key, value: null }])
    }
    this.#lastId = Number(kv.getInternal(LAST_ID_KEY)?.toString() ?? KV_LOG_ID)
    const known = new Set(kv.listInternal(LOG_KEY).map(({ value }) => decodeLogRecord(value).id))
    for (const id of known) this.#lastId = Math.max(this.#lastId, id)
    for (const id of await listLogIds(disk)) {
      if (id === KV_LOG_ID || known.has(id)) continue
      // A folder that nothing names: empty when a crash came while the log was made. One that
      // holds entries lost its record to damage of the kv; its segments know the name.
      if (await isUnborn(disk, id, null)) {
        await disk.removeFolder(logFolder(id))
        continue
      }
      this.#lastId = Math.max(this.#lastId, id)
      const name = await nameInSegments(disk, id)
      if (name !== null && this.#recordOf(name) === null) await this.#note(name, { id, epoch: 0 })
    }
  }
}

function fencedError(name: string, epoch: number, owner: number): EngineError {
  const text = `log '${name}' belongs to a writer with epoch ${owner}, this one has ${epoch}`
  return new EngineError('fenced', text)
}

function kindError(name: string, kind: string): EngineError {
  return new EngineError('conflict', `there is a ${kind} log '${name}' already`)
}
