import { DiskError } from './disk.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { Segment } from './segment.ts'

/** So many full segments stay open for the next read. Segments in use are not counted. */
const IDLE_FILES_MAX = 128

/** Opens segment files when they are read and closes the ones not read for longest. */
export class SegmentFiles {
  readonly #disk: Disk
  /** In order of last use. */
  readonly #idle = new Set<Segment>()
  readonly #opening = new Map<Segment, Promise<DiskFile>>()

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Calls back with the open file, at once when it is open; `release` it afterwards. */
  use(segment: Segment, done: (error: DiskError | null, file: DiskFile | null) => void): void {
    segment.users++
    this.#idle.delete(segment)
    if (segment.file !== null) {
      done(null, segment.file)
      return
    }
    this.#open(segment).then(
      (file) => done(null, file),
      (error: unknown) => {
        this.release(segment)
        if (!(error instanceof DiskError)) throw error
        done(error, null)
      },
    )
  }

  release(segment: Segment): void {
    if (--segment.users > 0 || segment.file === null) return
    if (segment.isDropped) {
      void this.#close(segment)
      return
    }
    this.#idle.add(segment)
    if (this.#idle.size <= IDLE_FILES_MAX) return
    const [oldest] = this.#idle
    void this.#close(oldest!)
  }

  /** Closes the file as soon as nobody uses it, and for good. */
  drop(segment: Segment): void {
    segment.isDropped = true
    if (segment.users === 0 && segment.file !== null) void this.#close(segment)
  }

  async closeIdle(): Promise<void> {
    await Promise.all([...this.#idle].map((segment) => this.#close(segment)))
  }

  #open(segment: Segment): Promise<DiskFile> {
    let opening = this.#opening.get(segment)
    if (opening === undefined) {
      opening = this.#disk.open(segment.path, 'read').then(
        (file) => {
          segment.file = file
          this.#opening.delete(segment)
          return file
        },
        (error: unknown) => {
          this.#opening.delete(segment)
          throw error
        },
      )
      this.#opening.set(segment, opening)
    }
    return opening
  }

  async #close(segment: Segment): Promise<void> {
    this.#idle.delete(segment)
    const file = segment.file
    segment.file = null
    try {
      await file?.close()
    } catch {
      // Nothing was written through it, so nothing can be lost by a failed close.
    }
  }
}
