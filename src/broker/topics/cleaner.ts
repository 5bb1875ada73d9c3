import type { EngineError, Log, LogEntry } from '../../engine/contract.ts'
import type { BatchForm, KeepsMessage, NativeForm } from '../../model/native-form.ts'
import type { CommitCycle } from '../commit-cycle.ts'
import type { BrokerLimits } from '../limits.ts'
import { KIND } from '../record.ts'
import { firstOffsetOf, movedRecord } from '../shard.ts'
import { StoredMessage } from '../stored-message.ts'
import {
  BATCH_FLAG,
  BATCH_HEAD_BYTES,
  batchCountOf,
  batchOffsetOf,
  maxTimestampOf,
  producerIdOf,
} from './batch-record.ts'
import { CleanWriter } from './clean-writer.ts'
import { cleanLogName } from './compacted-source.ts'
import type { CompactionPolicy } from './compaction-policy.ts'
import { KeyOffsets } from './key-offsets.ts'
import type { Partition } from './partition.ts'

const READ_BYTES = 1024 * 1024
/** So much is given to the disk at once. */
const COMMIT_BYTES = 4 * 1024 * 1024

export interface CleanerParts {
  readonly cycle: CommitCycle
  readonly limits: BrokerLimits
  readonly forms: ReadonlyMap<number, NativeForm>
  readonly now: () => number
  readonly openLog: (name: string) => Promise<Log>
  readonly deleteLog: (name: string) => Promise<void>
}

/** One record on the way through the cleaner. */
interface Visited {
  readonly data: Buffer
  readonly start: number
  readonly end: number
  readonly kind: number
  readonly offset: number
  readonly nextOffset: number
  readonly timestampMs: number
  /** When it was first compacted; -1: never. */
  readonly firstMs: number
}

/**
 * Compacts one partition once: everything up to a clean point is written into a new log without
 * what is superseded, and that log takes the place of the one before and of the beginning of the
 * log that is written. A crash at any time leaves either the old state or the new one.
 */
export class PartitionCleaning {
  readonly #partition: Partition
  readonly #policy: CompactionPolicy
  readonly #parts: CleanerParts
  readonly #keys: KeyOffsets
  readonly #view = new StoredMessage()
  readonly #nowMs: number
  /** Markers of aborted transactions of which nothing is left. */
  readonly #forgotten: number[] = []
  #dirtyBytes = 0
  /** Of the first message that was left alone. */
  #restSinceMs: number
  #isFailed = false

  constructor(partition: Partition, policy: CompactionPolicy, parts: CleanerParts) {
    this.#partition = partition
    this.#policy = policy
    this.#parts = parts
    this.#keys = new KeyOffsets(parts.limits.compactedKeysMax)
    this.#nowMs = parts.now()
    this.#restSinceMs = this.#nowMs
  }

  /** Resolves when it is done, true when there was something to do. */
  async run(): Promise<boolean> {
    const { source } = this.#partition
    const end = await this.#gatherKeys()
    const { startOffset, isDisposed } = this.#partition
    // With nothing new it may still be worth it, for what was deleted.
    const isWorthIt = end > source.cleanEnd || this.#partition.isCompactedPartDeleted
    if (!isWorthIt || isDisposed) return false
    const generation = source.generation + 1
    const name = cleanLogName(source.name, generation)
    // What a crash or a failure left of an earlier try.
    await this.#parts.deleteLog(name)
    const log = await this.#parts.openLog(name)
    try {
      await this.#write(log, end)
      if (this.#partition.isDisposed) return false
      const before = source.clean
      this.#partition.noteCompaction(end, generation, this.#forgotten)
      await this.#committed()
      if (this.#partition.isDisposed) return false
      this.#partition.switchTo(log, {
        start: startOffset,
        end,
        generation,
        dirtyBytes: this.#dirtyBytes,
        restSinceMs: this.#restSinceMs,
      })
      if (before !== null) await this.#parts.deleteLog(before.name)
      return true
    } catch (error) {
      this.#isFailed = true
      throw error
    } finally {
      if (this.#isFailed || this.#partition.isDisposed) await this.#parts.deleteLog(name)
    }
  }

  /** Looks at what is new; returns the offset up to which it may be compacted. */
  async #gatherKeys(): Promise<number> {
    const { source, stableOffset } = this.#partition
    const youngestMs = this.#nowMs - this.#policy.lagMsMin
    let end = source.cleanEnd
    for await (const visited of this.#visit(end, stableOffset)) {
      const isYoung = this.#policy.lagMsMin > 0 && this.#timeOf(visited) > youngestMs
      if (isYoung || (this.#keys.isFull && end > source.cleanEnd)) {
        this.#restSinceMs = this.#timeOf(visited)
        break
      }
      this.#noteKeys(visited)
      this.#dirtyBytes += visited.end - visited.start
      end = visited.nextOffset
    }
    return end
  }

  #noteKeys(visited: Visited): void {
    const { offset } = visited
    if (visited.kind !== KIND.BATCH) {
      const key = this.#keyOf(visited)
      if (key !== null) this.#keys.set(key, offset)
      return
    }
    if (this.#isMarker(visited) || this.#isAborted(visited)) return
    this.#sift(visited, (key, delta) => {
      if (key !== null) this.#keys.set(key, offset + delta)
      return false
    })
  }

  async #write(log: Log, end: number): Promise<void> {
    const writer = new CleanWriter(log, this.#parts.limits.entryBytes)
    let committedBytes = 0
    for await (const visited of this.#visit(0, end)) {
      if (this.#partition.isDisposed) return
      if (visited.nextOffset <= this.#partition.startOffset) continue
      this.#copy(visited, writer)
      if (writer.appendedBytes - committedBytes < COMMIT_BYTES) continue
      committedBytes = writer.appendedBytes
      await this.#committed()
    }
    writer.finish(end)
    await this.#committed()
  }

  #copy(visited: Visited, writer: CleanWriter): void {
    const { data, start, end, offset } = visited
    const firstMs = visited.firstMs < 0 ? this.#nowMs : visited.firstMs
    if (visited.kind !== KIND.BATCH) {
      const key = this.#keyOf(visited)
      if (key !== null && this.#keys.isSuperseded(key, offset)) return
      const record = data.subarray(start, end)
      const isMoved = visited.kind === KIND.MOVED
      const moved = isMoved ? record : movedRecord(offset, record, visited.timestampMs, [])
      writer.add(offset, firstMs, [moved])
      return
    }
    const isOver = visited.firstMs >= 0 && firstMs + this.#policy.tombstoneMs < this.#nowMs
    if (this.#isMarker(visited)) {
      if (!isOver) writer.add(offset, firstMs, [data.subarray(start, end)])
      else if ((data[start + 5]! & BATCH_FLAG.COMMIT) === 0) this.#forgotten.push(offset)
      return
    }
    if (this.#isAborted(visited)) return
    let maxMs = -1
    const kept = this.#sift(visited, (key, delta, isTombstone, timestampMs) => {
      const isSuperseded = key !== null && this.#keys.isSuperseded(key, offset + delta)
      const isDeleted = offset + delta < this.#partition.startOffset
      if (isDeleted || isSuperseded || (isTombstone && isOver)) return false
      maxMs = Math.max(maxMs, timestampMs)
      return true
    })
    if (kept === null) return
    const head = Buffer.from(data.subarray(start, start + BATCH_HEAD_BYTES))
    head.writeUInt32BE(BATCH_HEAD_BYTES + kept.length, 0)
    head.writeDoubleBE(maxMs, 36)
    writer.add(offset, firstMs, [head, kept])
  }

  /** What `keeps` leaves of a batch; one that cannot be looked into stays as it is. */
  #sift(visited: Visited, keeps: KeepsMessage): Buffer | null {
    const { data, start, end } = visited
    const form = this.#batchForm(data[start + 7]!)
    const native = data.subarray(start + BATCH_HEAD_BYTES, end)
    if (form?.compact === undefined) return native
    try {
      return form.compact(native, 0, native.length, keeps)
    } catch {
      // Readers of its own protocol may make more of it than the broker can.
      return native
    }
  }

  #batchForm(id: number): BatchForm | undefined {
    return this.#parts.forms.get(id)?.batch
  }

  /** The routing key of a message that came by itself through an exchange; else null. */
  #keyOf({ data, start, timestampMs }: Visited): Buffer | null {
    const view = this.#view
    view.set(data, start, timestampMs)
    const exchangeBytes = data[view.addressStart] ?? 0
    const keyStart = view.addressStart + 2 + exchangeBytes
    if (exchangeBytes === 0 || keyStart >= view.addressEnd) return null
    return data.subarray(keyStart, view.addressEnd)
  }

  #timeOf({ kind, data, start, timestampMs }: Visited): number {
    const ownMs = kind === KIND.BATCH ? maxTimestampOf(data, start) : -1
    return ownMs < 0 ? timestampMs : ownMs
  }

  #isMarker({ data, start }: Visited): boolean {
    return (data[start + 5]! & BATCH_FLAG.MARKER) !== 0
  }

  #isAborted({ data, start, offset }: Visited): boolean {
    if ((data[start + 5]! & BATCH_FLAG.TRANSACTIONAL) === 0) return false
    return this.#partition.isAborted(producerIdOf(data, start), offset)
  }

  /** The records from `from` on that begin below `below`, in order. */
  async *#visit(from: number, below: number): AsyncIterable<Visited> {
    const { source } = this.#partition
    let at = Math.max(from, source.startOffset)
    while (at < below) {
      const entries = await readSome(this.#partition, at)
      if (entries.length === 0) return
      for (const entry of entries) {
        for (const visited of recordsOf(entry)) {
          if (visited.offset < at) continue
          if (visited.offset >= below) return
          yield visited
          at = visited.nextOffset
        }
        at = Math.max(at, entry.baseOffset + entry.count)
      }
    }
  }

  #committed(): Promise<void> {
    return committed(this.#parts.cycle)
  }
}

/** Gives back the compacted log of a partition, all of which was deleted. */
export async function dropCompacted(partition: Partition, parts: CleanerParts): Promise<void> {
  const { clean } = partition.source
  if (clean === null) return
  partition.noteNoCompaction()
  await committed(parts.cycle)
  if (partition.isDisposed) return
  partition.source.drop()
  await parts.deleteLog(clean.name)
}

/** Resolves when what this turn brought is on disk. */
function committed(cycle: CommitCycle): Promise<void> {
  return new Promise((resolve, reject) => {
    cycle.requireSync()
    cycle.onCommit({
      committed: (_ticket: number, error: EngineError | null) => {
        if (error === null) resolve()
        else reject(error)
      },
    })
  })
}

function readSome({ source }: Partition, offset: number): Promise<readonly LogEntry[]> {
  return new Promise((resolve, reject) => {
    source.read(offset, READ_BYTES, (error, entries) => {
      if (error === null) resolve(entries)
      else reject(error)
    })
  })
}

function* recordsOf(entry: LogEntry): Iterable<Visited> {
  const { data } = entry
  let here = entry.baseOffset
  let firstMs = -1
  for (let start = 0; start < data.length; start += data.readUInt32BE(start)) {
    const kind = data[start + 4]!
    if (kind === KIND.COMPACTED) firstMs = data.readDoubleBE(start + 8)
    if (kind !== KIND.BATCH && kind !== KIND.MESSAGE && kind !== KIND.MOVED) continue
    const end = start + data.readUInt32BE(start)
    let offset = here
    if (kind === KIND.BATCH) offset = batchOffsetOf(data, start)
    else if (kind === KIND.MOVED) offset = firstOffsetOf(data, start)
    here = offset + (kind === KIND.BATCH ? batchCountOf(data, start) : 1)
    const { timestampMs } = entry
    yield { data, start, end, kind, offset, nextOffset: here, timestampMs, firstMs }
  }
}
