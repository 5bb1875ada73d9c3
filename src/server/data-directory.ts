import {
  accessSync,
  chmodSync,
  constants,
  mkdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { isProcessAlive } from '../lib/process-alive.ts'
import { StartupError } from './startup-error.ts'

/** How a command on this machine reaches the broker that owns a data directory. */
export interface AdminEndpoint {
  /** Such as `http://127.0.0.1:15672`. */
  readonly url: string
  /** Stands for an administrator; only who may read the directory knows it. */
  readonly token: string
  readonly pid: number
}

const ENDPOINT_FILE = 'admin.json'

/**
 * Where data lives when nobody says: one place for each user, wherever the broker is started
 * from, so that a second start finds the messages of the first.
 */
export function defaultDataDirectory(
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (process.platform === 'win32' && environment['LOCALAPPDATA']) {
    return path.join(environment['LOCALAPPDATA'], 'waystation')
  }
  const base = environment['XDG_DATA_HOME']
  const isUsable = base !== undefined && path.isAbsolute(base)
  return path.join(isUsable ? base : path.join(homedir(), '.local', 'share'), 'waystation')
}

/** Makes the directory where it is missing; throws `StartupError` when it cannot be used. */
export function prepareDataDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    // Root may write anywhere by its bits, so only a try shows a read-only file system.
    const probe = path.join(directory, `.writable-${process.pid}`)
    writeFileSync(probe, '')
    unlinkSync(probe)
  } catch (cause) {
    const message = `${unusableReason(directory, cause)}\nchoose another one with --data DIR`
    throw new StartupError('data', message, { cause })
  }
}

function unusableReason(directory: string, cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `the data directory ${directory} is not writable by ${userText()}`
    case 'EROFS':
      return `the data directory ${directory} is on a read-only file system`
    case 'EEXIST':
    case 'ENOTDIR':
      return `the data directory ${directory} is a file, or below one`
    case 'ENOSPC':
      return `there is no space left for the data directory ${directory}`
    default:
      return `the data directory ${directory} cannot be used: ${message}`
  }
}

function userText(): string {
  const uid = process.getuid?.()
  return uid === undefined ? 'this user' : `user id ${uid}`
}

/** Written whole or not at all, and never readable by others. */
export function writeAdminEndpoint(directory: string, endpoint: AdminEndpoint): void {
  const file = path.join(directory, ENDPOINT_FILE)
  const draft = `${file}.new`
  writeFileSync(draft, `${JSON.stringify(endpoint)}\n`, { mode: 0o600 })
  // The mode above counts only where the file is new.
  chmodSync(draft, 0o600)
  renameSync(draft, file)
}

/** Null when no broker that runs now has left one. */
export function readAdminEndpoint(directory: string): AdminEndpoint | null {
  let endpoint: Partial<AdminEndpoint> | null
  try {
    endpoint = JSON.parse(
      readFileSync(path.join(directory, ENDPOINT_FILE), 'utf8'),
    ) as Partial<AdminEndpoint> | null
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR' || cause instanceof SyntaxError) return null
    throw new StartupError('data', `the data directory ${directory} cannot be read: ${message}`, {
      cause,
    })
  }
  const { url, token, pid } = endpoint ?? {}
  if (typeof url !== 'string' || typeof token !== 'string' || typeof pid !== 'number') return null
  return isProcessAlive(pid) ? { url, token, pid } : null
}

export function removeAdminEndpoint(directory: string): void {
  try {
    unlinkSync(path.join(directory, ENDPOINT_FILE))
  } catch (error) {
    // The whole directory may be gone already: a test's, or one that was deleted under us.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
