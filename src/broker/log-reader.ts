import type { Log, LogEntry } from '../engine/contract.ts'

const READ_BYTES = 4 * 1024 * 1024

/** Every entry of a log from `offset` to its end, in order. For recovery, not for the hot path. */
export async function* readLog(log: Log, offset: number): AsyncIterable<LogEntry> {
  let next = Math.max(offset, log.startOffset)
  while (next < log.nextOffset) {
    const entries = await readSome(log, next)
    if (entries.length === 0) return
    for (const entry of entries) {
      yield entry
      next = entry.baseOffset + entry.count
    }
  }
}

function readSome(log: Log, offset: number): Promise<readonly LogEntry[]> {
  return new Promise((resolve, reject) => {
    log.read(offset, READ_BYTES, (error, entries) => {
      if (error === null) resolve(entries)
      else reject(error)
    })
  })
}
