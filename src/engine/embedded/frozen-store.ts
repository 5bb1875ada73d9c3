import type { Clock, Timer } from '../../lib/clock.ts'
import { someAtOnce } from '../../lib/some-at-once.ts'
import { DiskError } from '../../storage/disk.ts'
import type { Disk } from '../../storage/disk.ts'
import { EngineError } from '../contract.ts'
import { FILES_AT_ONCE, FREEZE_LEASE_MS } from './options.ts'
import { FORMAT_FILE, FROZEN_FOLDER, LOGS_FOLDER } from './store-folder.ts'

export interface FrozenFile {
  /** Relative to the store, with `/` between names. */
  readonly path: string
  /** So much of it, from its beginning, is the store; what comes behind is newer. */
  readonly bytes: number
}

/** The store as it stood at one moment, held still beside the running one until it is released. */
export interface FrozenStore {
  readonly id: number
  /** Where the files are, relative to the data directory. */
  readonly folder: string
  readonly files: readonly FrozenFile[]
  /** To be called more often than every `FREEZE_LEASE_MS`, or the store is given up. */
  renew(): void
  release(): Promise<void>
}

export interface FreezerParts {
  readonly disk: Disk
  readonly clock: Clock
  /** Runs the task while no group is on its way to the disk. */
  readonly atRest: <T>(task: () => Promise<T>) => Promise<T>
  /** Bytes of the segments that grow, by path. */
  readonly writtenBytes: () => ReadonlyMap<string, number>
}

/**
 * Freezes the store: gives each of its files a second name while no group is in flight, and notes
 * how long each is. Files only grow, and their bytes go when their last name does, so what was
 * noted can be read for as long as the second names are there, whatever is appended, discarded or
 * deleted meanwhile.
 *
 * Two kinds are left out. At rest the segments hold all that the journal speaks of. Index files are
 * written anew in place, and a store without them reads the segments instead.
 */
export class Freezer {
  readonly #parts: FreezerParts
  #held: HeldStore | null = null
  #isFreezing = false
  #lastId = 0

  constructor(parts: FreezerParts) {
    this.#parts = parts
  }

  async freeze(): Promise<FrozenStore> {
    if (this.#held !== null || this.#isFreezing) {
      throw new EngineError('conflict', 'a backup is being made already')
    }
    this.#isFreezing = true
    const id = ++this.#lastId
    const folder = `${FROZEN_FOLDER}/${id}`
    const { disk, atRest, clock } = this.#parts
    try {
      // Full segments do not change any more. There may be thousands, and commits need not wait
      // for them: at rest only those count that are still there.
      const growing = this.#parts.writtenBytes()
      const full = (await this.#segments()).filter((path) => !growing.has(path))
      const early = await this.#link(folder, full, new Set())
      const files = await atRest(() => this.#freezeAtRest(folder, early))
      this.#held = new HeldStore({ id, folder, files, disk, clock }, () => (this.#held = null))
      return this.#held
    } catch (error) {
      await disk.removeFolder(folder)
      throw error
    } finally {
      this.#isFreezing = false
    }
  }

  held(id: number): FrozenStore | null {
    return this.#held?.id === id ? this.#held : null
  }

  async close(): Promise<void> {
    await this.#held?.release()
  }

  async #freezeAtRest(folder: string, early: ReadonlySet<string>): Promise<FrozenFile[]> {
    const { disk, writtenBytes } = this.#parts
    const segments = await this.#segments()
    const wanted = [FORMAT_FILE, ...segments]
    const linked = await this.#link(folder, wanted, early)
    const written = writtenBytes()
    const files: FrozenFile[] = []
    await someAtOnce(wanted, FILES_AT_ONCE, async (path) => {
      if (!linked.has(path)) return
      files.push({ path, bytes: written.get(path) ?? (await sizeOf(disk, `${folder}/${path}`)) })
    })
    return files
  }

  async #segments(): Promise<string[]> {
    const { disk } = this.#parts
    const paths: string[] = []
    await someAtOnce(await disk.list(LOGS_FOLDER), FILES_AT_ONCE, async (id) => {
      for (const name of await disk.list(`${LOGS_FOLDER}/${id}`)) {
        if (name.endsWith('.seg')) paths.push(`${LOGS_FOLDER}/${id}/${name}`)
      }
    })
    return paths
  }

  /** Links the paths that are not linked yet; returns all that are. */
  async #link(
    folder: string,
    paths: readonly string[],
    before: ReadonlySet<string>,
  ): Promise<Set<string>> {
    const { disk } = this.#parts
    const linked = new Set(before)
    const missing = paths.filter((path) => !before.has(path))
    const folders = new Set(missing.map((path) => path.slice(0, path.lastIndexOf('/') + 1)))
    for (const name of folders) await disk.makeFolder(`${folder}/${name}`.replace(/\/$/, ''))
    await someAtOnce(missing, FILES_AT_ONCE, async (path) => {
      try {
        await disk.link(path, `${folder}/${path}`)
        linked.add(path)
      } catch (error) {
        // Discarded or deleted since it was listed: then nothing needs it.
        if (!(error instanceof DiskError && error.code === 'ENOENT')) throw error
      }
    })
    return linked
  }
}

class HeldStore implements FrozenStore {
  readonly id: number
  readonly folder: string
  readonly files: readonly FrozenFile[]
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #released: () => void
  #lease: Timer

  constructor(
    parts: Pick<FrozenStore, 'id' | 'folder' | 'files'> & {
      readonly disk: Disk
      readonly clock: Clock
    },
    released: () => void,
  ) {
    this.id = parts.id
    this.folder = parts.folder
    this.files = parts.files
    this.#disk = parts.disk
    this.#clock = parts.clock
    this.#released = released
    this.#lease = this.#newLease()
  }

  renew(): void {
    this.#lease.cancel()
    this.#lease = this.#newLease()
  }

  async release(): Promise<void> {
    this.#lease.cancel()
    this.#released()
    await this.#disk.removeFolder(this.folder)
  }

  #newLease(): Timer {
    // Names that cannot be removed now go at the next start.
    return this.#clock.setTimer(FREEZE_LEASE_MS, () => void this.release().catch(() => {}))
  }
}

async function sizeOf(disk: Disk, path: string): Promise<number> {
  const file = await disk.open(path, 'read')
  try {
    return await file.size()
  } finally {
    await file.close()
  }
}
