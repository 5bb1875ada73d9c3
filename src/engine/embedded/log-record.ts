import type { KvItem } from './kv-format.ts'

/** Keys of the engine's own begin with this, those of the broker with `PUBLIC`. */
export const INTERNAL = '-'
export const PUBLIC = '+'
/** Before the name of a log: what the engine knows of it. */
export const LOG_KEY = 'log/'

/** What the kv says of a log. */
export interface LogRecord {
  readonly id: number
  readonly epoch: number
  /** False: it may be that it has no files yet. Absent: it has. */
  readonly isBorn?: boolean
}

export function encodeLogRecord(record: LogRecord): Buffer {
  return Buffer.from(JSON.stringify(record))
}

export function decodeLogRecord(value: Buffer): LogRecord {
  return JSON.parse(value.toString()) as LogRecord
}

/** Notes in `names`, by number of the log, what a change of the kv says. */
export function noteLogName(names: Map<number, string>, { key, value }: KvItem): void {
  if (value === null || !key.startsWith(INTERNAL + LOG_KEY)) return
  names.set(decodeLogRecord(value).id, key.slice(INTERNAL.length + LOG_KEY.length))
}
