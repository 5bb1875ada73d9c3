import type { LogEntry, ReadDone } from '../../engine/contract.ts'

/** Where the entries of a partition are read from, by offset. */
export interface EntrySource {
  readonly name: string
  /** The entry that contains `offset`, if it is in memory. */
  peek(offset: number): LogEntry | null
  /** Entries from the one that contains `offset`, or the next one kept, on; see `Log.read`. */
  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void
}
