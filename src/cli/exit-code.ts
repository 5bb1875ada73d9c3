import type { StartupErrorCode } from '../server/startup-error.ts'

type ExitName =
  | 'DONE'
  | 'FAILED'
  | 'USAGE'
  | 'UNAVAILABLE'
  | 'DATA'
  | 'TAKEN'
  | 'REFUSED'
  | 'CONFIG'

/** What the process ends with; the numbers above 64 are those of BSD's sysexits. */
export const EXIT: Readonly<Record<ExitName, number>> = {
  DONE: 0,
  /** Something unexpected, or the broker refused the command, or fsck found damage. */
  FAILED: 1,
  /** Wrong arguments; nothing was done. */
  USAGE: 2,
  /** No running broker could be reached. */
  UNAVAILABLE: 69,
  /** The data directory cannot be used. */
  DATA: 73,
  /** A port or the data directory is taken by another process; may work later. */
  TAKEN: 75,
  /** Refused for safety, or the login was wrong. */
  REFUSED: 77,
  /** The configuration is wrong. */
  CONFIG: 78,
}

export const STARTUP_EXIT: Readonly<Record<StartupErrorCode, number>> = {
  config: EXIT.CONFIG,
  port: EXIT.TAKEN,
  data: EXIT.DATA,
  locked: EXIT.TAKEN,
  unsafe: EXIT.REFUSED,
}

/** Ends the command with this message and code; anything else that is thrown is a bug. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.exitCode = exitCode
  }
}
