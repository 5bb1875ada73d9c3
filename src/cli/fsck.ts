import { CommandError, EXIT } from './exit-code.ts'

export interface FsckFlags {
  readonly repair: boolean
  readonly json: boolean
}

/** Checks the store in a directory; returns the exit code. */
export function fsck(directory: string, _flags: FsckFlags): Promise<number> {
  const message = `${directory} was not checked: this version cannot check a store yet`
  return Promise.reject(new CommandError(EXIT.FAILED, message))
}
