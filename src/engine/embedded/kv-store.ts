import { EngineError } from '../contract.ts'
import type { Done, Kv, KvEntry, KvOp } from '../contract.ts'
import type { DurableLog } from './durable-log.ts'
import { decodeItems, encodeItems } from './kv-format.ts'
import type { KvItem } from './kv-format.ts'
import { INTERNAL, PUBLIC } from './log-record.ts'

const READ_BYTES = 4 * 1024 * 1024
/** A snapshot is written when the log holds this much, and this many times what is alive. */
const SNAPSHOT_BYTES_MIN = 1024 * 1024
const SNAPSHOT_FACTOR = 4
/** Snapshots are cut into entries of about this size. */
const SNAPSHOT_ENTRY_BYTES = 1024 * 1024

export interface KvHost {
  /** Commits what this log has staged, synced. */
  commit(log: DurableLog, done: Done): void
  /** Begins a new segment of the log, between two groups. */
  roll(log: DurableLog): Promise<void>
}

/**
 * Keys and values in memory, and every change of them in a log of its own. Keys are in two
 * spaces: what the broker stores, and what the engine notes for itself.
 *
 * Checks and changes happen at once, in the order of the calls; an answer comes only when what
 * it shows is on disk.
 */
export class KvStore {
  readonly opsMax = 10_000
  readonly #log: DurableLog
  readonly #host: KvHost
  readonly #entries = new Map<string, KvEntry>()
  #revision = 0
  #liveBytes = 0
  /** The last commit on its way: whoever reads waits for it. */
  #pending: Promise<unknown> = Promise.resolve()
  #isSnapshotting = false

  private constructor(log: DurableLog, host: KvHost) {
    this.#log = log
    this.#host = host
  }

  static async open(log: DurableLog, host: KvHost): Promise<KvStore> {
    const store = new KvStore(log, host)
    let offset = log.startOffset
    while (offset < log.nextOffset) {
      const entries = await readEntries(log, offset)
      for (const { data, baseOffset, count } of entries) {
        store.#replay(data)
        offset = baseOffset + count
      }
      if (entries.length === 0) break
    }
    return store
  }

  /** What the engine wrote for itself; never seen by the broker. */
  getInternal(key: string): Buffer | null {
    return this.#entries.get(INTERNAL + key)?.value ?? null
  }

  listInternal(prefix: string): { readonly key: string; readonly value: Buffer }[] {
    const start = INTERNAL + prefix
    const found: { key: string; value: Buffer }[] = []
    for (const { key, value } of this.#entries.values()) {
      if (key.startsWith(start)) found.push({ key: key.slice(INTERNAL.length), value })
    }
    return found
  }

  commitInternal(ops: readonly KvOp[]): Promise<number> {
    return this.#commit(INTERNAL, ops)
  }

  /** The part that the contract speaks of. */
  asKv(): Kv {
    return {
      get: async (key) => {
        await this.#settled()
        const entry = this.#entries.get(PUBLIC + key)
        return entry === undefined ? null : { ...entry, key }
      },
      list: async (prefix) => {
        await this.#settled()
        const found: KvEntry[] = []
        for (const entry of this.#entries.values()) {
          if (!entry.key.startsWith(PUBLIC + prefix)) continue
          found.push({ ...entry, key: entry.key.slice(PUBLIC.length) })
        }
        return found.toSorted((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)))
      },
      commit: (ops) => this.#commit(PUBLIC, ops),
    }
  }

  async #settled(): Promise<void> {
    await this.#pending
  }

  #commit(space: string, ops: readonly KvOp[]): Promise<number> {
    if (ops.length > this.opsMax) {
      const text = `a commit of ${ops.length} operations is above the limit of ${this.opsMax}`
      return Promise.reject(new EngineError('too-large', text))
    }
    for (const op of ops) {
      const conflict = this.#conflictOf(space, op)
      if (conflict !== null) return Promise.reject(conflict)
    }
    const revision = this.#revision + 1
    const items = ops.map(({ key, value }) => {
      // The caller keeps its buffer, and may change it after the answer.
      return { key: space + key, value: value === null ? null : Buffer.from(value), revision }
    })
    const data = encodeItems(items)
    try {
      this.#log.append(data, 1)
    } catch (error) {
      return Promise.reject(error as EngineError)
    }
    this.#revision = revision
    for (const item of items) this.#apply(item)
    const answer = new Promise<number>((resolve, reject) => {
      this.#host.commit(this.#log, (error) => {
        if (error === null) resolve(revision)
        else reject(error)
      })
    })
    this.#pending = answer
    // A reader that waits gets the failure; without one it is no unhandled rejection.
    answer.then(
      () => this.#snapshotIfDue(),
      () => {},
    )
    return answer
  }

  #conflictOf(space: string, { key, expect }: KvOp): EngineError | null {
    if (expect === undefined) return null
    const found = this.#entries.get(space + key)?.revision ?? 0
    if (found === expect) return null
    return new EngineError('conflict', `key '${key}' stands at revision ${found}, not ${expect}`)
  }

  #replay(data: Buffer): void {
    for (const item of decodeItems(data)) {
      this.#revision = Math.max(this.#revision, item.revision)
      this.#apply(item)
    }
  }

  #apply({ key, value, revision }: KvItem): void {
    const old = this.#entries.get(key)
    if (old !== undefined) this.#liveBytes -= key.length + old.value.length
    if (value === null) {
      this.#entries.delete(key)
    } else {
      this.#entries.set(key, { key, value, revision })
      this.#liveBytes += key.length + value.length
    }
  }

  #snapshotIfDue(): void {
    const { storedBytes } = this.#log
    if (this.#isSnapshotting || storedBytes < SNAPSHOT_BYTES_MIN) return
    if (storedBytes < this.#liveBytes * SNAPSHOT_FACTOR) return
    this.#isSnapshotting = true
    this.#snapshot()
      .catch(() => {
        // The log stays longer than it need be; the engine tells everybody why it failed.
      })
      .finally(() => {
        this.#isSnapshotting = false
      })
  }

  async #snapshot(): Promise<void> {
    await this.#host.roll(this.#log)
    const base = this.#log.nextOffset
    const revision = this.#revision
    let items: KvItem[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      this.#log.append(encodeItems(items), 1)
      items = []
      bytes = 0
      await new Promise<void>((resolve, reject) => {
        this.#host.commit(this.#log, (error) => (error === null ? resolve() : reject(error)))
      })
    }
    // Others go on between two entries, and what they change stands behind `base` by itself. What
    // came before it is needed until all is written.
    for (const entry of this.#entries.values()) {
      if (entry.revision > revision) continue
      items.push(entry)
      bytes += entry.key.length + entry.value.length
      if (bytes >= SNAPSHOT_ENTRY_BYTES) await flush()
    }
    // An item of its own carries the revision on when every key is deleted.
    items.push({ key: `${INTERNAL}revision`, value: null, revision: this.#revision })
    await flush()
    this.#log.discard(0, base)
  }
}

function readEntries(
  log: DurableLog,
  offset: number,
): Promise<readonly { data: Buffer; baseOffset: number; count: number }[]> {
  return new Promise((resolve, reject) => {
    log.read(offset, READ_BYTES, (error, entries) => {
      if (error === null) resolve(entries)
      else reject(error)
    })
  })
}
