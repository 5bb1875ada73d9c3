import { later } from '../lib/later.ts'
import { DiskError } from './disk.ts'
import type { Disk, DiskDone, DiskFile, DiskLock, DiskReadDone, OpenMode } from './disk.ts'

const FREE_BYTES = 2 ** 50
const BLOCK_BYTES = 1024 * 1024

/** A disk that lives and dies with the process: for stores that need no disk, and for tests. */
export class MemoryDisk implements Disk {
  readonly name = 'memory'
  readonly durable = false
  readonly #files = new Map<string, MemoryContent>()

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    let content = this.#files.get(path)
    if (content === undefined) {
      if (mode !== 'create') throw new DiskError('ENOENT', path)
      content = new MemoryContent()
      this.#files.set(path, content)
    } else if (mode === 'create') {
      content.truncate(0)
    }
    return new MemoryFile(path, content)
  }

  async list(folder: string): Promise<string[]> {
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
    for (const name of this.#files.keys()) {
      if (name.startsWith(`${path}/`)) this.#files.delete(name)
    }
  }

  async rename(source: string, target: string): Promise<void> {
    for (const [path, content] of [...this.#files]) {
      if (path !== source && !path.startsWith(`${source}/`)) continue
      this.#files.delete(path)
      this.#files.set(target + path.slice(source.length), content)
    }
  }

  async link(source: string, target: string): Promise<void> {
    const content = this.#files.get(source)
    if (content === undefined) throw new DiskError('ENOENT', source)
    this.#files.set(target, content)
  }

  async remove(path: string): Promise<void> {
    this.#files.delete(path)
  }

  async syncFolder(): Promise<void> {
    // Nothing here outlives the process.
  }

  async freeBytes(): Promise<number> {
    return FREE_BYTES
  }

  async lock(): Promise<DiskLock> {
    return { isHeld: () => Promise.resolve(true), release: () => Promise.resolve() }
  }
}

/** Bytes in blocks, so that a growing file is never copied and a short one stays small. */
class MemoryContent {
  size = 0
  #blocks: Buffer[] = []

  write(bytes: Buffer, position: number): void {
    let done = 0
    while (done < bytes.length) {
      const at = position + done
      const index = Math.floor(at / BLOCK_BYTES)
      const start = at % BLOCK_BYTES
      const count = Math.min(bytes.length - done, BLOCK_BYTES - start)
      bytes.copy(this.#block(index, start + count), start, done, done + count)
      done += count
    }
    this.size = Math.max(this.size, position + bytes.length)
  }

  read(target: Buffer, position: number): number {
    const wanted = Math.max(0, Math.min(target.length, this.size - position))
    let done = 0
    while (done < wanted) {
      const at = position + done
      const block = this.#blocks[Math.floor(at / BLOCK_BYTES)]
      const start = at % BLOCK_BYTES
      const count = Math.min(wanted - done, BLOCK_BYTES - start)
      // A part that was never written reads as zeros, as in a file with a hole.
      target.fill(0, done, done + count)
      block?.copy(target, done, start, Math.min(start + count, block.length))
      done += count
    }
    return wanted
  }

  truncate(size: number): void {
    const count = Math.ceil(size / BLOCK_BYTES)
    this.#blocks.length = Math.min(this.#blocks.length, count)
    const last = this.#blocks[count - 1]
    if (size % BLOCK_BYTES !== 0) last?.fill(0, Math.min(size % BLOCK_BYTES, last.length))
    this.size = size
  }

  #block(index: number, neededBytes: number): Buffer {
    const block = this.#blocks[index] ?? Buffer.alloc(0)
    if (block.length >= neededBytes) return block
    const size = Math.min(BLOCK_BYTES, Math.max(neededBytes, block.length * 2, 4096))
    const wider = Buffer.alloc(size)
    block.copy(wider)
    while (this.#blocks.length < index) this.#blocks.push(Buffer.alloc(0))
    this.#blocks[index] = wider
    return wider
  }
}

class MemoryFile implements DiskFile {
  readonly path: string
  readonly #content: MemoryContent

  constructor(path: string, content: MemoryContent) {
    this.path = path
    this.#content = content
  }

  read(target: Buffer, position: number, done: DiskReadDone): void {
    const count = this.#content.read(target, position)
    later(() => done(null, count))
  }

  write(buffers: readonly Buffer[], position: number, done: DiskDone): void {
    let at = position
    for (const buffer of buffers) {
      this.#content.write(buffer, at)
      at += buffer.length
    }
    later(() => done(null))
  }

  sync(done: DiskDone): void {
    later(() => done(null))
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#content.truncate(sizeBytes)
  }

  async size(): Promise<number> {
    return this.#content.size
  }

  async close(): Promise<void> {
    // The content goes with its name.
  }
}
