import { createHash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { checkData, type StoreReport } from './check-data.ts'
import { StartupError } from './startup-error.ts'
import { packageVersion } from './version.ts'

const MANIFEST_FILE = 'backup.json'
const STORE_FOLDER = 'store'
const MANIFEST_FORMAT = 1
/** Copied at a time: large enough for the disk, small beside the memory of a small machine. */
const CHUNK_BYTES = 1024 * 1024

/** A file to copy: its first `bytes` bytes. */
export interface BackedUpFile {
  /** Relative to the store, with `/` between names. */
  readonly path: string
  readonly bytes: number
}

interface ManifestFile extends BackedUpFile {
  /** Of those bytes, in hexadecimal. */
  readonly sha256: string
}

export interface BackupManifest {
  readonly format: number
  /** Of the program that wrote it. */
  readonly version: string
  /** When the store stood like this; ISO 8601. */
  readonly takenAt: string
  readonly files: readonly ManifestFile[]
}

/** Told after every chunk, with the bytes copied so far. */
export type CopyProgress = (copiedBytes: number) => Promise<void>

export interface BackupOrder {
  /** The files of a frozen store stand here. */
  readonly source: string
  readonly files: readonly BackedUpFile[]
  /** A directory that is not there yet, or is empty. */
  readonly target: string
  readonly takenAt: Date
  readonly progress: CopyProgress
  /** Called when the frozen store is needed no more; the backup stands only if this succeeds. */
  readonly copied: () => Promise<void>
}

/**
 * Copies a frozen store, syncs the copy and reads it back: it stands only when every entry in it
 * has its checksum. Throws `StartupError` (`data`) with what to do.
 */
export async function makeBackup(order: BackupOrder): Promise<StoreReport> {
  const { source, target, takenAt, progress, copied } = order
  await makeEmptyDirectory(target)
  const store = path.join(target, STORE_FOLDER)
  const files = await copyFiles(order.files, { source, target: store, progress })
  await copied()
  const report = await checkCopy(store)
  const manifest: BackupManifest = {
    format: MANIFEST_FORMAT,
    version: packageVersion(),
    takenAt: takenAt.toISOString(),
    files,
  }
  // Last, so that a copy that was cut short is no backup.
  await writeSynced(path.join(target, MANIFEST_FILE), `${JSON.stringify(manifest, null, 1)}\n`)
  await syncFolder(target)
  return report
}

/** What the backup in a directory says of itself. Throws `StartupError` when it is none. */
export async function readManifest(directory: string): Promise<BackupManifest> {
  const file = path.join(directory, MANIFEST_FILE)
  let text: string
  try {
    text = await fs.readFile(file, 'utf8')
  } catch (cause) {
    throw refused(`${directory} holds no whole backup: ${(cause as Error).message}`, cause)
  }
  let manifest: Partial<BackupManifest> | null
  try {
    manifest = JSON.parse(text) as Partial<BackupManifest> | null
  } catch (cause) {
    throw refused(`${file} is damaged: ${(cause as Error).message}`, cause)
  }
  if (manifest?.format !== MANIFEST_FORMAT || !Array.isArray(manifest.files)) {
    throw refused(`${file} is of another format; version ${manifest?.version ?? '?'} wrote it`)
  }
  return manifest as BackupManifest
}

/** Copies a backup into a data directory that is not there or empty, and checks every byte. */
export async function restoreBackup(
  directory: string,
  target: string,
  progress: CopyProgress,
): Promise<StoreReport> {
  const manifest = await readManifest(directory)
  await makeEmptyDirectory(target)
  const source = path.join(directory, STORE_FOLDER)
  const copied = await copyFiles(manifest.files, { source, target, progress })
  for (const [index, { path: name, sha256 }] of manifest.files.entries()) {
    if (copied[index]!.sha256 === sha256) continue
    throw refused(`${path.join(source, name)} is not as it was backed up: its checksum differs`)
  }
  return checkCopy(target)
}

async function copyFiles(
  files: readonly BackedUpFile[],
  way: { readonly source: string; readonly target: string; readonly progress: CopyProgress },
): Promise<ManifestFile[]> {
  const copied: ManifestFile[] = []
  // Whole paths: nothing above the target is ours to sync, and perhaps not ours to read.
  const folders = new Set<string>([path.resolve(way.target)])
  let bytesBefore = 0
  for (const file of files) {
    const target = placeIn(way.target, file.path)
    for (let folder = path.dirname(target); !folders.has(folder); folder = path.dirname(folder)) {
      folders.add(folder)
    }
    await fs.mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
    const progress = (bytes: number): Promise<void> => way.progress(bytesBefore + bytes)
    const sha256 = await copyStart(placeIn(way.source, file.path), target, file.bytes, progress)
    bytesBefore += file.bytes
    copied.push({ path: file.path, bytes: file.bytes, sha256 })
  }
  for (const folder of folders) await syncFolder(folder)
  return copied
}

/** Copies the first `bytes` bytes and returns their SHA-256. */
async function copyStart(
  source: string,
  target: string,
  bytes: number,
  progress: (bytes: number) => Promise<void>,
): Promise<string> {
  const hash = createHash('sha256')
  await using input = await fs.open(source, 'r')
  await using output = await fs.open(target, 'wx', 0o600)
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(bytes, 1)))
  let copied = 0
  while (copied < bytes) {
    const wanted = Math.min(chunk.length, bytes - copied)
    const { bytesRead } = await input.read(chunk, 0, wanted, copied)
    if (bytesRead === 0) throw refused(`${source} ends after ${copied} of ${bytes} bytes`)
    const part = chunk.subarray(0, bytesRead)
    hash.update(part)
    await output.write(part, 0, bytesRead, copied)
    copied += bytesRead
    await progress(copied)
  }
  await output.sync()
  return hash.digest('hex')
}

/** Names come from a file that anybody may have written: none may lead out of the directory. */
function placeIn(directory: string, name: string): string {
  const full = path.resolve(directory, name)
  if (typeof name === 'string' && full.startsWith(path.resolve(directory) + path.sep)) return full
  throw refused(`the backup names a file outside of it: ${JSON.stringify(name)}`)
}

async function makeEmptyDirectory(directory: string): Promise<void> {
  try {
    const first = await fs.mkdir(directory, { recursive: true, mode: 0o700 })
    // Its name must survive a power cut too; who may make a folder there may not always read it.
    if (first !== undefined) await syncFolder(path.dirname(path.resolve(first))).catch(() => {})
    if ((await fs.readdir(directory)).length === 0) return
  } catch (cause) {
    throw refused(`${directory} cannot be used: ${(cause as Error).message}`, cause)
  }
  throw refused(`${directory} is not empty; name a directory that is not there yet`)
}

async function checkCopy(directory: string): Promise<StoreReport> {
  const report = await checkData(directory, false)
  const [fault] = report.faults
  if (fault === undefined) return report
  throw refused(`the copy is damaged: ${fault.file} at ${fault.position}: ${fault.reason}`)
}

async function writeSynced(file: string, text: string): Promise<void> {
  await using output = await fs.open(file, 'wx', 0o600)
  await output.writeFile(text)
  await output.sync()
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await fs.open(folder, 'r')
  await handle.sync()
}

function refused(message: string, cause?: unknown): StartupError {
  return new StartupError('data', message, { cause })
}
