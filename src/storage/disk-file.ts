import * as fs from 'node:fs'
import path from 'node:path'
import { DiskError } from './disk.ts'
import type { Disk, DiskDone, DiskFile, DiskLock, DiskReadDone, OpenMode } from './disk.ts'
import { takeDirectoryLock } from './disk-lock.ts'

const FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', write: 'r+', create: 'w+' }

/**
 * So much is handed to the kernel in the call: it copies it in less time than it takes to wake
 * another thread for it, which on a busy machine is milliseconds. What waits for the device is the
 * sync, and that has its thread.
 */
const WRITTEN_AT_ONCE_BYTES_MAX = 256 * 1024

/** The machine's own file system, below one directory. */
export class FileDisk implements Disk {
  readonly name: string
  readonly durable = true

  constructor(directory: string) {
    this.name = path.resolve(directory)
  }

  async open(name: string, mode: OpenMode): Promise<DiskFile> {
    const fd = await new Promise<number>((resolve, reject) => {
      fs.open(this.#full(name), FLAGS[mode], 0o600, (error, opened) => {
        if (error === null) resolve(opened)
        else reject(toDiskError(error, this.#full(name)))
      })
    })
    return new FileOnDisk(fd, this.#full(name))
  }

  async list(folder: string): Promise<string[]> {
    try {
      return (await fs.promises.readdir(this.#full(folder))).toSorted()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw toDiskError(error as NodeJS.ErrnoException, this.#full(folder))
    }
  }

  async makeFolder(name: string): Promise<void> {
    await this.#try(name, (full) => fs.promises.mkdir(full, { recursive: true, mode: 0o700 }))
  }

  async removeFolder(name: string): Promise<void> {
    await this.#try(name, (full) => fs.promises.rm(full, { recursive: true, force: true }))
  }

  async rename(source: string, target: string): Promise<void> {
    await this.#try(source, (full) => fs.promises.rename(full, this.#full(target)))
  }

  async link(source: string, target: string): Promise<void> {
    await this.#try(source, (full) => fs.promises.link(full, this.#full(target)))
  }

  async remove(name: string): Promise<void> {
    await this.#try(name, (full) => fs.promises.rm(full, { force: true }))
  }

  async syncFolder(name: string): Promise<void> {
    await this.#try(name, async (full) => {
      const handle = await fs.promises.open(full, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    })
  }

  async freeBytes(): Promise<number> {
    const space = await this.#try('', (full) => fs.promises.statfs(full))
    return space.bavail * space.bsize
  }

  lock(name: string): Promise<DiskLock> {
    return this.#try(name, takeDirectoryLock)
  }

  #full(name: string): string {
    return name === '' ? this.name : path.join(this.name, name)
  }

  async #try<T>(name: string, action: (full: string) => Promise<T>): Promise<T> {
    const full = this.#full(name)
    try {
      return await action(full)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      throw code === undefined ? error : toDiskError(error as NodeJS.ErrnoException, full)
    }
  }
}

class FileOnDisk implements DiskFile {
  readonly path: string
  readonly #fd: number

  constructor(fd: number, full: string) {
    this.#fd = fd
    this.path = full
  }

  read(target: Buffer, position: number, done: DiskReadDone): void {
    this.#readOn(target, 0, position, done)
  }

  write(buffers: readonly Buffer[], position: number, done: DiskDone): void {
    const answer = (error: NodeJS.ErrnoException | null, written: number): void => {
      if (error !== null) {
        done(toDiskError(error, this.path))
        return
      }
      let rest = written
      let index = 0
      while (index < buffers.length && rest >= buffers[index]!.length)
        rest -= buffers[index++]!.length
      if (index === buffers.length) {
        done(null)
        return
      }
      // A nearly full disk takes a part first; the next call says why it takes no more.
      const left = [buffers[index]!.subarray(rest), ...buffers.slice(index + 1)]
      if (written > 0) this.write(left, position + written, done)
      else done(new DiskError('EIO', this.path, { text: 'the device took no bytes' }))
    }
    if (bytesOf(buffers) <= WRITTEN_AT_ONCE_BYTES_MAX) this.#writeNow(buffers, position, answer)
    else fs.writev(this.#fd, buffers, position, answer)
  }

  #writeNow(
    buffers: readonly Buffer[],
    position: number,
    answer: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void {
    let written = 0
    try {
      written = fs.writevSync(this.#fd, buffers, position)
    } catch (error) {
      queueMicrotask(() => answer(error as NodeJS.ErrnoException, 0))
      return
    }
    queueMicrotask(() => answer(null, written))
  }

  sync(done: DiskDone): void {
    fs.fdatasync(this.#fd, (error) => done(error === null ? null : toDiskError(error, this.path)))
  }

  truncate(sizeBytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#fd, sizeBytes, (error) => {
        if (error === null) resolve()
        else reject(toDiskError(error, this.path))
      })
    })
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stats) => {
        if (error === null) resolve(stats.size)
        else reject(toDiskError(error, this.path))
      })
    })
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.#fd, (error) => {
        if (error === null || error === undefined) resolve()
        else reject(toDiskError(error, this.path))
      })
    })
  }

  #readOn(target: Buffer, start: number, position: number, done: DiskReadDone): void {
    const wanted = target.length - start
    fs.read(this.#fd, target, start, wanted, position + start, (error, count) => {
      if (error !== null) done(toDiskError(error, this.path), start)
      else if (count === 0 || count === wanted) done(null, start + count)
      else this.#readOn(target, start + count, position, done)
    })
  }
}

function bytesOf(buffers: readonly Buffer[]): number {
  let bytes = 0
  for (const { length } of buffers) bytes += length
  return bytes
}

function toDiskError(error: NodeJS.ErrnoException, full: string): DiskError {
  return new DiskError(error.code ?? 'EIO', full, { cause: error, text: error.message })
}
