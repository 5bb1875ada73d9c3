/**
 * The disk as a parameter: everything that is stored goes through these two interfaces, so that
 * tests can cut the power, tear a write or fill the device. Paths are relative to the directory
 * the disk was made for, with `/` between names.
 */

/** The device or the file system refused; `code` is the name of the errno, such as `ENOSPC`. */
export class DiskError extends Error {
  readonly code: string
  readonly path: string

  constructor(code: string, path: string, options?: ErrorOptions & { readonly text?: string }) {
    super(`${path}: ${options?.text ?? code}`, options)
    this.name = 'DiskError'
    this.code = code
    this.path = path
  }

  /** Whether waiting for somebody to free space can help. */
  get isFull(): boolean {
    return this.code === 'ENOSPC' || this.code === 'EDQUOT'
  }
}

export type DiskDone = (error: DiskError | null) => void
export type DiskReadDone = (error: DiskError | null, bytesRead: number) => void

/** An open file. Calls may overlap; whoever needs an order waits for the answer. */
export interface DiskFile {
  readonly path: string
  /** Fills `target` from `position` on; fewer bytes only where the file ends. */
  read(target: Buffer, position: number, done: DiskReadDone): void
  /** Writes all of the buffers one after the other; on an error any part of them may be there. */
  write(buffers: readonly Buffer[], position: number, done: DiskDone): void
  /** Answers when the device holds all that was written before the call. */
  sync(done: DiskDone): void
  truncate(sizeBytes: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

/** `create` makes an empty file, replacing one that is there. */
export type OpenMode = 'read' | 'write' | 'create'

/** A lock on the whole directory, held until released or until the process ends in any way. */
export interface DiskLock {
  /** False when another process took the lock over: then nothing may be written any more. */
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

/** Another process holds the lock; `holder` names it. */
export class DiskLockedError extends Error {
  readonly holder: string

  constructor(holder: string, message: string) {
    super(message)
    this.name = 'DiskLockedError'
    this.holder = holder
  }
}

export interface Disk {
  /** For messages: the directory, or what stands for it. */
  readonly name: string
  /** Whether `sync` reaches something that survives a power cut. */
  readonly durable: boolean
  open(path: string, mode: OpenMode): Promise<DiskFile>
  /** Names in the folder, sorted; none when the folder is not there. */
  list(folder: string): Promise<string[]>
  /** Makes the folder and those above it. */
  makeFolder(path: string): Promise<void>
  /** Removes the folder with all it holds; nothing happens when it is not there. */
  removeFolder(path: string): Promise<void>
  rename(source: string, target: string): Promise<void>
  /** Gives the file a second name; what is written by one is read by both. */
  link(source: string, target: string): Promise<void>
  /** Removes the file; nothing happens when it is not there. */
  remove(path: string): Promise<void>
  /** Answers when names created, renamed and removed in the folder survive a power cut. */
  syncFolder(path: string): Promise<void>
  /** Bytes that this process may still write. */
  freeBytes(): Promise<number>
  /** Throws `DiskLockedError` when a living process holds it. */
  lock(path: string): Promise<DiskLock>
}

/** Promise forms of the calls on the data path, for opening, closing and checking. */
export function syncFile(file: DiskFile): Promise<void> {
  return new Promise((resolve, reject) => {
    file.sync((error) => (error === null ? resolve() : reject(error)))
  })
}

export function writeFile(
  file: DiskFile,
  buffers: readonly Buffer[],
  position: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(buffers, position, (error) => (error === null ? resolve() : reject(error)))
  })
}

/** Returns the bytes from `position` on, at most `sizeBytes`, fewer where the file ends. */
export function readFile(file: DiskFile, position: number, sizeBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const target = Buffer.allocUnsafeSlow(sizeBytes)
    file.read(target, position, (error, bytesRead) => {
      if (error === null) resolve(target.subarray(0, bytesRead))
      else reject(error)
    })
  })
}

/** The whole file, or null when it is not there. */
export async function readWhole(disk: Disk, path: string): Promise<Buffer | null> {
  let file: DiskFile
  try {
    file = await disk.open(path, 'read')
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return null
    throw error
  }
  try {
    return await readFile(file, 0, await file.size())
  } finally {
    await file.close()
  }
}

/** Writes a small file so that after a crash either the old or the new content is there. */
export async function replaceFile(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const temporary = `${path}.new`
  const file = await disk.open(temporary, 'create')
  try {
    await writeFile(file, [bytes], 0)
    await syncFile(file)
  } finally {
    await file.close()
  }
  await disk.rename(temporary, path)
  await disk.syncFolder(path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '')
}
