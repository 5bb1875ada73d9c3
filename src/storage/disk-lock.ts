import * as fs from 'node:fs'
import { hostname } from 'node:os'
import path from 'node:path'
import { isProcessAlive } from '../lib/process-alive.ts'
import { DiskLockedError } from './disk.ts'
import type { DiskLock } from './disk.ts'

/** So often a stale lock is cleared away before giving up; more than once means a race. */
const ATTEMPTS_MAX = 5

/**
 * Locks a directory by a file that names the process. It survives nothing it should not: after a
 * kill -9 the next process sees that the one named there is gone (by process id and start time,
 * so a reused id does not matter) and takes over.
 *
 * Node has no flock. What this cannot see is a process on another machine, or in a container
 * with other process ids, that shares the directory; so the holder looks now and then whether
 * the file still bears its name, and stops writing when it does not.
 */
export async function takeDirectoryLock(full: string): Promise<DiskLock> {
  await fs.promises.mkdir(path.dirname(full), { recursive: true, mode: 0o700 })
  const startedAt = startTimeOf(process.pid)
  const own = `pid ${process.pid}\nstarted ${startedAt ?? 'unknown'}\nhost ${hostname()}\n`
  // Linked into place whole: a reader never sees a lock file that is half written.
  const draft = `${full}.${process.pid}.${startedAt ?? 0}.${draftCount++}`
  await fs.promises.writeFile(draft, own, { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        await fs.promises.link(draft, full)
        heldHere.add(full)
        return new FileLock(full, own)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      await clearIfStale(full)
    }
  } finally {
    await fs.promises.rm(draft, { force: true })
  }
  throw new DiskLockedError('unknown', `${full} keeps changing hands, another process is starting`)
}

let draftCount = 0

/** Locks this very process holds: its own id in a lock file tells a second open from a stale one. */
const heldHere = new Set<string>()

class FileLock implements DiskLock {
  readonly #full: string
  readonly #own: string

  constructor(full: string, own: string) {
    this.#full = full
    this.#own = own
  }

  async isHeld(): Promise<boolean> {
    return (await readText(this.#full)) === this.#own
  }

  async release(): Promise<void> {
    if (await this.isHeld()) await fs.promises.rm(this.#full, { force: true })
    heldHere.delete(this.#full)
  }
}

async function clearIfStale(full: string): Promise<void> {
  const text = await readText(full)
  if (text === null) return
  const holder = Number(/^pid (\d+)$/m.exec(text)?.[1] ?? 0)
  const started = /^started (.+)$/m.exec(text)?.[1] ?? 'unknown'
  if (holderLives(full, holder, started)) {
    const directory = path.dirname(full)
    throw new DiskLockedError(
      `process ${holder}`,
      `${directory} is in use by process ${holder}; stop it first, or use another directory`,
    )
  }
  // Only one of two processes that found the same stale lock may clear it away, or the second
  // one would clear away the fresh lock of the first.
  const claim = `${full}.stale-${holder}-${started}`
  try {
    await fs.promises.link(full, claim)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  if ((await readText(full)) === text) await fs.promises.rm(full, { force: true })
  await fs.promises.rm(claim, { force: true })
}

function holderLives(full: string, pid: number, started: string): boolean {
  if (pid === process.pid && !heldHere.has(full) && started === startTimeOf(pid)) return false
  if (!isProcessAlive(pid)) return false
  const now = startTimeOf(pid)
  return now === null || started === 'unknown' || now === started
}

/** Clock ticks after boot at which the process started; null where /proc does not tell. */
function startTimeOf(pid: number): string | null {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name before the last bracket may hold blanks; field 22 of proc(5) is the start time.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null
  } catch {
    // No /proc on this system: the process id alone must do.
    return null
  }
}

async function readText(full: string): Promise<string | null> {
  try {
    return await fs.promises.readFile(full, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
