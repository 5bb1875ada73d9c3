import { later } from '../lib/later.ts'
import type { RandomSource } from '../lib/random.ts'
import { DiskError } from './disk.ts'
import type { Disk, DiskDone, DiskFile, DiskLock, DiskReadDone, OpenMode } from './disk.ts'

/** Devices write whole sectors, so what survives of a write may be any of its sectors. */
const SECTOR_BYTES = 512

/**
 * A disk in memory that breaks on demand, and that knows which of its bytes would survive.
 *
 * It keeps what was written apart from what was synced, for files as for the names in folders.
 * `powerCut` gives the disk that the next start finds: everything synced, and of the rest
 * whatever chance leaves, torn at any byte. `killed` gives the one after a kill -9: everything
 * written. For tests of stores and of whole brokers.
 */
export class FaultyDisk implements Disk {
  readonly name = 'faulty'
  readonly durable = true
  /** Bytes that may still be written before writes are refused with ENOSPC. */
  freeSpaceBytes: number = Infinity
  /** While set, every sync is refused with this errno. */
  syncError: string | null = null
  /** While set, every write is refused with this errno. */
  writeError: string | null = null
  /** Delays each sync by so many turns of the event loop. */
  syncTurns = 0
  /** After so many more changes the power is gone: that change and all after it are not answered. */
  changesLeft: number = Infinity
  /** Changes made so far: writes, syncs, truncations, and changes of names. */
  changeCount = 0
  syncCount = 0
  /** The power goes at the next sync: as it is asked for, or as it is done but not answered. */
  haltAtSync: 'before' | 'after' | null = null
  /** Called once when `changesLeft` is used up. */
  onHalt: (() => void) | null = null
  #files = new Map<string, FaultyContent>()
  /** Names as they would be found after a power cut. */
  #durableFiles = new Map<string, FaultyContent>()
  #pendingNames: NameChange[] = []

  get hasHalted(): boolean {
    return this.changesLeft <= 0
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    if (this.hasHalted) return never()
    let content = this.#files.get(path)
    if (content === undefined) {
      if (mode !== 'create') throw new DiskError('ENOENT', path)
      content = new FaultyContent()
      await this.#rename({ folder: folderOf(path), path, content })
    } else if (mode === 'create') {
      await this.#change()
      content.truncate(0)
    }
    return new FaultyFile(this, path, content)
  }

  async list(folder: string): Promise<string[]> {
    if (this.hasHalted) return never()
    const start = folder === '' ? '' : `${folder}/`
    const names = new Set<string>()
    for (const path of this.#files.keys()) {
      if (path.startsWith(start)) names.add(path.slice(start.length).split('/')[0]!)
    }
    return [...names].toSorted()
  }

  async makeFolder(): Promise<void> {
    // A folder is there as soon as a file is in it.
  }

  async removeFolder(path: string): Promise<void> {
    // Once the folder's own name is gone nothing in it can be reached: not even a file that was
    // removed there before, or made there, and never synced.
    this.#pendingNames = this.#pendingNames.map((change) => {
      return change.path.startsWith(`${path}/`) ? { ...change, folder: folderOf(path) } : change
    })
    for (const name of [...this.#files.keys()]) {
      if (!name.startsWith(`${path}/`)) continue
      await this.#rename({ folder: folderOf(path), path: name, content: null })
    }
  }

  async rename(source: string, target: string): Promise<void> {
    for (const [path, content] of [...this.#files]) {
      if (path !== source && !path.startsWith(`${source}/`)) continue
      const name = target + path.slice(source.length)
      const from = path
      await this.#rename({ folder: folderOf(name), path: name, content, from })
    }
  }

  async link(source: string, target: string): Promise<void> {
    await this.#rename({ folder: folderOf(target), path: target, content: this.#contentOf(source) })
  }

  async remove(path: string): Promise<void> {
    if (this.#files.has(path)) {
      await this.#rename({ folder: folderOf(path), path, content: null })
    }
  }

  async syncFolder(path: string): Promise<void> {
    await this.#change()
    if (this.syncError !== null) throw new DiskError(this.syncError, path)
    const kept: NameChange[] = []
    for (const change of this.#pendingNames) {
      if (change.folder === path) applyName(this.#durableFiles, change)
      else kept.push(change)
    }
    this.#pendingNames = kept
  }

  async freeBytes(): Promise<number> {
    return this.freeSpaceBytes
  }

  async lock(): Promise<DiskLock> {
    return { isHeld: () => Promise.resolve(true), release: () => Promise.resolve() }
  }

  /** The paths of all files, sorted. */
  paths(): string[] {
    return [...this.#files.keys()].toSorted()
  }

  /** The bytes of a file now; throws when it is not there. */
  bytesOf(path: string): Buffer {
    return Buffer.from(this.#contentOf(path).current)
  }

  /** Changes a stored byte, as a failing device does. */
  flip(path: string, position: number, mask = 0xff): void {
    this.#contentOf(path).flip(position, mask)
  }

  /** Gives a file these bytes, on the device and all. */
  replace(path: string, bytes: Buffer): void {
    const content = new FaultyContent()
    content.write(bytes, 0)
    content.sync()
    this.#files.set(path, content)
    this.#durableFiles.set(path, content)
  }

  /**
   * The disk that the next start finds after kill -9: whatever was written is there, and what was
   * not synced may still be lost by a power cut.
   */
  killed(): FaultyDisk {
    const next = new FaultyDisk()
    const copies = new Map<FaultyContent, FaultyContent>()
    const copyOf = (content: FaultyContent): FaultyContent => {
      const copy = copies.get(content) ?? content.copy()
      copies.set(content, copy)
      return copy
    }
    for (const [path, content] of this.#files) next.#files.set(path, copyOf(content))
    for (const [path, content] of this.#durableFiles) {
      next.#durableFiles.set(path, copyOf(content))
    }
    next.#pendingNames = this.#pendingNames.map((change) => {
      return { ...change, content: change.content === null ? null : copyOf(change.content) }
    })
    return next
  }

  /** The disk that the next start finds after a power cut; chance says what survived unsynced. */
  powerCut(random: RandomSource): FaultyDisk {
    const next = new FaultyDisk()
    const names = new Map(this.#durableFiles)
    const survivors = random.integer(this.#pendingNames.length + 1)
    for (const change of this.#pendingNames.slice(0, survivors)) applyName(names, change)
    for (const [path, content] of names) next.replace(path, content.afterPowerCut(random))
    return next
  }

  /** The disk after a kill in the midst of the last write to `path`, of which `bytes` got there. */
  tornAt(path: string, bytes: number): FaultyDisk {
    const next = this.killed()
    const last = this.#contentOf(path).lastWrite!
    next.replace(path, this.#contentOf(path).current.subarray(0, last.position + bytes))
    return next
  }

  /** Bytes of the last write to `path`. */
  lastWriteBytes(path: string): number {
    return this.#contentOf(path).lastWrite?.bytes.length ?? 0
  }

  /** Counts a change; never answers when the power is gone. */
  async #change(): Promise<void> {
    await new Promise<void>((resolve) => this.changed(resolve))
  }

  /** The power goes now. */
  halt(): void {
    this.changesLeft = 0
    this.onHalt?.()
  }

  /** Counts a change and calls back in a later turn, unless the power is gone. */
  changed(answer: () => void): void {
    this.changeCount++
    if (this.hasHalted) return
    if (--this.changesLeft <= 0) {
      this.onHalt?.()
      return
    }
    later(() => {
      if (!this.hasHalted) answer()
    })
  }

  async #rename(change: NameChange): Promise<void> {
    if (this.hasHalted) return never()
    applyName(this.#files, change)
    this.#pendingNames.push(change)
    await this.#change()
  }

  #contentOf(path: string): FaultyContent {
    const content = this.#files.get(path)
    if (content === undefined) throw new DiskError('ENOENT', path)
    return content
  }
}

interface NameChange {
  readonly folder: string
  readonly path: string
  /** null: the name goes away. */
  readonly content: FaultyContent | null
  /** The name it had before. */
  readonly from?: string
}

function applyName(files: Map<string, FaultyContent>, change: NameChange): void {
  if (change.from !== undefined) files.delete(change.from)
  if (change.content === null) files.delete(change.path)
  else files.set(change.path, change.content)
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

function never<T>(): Promise<T> {
  return new Promise(() => {})
}

/** `bytes` at `position`, or, without bytes, the end of the file moved to `position`. */
interface Write {
  readonly position: number
  readonly bytes: Buffer | null
}

/** Bytes that grow and shrink in place, for a file is written to many times. */
class GrowingBytes {
  #data: Buffer = Buffer.alloc(0)
  #size = 0

  get view(): Buffer {
    return this.#data.subarray(0, this.#size)
  }

  apply({ position, bytes }: Write): void {
    if (bytes === null) {
      this.#resize(position)
      return
    }
    if (position + bytes.length > this.#size) this.#resize(position + bytes.length)
    bytes.copy(this.#data, position)
  }

  copy(): GrowingBytes {
    const copy = new GrowingBytes()
    copy.#data = Buffer.from(this.view)
    copy.#size = this.#size
    return copy
  }

  /** A part that was never written reads as zeros. */
  #resize(size: number): void {
    if (size > this.#data.length) {
      const larger = Buffer.alloc(Math.max(size, 2 * this.#data.length))
      this.#data.copy(larger, 0, 0, this.#size)
      this.#data = larger
    } else if (size > this.#size) this.#data.fill(0, this.#size, size)
    this.#size = size
  }
}

class FaultyContent {
  lastWrite: { readonly position: number; readonly bytes: Buffer } | null = null
  #current = new GrowingBytes()
  #synced = new GrowingBytes()
  /** What `#synced` lacks. */
  #pending: Write[] = []

  get current(): Buffer {
    return this.#current.view
  }

  get synced(): Buffer {
    return this.#synced.view
  }

  write(bytes: Buffer, position: number): void {
    this.lastWrite = { position, bytes }
    this.#change({ position, bytes })
  }

  copy(): FaultyContent {
    const copy = new FaultyContent()
    copy.#current = this.#current.copy()
    copy.#synced = this.#synced.copy()
    copy.#pending = [...this.#pending]
    copy.lastWrite = this.lastWrite
    return copy
  }

  flip(position: number, mask: number): void {
    if (position < this.synced.length) this.synced[position]! ^= mask
    // What was not synced is written with the flipped byte, if it is.
    this.#change({ position, bytes: Buffer.of(this.current[position]! ^ mask) })
  }

  truncate(size: number): void {
    this.#change({ position: size, bytes: null })
  }

  sync(): void {
    for (const write of this.#pending) this.#synced.apply(write)
    this.#pending = []
  }

  #change(write: Write): void {
    this.#current.apply(write)
    this.#pending.push(write)
  }

  /** What was synced, and of the rest none, all, a torn beginning, or any of the sectors. */
  afterPowerCut(random: RandomSource): Buffer {
    const fate = random.integer(4)
    if (fate === 0) return Buffer.from(this.synced)
    if (fate === 1) return Buffer.from(this.current)
    let bytes = Buffer.from(this.synced)
    const whole = fate === 2 ? random.integer(this.#pending.length + 1) : this.#pending.length
    for (let index = 0; index < whole; index++) {
      const write = this.#pending[index]!
      if (fate === 2 || write.bytes === null) bytes = apply(bytes, write)
      else bytes = applySectors(bytes, write.bytes, { position: write.position, random })
    }
    const torn = this.#pending[whole]
    if (torn?.bytes !== undefined && torn.bytes !== null) {
      const part = torn.bytes.subarray(0, random.integer(torn.bytes.length + 1))
      bytes = place(bytes, part, torn.position)
    }
    return bytes
  }
}

function apply(target: Buffer, { position, bytes }: Write): Buffer<ArrayBuffer> {
  return bytes === null ? resize(target, position) : place(target, bytes, position)
}

function applySectors(
  target: Buffer,
  bytes: Buffer,
  { position, random }: { readonly position: number; readonly random: RandomSource },
): Buffer<ArrayBuffer> {
  let result = Buffer.from(target)
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES))
    if (random.integer(2) === 0) result = place(result, bytes.subarray(at, end), position + at)
    at = end
  }
  return result
}

/** A part that was never written reads as zeros. */
function place(target: Buffer, bytes: Buffer, position: number): Buffer<ArrayBuffer> {
  const size = Math.max(target.length, position + bytes.length)
  const result = resize(target, size)
  bytes.copy(result, position)
  return result
}

function resize(target: Buffer, size: number): Buffer<ArrayBuffer> {
  const result = Buffer.alloc(size)
  target.copy(result, 0, 0, Math.min(size, target.length))
  return result
}

class FaultyFile implements DiskFile {
  readonly path: string
  readonly #disk: FaultyDisk
  readonly #content: FaultyContent

  constructor(disk: FaultyDisk, path: string, content: FaultyContent) {
    this.path = path
    this.#disk = disk
    this.#content = content
  }

  read(target: Buffer, position: number, done: DiskReadDone): void {
    if (this.#disk.hasHalted) return
    const count = this.#content.current.copy(
      target,
      0,
      Math.min(position, this.#content.current.length),
    )
    later(() => done(null, count))
  }

  write(buffers: readonly Buffer[], position: number, done: DiskDone): void {
    const disk = this.#disk
    if (disk.hasHalted) return
    const bytes = Buffer.concat(buffers)
    const error = disk.writeError
    if (error !== null) {
      disk.changed(() => done(new DiskError(error, this.path)))
      return
    }
    const growth = Math.max(0, position + bytes.length - this.#content.current.length)
    const room = disk.freeSpaceBytes
    if (growth > room) {
      // As much as fits is written all the same.
      this.#content.write(bytes.subarray(0, bytes.length - (growth - room)), position)
      disk.freeSpaceBytes = 0
      disk.changed(() => done(new DiskError('ENOSPC', this.path)))
      return
    }
    disk.freeSpaceBytes -= growth
    this.#content.write(bytes, position)
    disk.changed(() => done(null))
  }

  sync(done: DiskDone): void {
    const disk = this.#disk
    if (disk.hasHalted) return
    disk.syncCount++
    if (disk.haltAtSync === 'before') {
      disk.halt()
      return
    }
    const error = disk.syncError
    if (error !== null) {
      disk.changed(() => done(new DiskError(error, this.path)))
      return
    }
    this.#syncLater(disk.syncTurns, done)
  }

  async truncate(sizeBytes: number): Promise<void> {
    const disk = this.#disk
    if (disk.hasHalted) return never()
    disk.freeSpaceBytes += Math.max(0, this.#content.current.length - sizeBytes)
    this.#content.truncate(sizeBytes)
    await new Promise<void>((resolve) => disk.changed(resolve))
  }

  async size(): Promise<number> {
    return this.#content.current.length
  }

  async close(): Promise<void> {
    // The content goes with its name.
  }

  #syncLater(turns: number, done: DiskDone): void {
    if (turns > 0) {
      later(() => this.#syncLater(turns - 1, done))
      return
    }
    this.#disk.changed(() => {
      // What is written between the call and the answer counts too: the device may do that.
      this.#content.sync()
      if (this.#disk.haltAtSync === 'after') this.#disk.halt()
      else done(null)
    })
  }
}
