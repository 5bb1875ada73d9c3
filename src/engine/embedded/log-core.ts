import type { LogEntry, ReadDone, Retention } from '../contract.ts'

/** What the handles of one log share: its entries and its numbers, whoever writes it. */
export interface LogCore {
  readonly name: string
  readonly volatile: boolean
  readonly startOffset: number
  readonly nextOffset: number
  readonly committedOffset: number
  readonly storedBytes: number
  /** The epoch of the writer that may append. */
  epoch: number
  listener: ((committedOffset: number) => void) | null

  append(data: Buffer, count: number, free?: () => void): number
  peek(offset: number): LogEntry | null
  read(offset: number, bytesMax: number, done: ReadDone, target?: Buffer): void
  offsetForTime(timeMs: number): Promise<number>
  discard(from: number, to: number): void
  setRetention(retention: Retention): void
}

/** What a core tells the engine that owns it. */
export interface LogHost {
  /** The time for entries appended now, in milliseconds since the epoch. */
  now(): number
  readonly entryBytesMax: number
  readonly readAheadBytes: number
  /** The engine failed: what is appended now will never be stored. */
  readonly hasFailed: boolean
}
