import path from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { makeBackup, readManifest, restoreBackup } from '../server/backup-files.ts'
import type { BackedUpFile } from '../server/backup-files.ts'
import type { StoreReport } from '../server/check-data.ts'
import { AdminClient, apiPath, dataDirectory } from './admin-client.ts'
import { printJson } from './listings.ts'
import { barOf } from './redrive.ts'

/** Far more often than the broker demands, so that a slow disk cannot let a backup lapse. */
const RENEW_MS = 30_000
const MIB = 1024 * 1024

export interface BackupFlags {
  readonly data?: string
  readonly config?: string
  readonly json?: boolean
}

export interface RestoreFlags {
  readonly data: string
  readonly json?: boolean
}

interface FrozenStore {
  readonly id: number
  readonly folder: string
  readonly files: readonly BackedUpFile[]
}

/** Copies a running broker's store. Throws `CommandError` or `StartupError`, which say what to do. */
export async function backup(directory: string, flags: BackupFlags): Promise<void> {
  const data = await dataDirectory(flags)
  // Never the broker of WAYSTATION_URL: the files are read here.
  const client = await AdminClient.connect({ data, url: '' })
  const frozen = (await client.request('POST', apiPath(['backups']))) as FrozenStore
  const takenAt = new Date(systemClock.now())
  const own = apiPath(['backups', String(frozen.id)])
  let renewAtMs = systemClock.now() + RENEW_MS
  let isHeld = true
  const release = async (): Promise<void> => {
    isHeld = false
    await client.request('DELETE', own)
  }
  try {
    const report = await makeBackup({
      source: path.join(data, frozen.folder),
      files: frozen.files,
      target: directory,
      takenAt,
      progress: async (copied) => {
        showBar(copied, frozen.files)
        if (systemClock.now() < renewAtMs) return
        renewAtMs = systemClock.now() + RENEW_MS
        await client.request('PUT', own)
      },
      copied: release,
    })
    endBar()
    tell(`backed up ${data} as it stood at ${takenAt.toISOString()}`, report, directory, flags)
  } finally {
    // What went wrong before is what must be told.
    if (isHeld) await release().catch(() => null)
  }
}

/** Makes a data directory from a backup. Throws `StartupError` with what to do. */
export async function restore(directory: string, flags: RestoreFlags): Promise<void> {
  const { files, takenAt } = await readManifest(directory)
  const report = await restoreBackup(directory, flags.data, async (copied) => {
    showBar(copied, files)
    return Promise.resolve()
  })
  endBar()
  tell(`restored what stood at ${takenAt}`, report, flags.data, flags)
}

function showBar(copied: number, files: readonly BackedUpFile[]): void {
  if (!process.stderr.isTTY) return
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const sizes = `${(copied / MIB).toFixed(1)} of ${(total / MIB).toFixed(1)} MiB`
  process.stderr.write(`\r${barOf({ looked: copied, waiting: total })} ${sizes}`)
}

function endBar(): void {
  if (process.stderr.isTTY) process.stderr.write('\n')
}

function tell(
  what: string,
  { logs, faults, tornEnds }: StoreReport,
  directory: string,
  { json = false }: { readonly json?: boolean },
): void {
  if (json) {
    printJson({ directory, logs, faults, tornEnds })
    return
  }
  const bytes = logs.reduce((sum, log) => sum + log.bytes, 0)
  const entries = logs.reduce((sum, log) => sum + log.entryCount, 0)
  process.stdout.write(
    `${what}\n${directory}: ${entries} entries of ${logs.length} logs, ` +
      `${(bytes / MIB).toFixed(1)} MiB, every one checked\n`,
  )
}
