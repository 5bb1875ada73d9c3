/**
 * The directory of a store.
 *
 *     FORMAT          what this is, and in which version
 *     LOCK            the process that has it open
 *     journal/        groups that touch several logs
 *     logs/ID/        the segments of one log; 0 is the kv
 *     scratch/        what does not fit into memory of volatile logs; emptied at start
 *     frozen/         second names of the files above while a backup is made; emptied at start
 *     aside/          what recovery and repair took out
 */
import { readWhole, replaceFile } from '../../storage/disk.ts'
import type { Disk } from '../../storage/disk.ts'
import { decodeSegmentHeader, segmentHeaderBytes, segmentPath } from '../../storage/segment.ts'
import { EngineError } from '../contract.ts'

const STORE_FORMAT = 1
export const FORMAT_FILE = 'FORMAT'
export const LOCK_FILE = 'LOCK'
export const LOGS_FOLDER = 'logs'
export const SCRATCH_FOLDER = 'scratch'
export const FROZEN_FOLDER = 'frozen'
/** The kv is a log like any other, with a number that is known. */
export const KV_LOG_ID = 0
export const KV_LOG_NAME = 'kv'
const ID_DIGITS = 12

export function logFolder(id: number): string {
  return `${LOGS_FOLDER}/${String(id).padStart(ID_DIGITS, '0')}`
}

/** Refuses what a newer version wrote, and marks an empty directory as ours. */
export async function checkFormat(disk: Disk): Promise<void> {
  const bytes = await readWhole(disk, FORMAT_FILE)
  if (bytes === null) {
    await replaceFile(disk, FORMAT_FILE, Buffer.from(`waystation store\nformat ${STORE_FORMAT}\n`))
    return
  }
  const format = Number(/^waystation store\nformat (\d+)\n/.exec(bytes.toString())?.[1] ?? 0)
  if (format === STORE_FORMAT) return
  const text =
    format === 0
      ? `${disk.name}/${FORMAT_FILE} is not that of a waystation store`
      : `${disk.name} has store format ${format}, this version knows up to ${STORE_FORMAT}`
  throw new EngineError('corrupt', text)
}

/** Whether anybody ever made a store there. */
export async function isStore(disk: Disk): Promise<boolean> {
  return (await disk.list('')).includes(FORMAT_FILE)
}

/** The numbers of all logs that have a folder, in order. */
export async function listLogIds(disk: Disk): Promise<number[]> {
  const names = await disk.list(LOGS_FOLDER)
  return names.filter((name) => /^\d+$/.test(name)).map(Number)
}

/** Whether the log's folder holds no entry: a crash came while the log was made. */
export async function isUnborn(disk: Disk, id: number, name: string | null): Promise<boolean> {
  const files = await disk.list(logFolder(id))
  if (files.length > 1) return false
  const [only] = files
  if (only === undefined) return true
  // All that was in it may be discarded; where it goes on is what must not be lost.
  if (`${logFolder(id)}/${only}` !== segmentPath(logFolder(id), 0)) return false
  const bytes = await readWhole(disk, `${logFolder(id)}/${only}`)
  if (bytes === null) return true
  const nameBytes = bytes.length < 16 ? 0 : bytes.readUInt32LE(12)
  return bytes.length <= (name === null ? 32 + nameBytes : segmentHeaderBytes(name))
}

/** The name of a log by its segments; null when none of them has a whole header. */
export async function nameInSegments(disk: Disk, id: number): Promise<string | null> {
  for (const file of await disk.list(logFolder(id))) {
    if (!file.endsWith('.seg')) continue
    const bytes = await readWhole(disk, `${logFolder(id)}/${file}`)
    const header = bytes === null ? null : decodeSegmentHeader(bytes)
    if (header !== null) return header.name
  }
  return null
}
