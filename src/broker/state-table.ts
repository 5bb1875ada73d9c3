import type { EngineError, Log } from '../engine/contract.ts'
import { BrokerError } from '../model/errors.ts'
import type { CommitCycle, CommitListener, Stager } from './commit-cycle.ts'
import type { BrokerLimits } from './limits.ts'
import { readLog } from './log-reader.ts'
import { RecordBatch } from './record-batch.ts'

/**
 * A record of the log, big-endian: u32 size of all of it, u8 kind, u8 zero, u16 bytes of the key,
 * the key in UTF-8, the value.
 */
const HEAD_BYTES = 8
const KEY_BYTES_MAX = 0xffff

const KIND = {
  SET: 1,
  DELETE: 2,
  /** From here on every value that lives is written once more, beside the changes that come. */
  BEGIN: 3,
  /** All of them were: what is before the last `BEGIN` says nothing any more. */
  END: 4,
} as const

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * Small values by key, in memory and in a log of their own: who read how far, which transactions
 * are open. A change belongs to the commit of the turn it was made in, so it is stored together
 * with whatever else that turn appends, in any log, or not at all.
 *
 * What was replaced or deleted takes space until it is more than what lives: then all that lives is
 * written again, a piece a turn, and everything before is given back.
 */
export class StateTable implements Stager, CommitListener {
  staged = false
  readonly #log: Log
  readonly #cycle: CommitCycle
  readonly #limits: BrokerLimits
  readonly #batch: RecordBatch
  readonly #values: Map<string, Buffer>
  /** Bytes of the records that would bring back what there is now. */
  #liveBytes = 0
  /** Bytes of all records since the last `BEGIN` of which there is an `END`. */
  #logBytes = 0
  /** Those since the `BEGIN` of the rewriting that goes on. */
  #rewrittenBytes = 0
  /** What is still to be written again; null when nothing is. */
  #rest: Iterator<[string, Buffer], undefined> | null = null
  /** Offset of the last `BEGIN`. */
  #beginOffset = 0
  /** An `END` is on its way to the device; until then nothing is written again. */
  #isEnding = false

  private constructor(log: Log, cycle: CommitCycle, limits: BrokerLimits, found: FoundState) {
    this.#log = log
    this.#cycle = cycle
    this.#limits = limits
    this.#batch = new RecordBatch(log, limits.entryBytes)
    this.#values = found.values
    this.#logBytes = found.logBytes
    for (const [key, value] of found.values) this.#liveBytes += recordBytes(key, value.length)
    // A crash may have come between the end of a rewriting and this.
    if (found.beginOffset > log.startOffset) log.discard(log.startOffset, found.beginOffset)
  }

  /** Reads all that is stored; rejects with `EngineError`. */
  static async load(log: Log, cycle: CommitCycle, limits: BrokerLimits): Promise<StateTable> {
    return new StateTable(log, cycle, limits, await readState(log))
  }

  get count(): number {
    return this.#values.size
  }

  /** Bytes of keys and values that live; in memory they take some more. */
  get bytes(): number {
    return this.#liveBytes
  }

  /** Bytes on disk. */
  get storedBytes(): number {
    return this.#log.storedBytes
  }

  /** The value as it was set, not to be changed by the caller. */
  get(key: string): Buffer | undefined {
    return this.#values.get(key)
  }

  /**
   * Part of the commit of this turn; who answers for it calls `requireSync` and waits for that.
   * The value is copied. Throws `LIMIT_EXCEEDED` when it or the key is too long.
   */
  set(key: string, value: Uint8Array): void {
    const { stateValueBytesMax } = this.#limits
    if (value.length > stateValueBytesMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `a state of ${value.length} bytes is above the limit of ${stateValueBytesMax}`,
      )
    }
    const keyBytes = Buffer.byteLength(key)
    if (keyBytes > KEY_BYTES_MAX) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `the name of a state has ${keyBytes} bytes, above the limit of ${KEY_BYTES_MAX}`,
      )
    }
    const before = this.#values.get(key)
    if (before !== undefined) this.#liveBytes -= recordBytes(key, before.length)
    this.#values.set(key, Buffer.from(value))
    this.#liveBytes += this.#write(KIND.SET, key, value)
    this.#cycle.touch(this)
  }

  /** Part of the commit of this turn. False when there was none. */
  delete(key: string): boolean {
    const before = this.#values.get(key)
    if (before === undefined) return false
    this.#liveBytes -= recordBytes(key, before.length)
    this.#values.delete(key)
    this.#write(KIND.DELETE, key, NOTHING)
    this.#cycle.touch(this)
    return true
  }

  /** Those whose key starts with `prefix`, in no order; looks at all there are. */
  *entries(prefix: string): Iterable<[key: string, value: Buffer]> {
    for (const entry of this.#values) if (entry[0].startsWith(prefix)) yield entry
  }

  stage(): void {
    if (this.#rest === null && this.#isDue()) this.#begin()
    if (this.#rest !== null) this.#rewriteSome(this.#rest)
    this.#batch.append()
  }

  /** The end of a rewriting is on the device: what was before it is needed no more. */
  committed(_ticket: number, error: EngineError | null): void {
    this.#isEnding = false
    if (error === null) this.#log.discard(this.#log.startOffset, this.#beginOffset)
  }

  #isDue(): boolean {
    if (this.#isEnding) return false
    const deadBytes = this.#logBytes - this.#liveBytes
    return deadBytes > Math.max(this.#limits.stateDeadBytesMin, this.#liveBytes)
  }

  #begin(): void {
    // In an entry of its own, so that all before it can go.
    this.#batch.append()
    this.#beginOffset = this.#log.nextOffset
    this.#rewrittenBytes = 0
    this.#rest = this.#values.entries()
    this.#write(KIND.BEGIN, '', NOTHING)
  }

  /** Values set meanwhile may come again, deleted ones do not: the iterator is a live one. */
  #rewriteSome(rest: Iterator<[string, Buffer], undefined>): void {
    let bytes = 0
    while (bytes < this.#limits.snapshotPieceBytes) {
      const next = rest.next()
      if (next.done === true) {
        this.#end()
        return
      }
      bytes += this.#write(KIND.SET, next.value[0], next.value[1])
    }
    this.#cycle.touch(this)
  }

  #end(): void {
    this.#write(KIND.END, '', NOTHING)
    this.#rest = null
    this.#isEnding = true
    this.#logBytes = this.#rewrittenBytes
    this.#cycle.requireSync()
    this.#cycle.onCommit(this)
  }

  /** Returns the bytes of the record. */
  #write(kind: number, key: string, value: Uint8Array): number {
    const size = recordBytes(key, value.length)
    const start = this.#batch.reserve(size)
    const { buffer } = this.#batch
    buffer.writeUInt32BE(size, start)
    buffer[start + 4] = kind
    buffer[start + 5] = 0
    buffer.writeUInt16BE(size - HEAD_BYTES - value.length, start + 6)
    buffer.write(key, start + HEAD_BYTES, 'utf8')
    buffer.set(value, start + size - value.length)
    this.#logBytes += size
    this.#rewrittenBytes += size
    return size
  }
}

interface FoundState {
  values: Map<string, Buffer>
  logBytes: number
  /** Where the last complete rewriting begins; 0 when there is none. */
  beginOffset: number
}

async function readState(log: Log): Promise<FoundState> {
  let found: FoundState = { values: new Map(), logBytes: 0, beginOffset: 0 }
  // What a rewriting brings back, should it turn out to be complete.
  let rewritten: FoundState | null = null
  for await (const { data, baseOffset } of readLog(log, log.startOffset)) {
    for (let at = 0; at < data.length; at += data.readUInt32BE(at)) {
      const kind = data[at + 4]
      if (kind === KIND.BEGIN) {
        rewritten = { values: new Map(), logBytes: 0, beginOffset: baseOffset }
      }
      applyRecord(found, data, at)
      if (rewritten !== null) applyRecord(rewritten, data, at)
      if (kind === KIND.END && rewritten !== null) {
        found = rewritten
        rewritten = null
      }
    }
  }
  return found
}

function applyRecord(found: FoundState, data: Buffer, start: number): void {
  const size = data.readUInt32BE(start)
  const valueStart = start + HEAD_BYTES + data.readUInt16BE(start + 6)
  const key = data.toString('utf8', start + HEAD_BYTES, valueStart)
  found.logBytes += size
  // Copied: a small value must not keep the entry it came in.
  if (data[start + 4] === KIND.SET) {
    found.values.set(key, Buffer.from(data.subarray(valueStart, start + size)))
  } else if (data[start + 4] === KIND.DELETE) found.values.delete(key)
}

function recordBytes(key: string, valueBytes: number): number {
  return HEAD_BYTES + Buffer.byteLength(key) + valueBytes
}
