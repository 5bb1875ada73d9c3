import { EngineError, type Log, type Retention } from '../../engine/contract.ts'
import type { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm, TransactionEnd } from '../../model/native-form.ts'
import type { CommitCycle, Stager } from '../commit-cycle.ts'
import type { BrokerLimits } from '../limits.ts'
import type { TracedOffsets } from '../tracing/traced-offsets.ts'
import {
  type Identified,
  messageRecordBytes,
  type MessageTimes,
  writeMessageRecord,
} from '../record.ts'
import { BatchDraft } from './batch-draft.ts'
import { BATCH_FLAG, BATCH_HEAD_BYTES, writeBatchHead } from './batch-record.ts'
import { cleanLogName, CompactedSource } from './compacted-source.ts'
import type { CompactionPolicy } from './compaction-policy.ts'
import type { AbortedTransaction } from './open-transactions.ts'
import { PartitionState } from './partition-state.ts'
import type { PiecesDone } from './piece.ts'
import { readPieces } from './piece-reader.ts'
import { FENCED, IN_TRANSACTION, OUT_OF_ORDER, type ProduceOutcome } from './produce-outcome.ts'
import type { ProducerFacts } from './producer-states.ts'
import type { RunWriter } from './run-writer.ts'
import type { StateValues } from './state-values.ts'
import { findMaxTimestamp, findTime, type TimedOffset } from './time-search.ts'

const NO_TARGETS: readonly Identified[] = []
const NO_TIMES: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }

/** What is kept by age goes in so many steps. */
const RETAINED_STRETCHES = 8

/** Where so much of a compacted log was deleted, it is written again without that. */
const DELETED_PART = 1 / 2

/** Told when something of a partition changed that a reader may wait for. */
export interface PartitionWatcher {
  /** More is on disk, more is stable, or its beginning was cut off. */
  partitionChanged(partition: Partition): void
}

/** What a partition is built from; all but the log is shared by many. */
export interface PartitionParts {
  readonly log: Log
  readonly cycle: CommitCycle
  readonly writer: RunWriter
  readonly limits: BrokerLimits
  readonly forms: ReadonlyMap<number, NativeForm>
  /** False: nothing of it survives a restart. */
  readonly isDurable: boolean
  /** Null: what is known beside the log is not stored, so all of it is read at a start. */
  readonly state: StateValues | null
  readonly now: () => number
}

/** A producer that is known here, and the transaction that it has open, if it has one. */
export interface PartitionProducer extends ProducerFacts {
  /** -1: none. */
  readonly transactionOffset: number
}

/** How `Partition.readFrom` reads. */
export interface ReadOptions {
  /** Nothing from this offset on is given. Default: the high watermark. */
  readonly below?: number | undefined
  /** What is on disk only is read into it: see `Log.read`. */
  readonly target?: Buffer | undefined
}

/**
 * One log of a topic, in which every message has an offset of its own. Messages come one by one, or
 * as batches that are stored and given back whole. Producers that number their messages have each
 * stored once; what belongs to a transaction is stable when its end is stored.
 */
export class Partition implements Stager {
  staged = false
  /** Messages that are traced; null: none is. Owned by `Tracer`. */
  traced: TracedOffsets | null = null
  /** The destination it is part of, and which part. */
  readonly topicId: number
  readonly index: number
  readonly log: Log
  /** Where its entries are, compacted ones too. */
  readonly source: CompactedSource
  /** It is closed or deleted. */
  isDisposed = false
  readonly #parts: PartitionParts
  readonly #state: PartitionState
  readonly #watchers: Set<PartitionWatcher> = new Set()
  /** Everything below it was deleted, whether it is still on disk or not. */
  #startOffset = 0
  #ageMsMax = Infinity
  /** Of what was never compacted, and since when there is some. */
  #dirtyBytes = 0
  #dirtySinceMs = 0
  /** Below it nothing is in the compacted log, as far as is known. */
  #cleanStart = 0
  /** Of what this turn brought. */
  #turnOffset = -1
  #turnBytes = 0
  #turnMaxMs = -1
  #turnHasMessages = false

  constructor(topicId: number, index: number, parts: PartitionParts) {
    this.topicId = topicId
    this.index = index
    this.log = parts.log
    this.#parts = parts
    this.source = new CompactedSource(parts.log)
    const key = `partition/${topicId}/${index}`
    this.#state = new PartitionState(key, { ...parts, source: this.source })
  }

  /** Reads what was stored before; nothing else may be asked of it until that is done. */
  async recover(openLog: (name: string) => Promise<Log>): Promise<void> {
    const { compacted } = this.#state
    if (compacted !== null) {
      const { end, generation } = compacted
      const clean = await openLog(cleanLogName(this.log.name, generation))
      this.source.switchTo(clean, end, generation)
    }
    this.#startOffset = await this.#state.recover()
    if (this.endOffset > this.source.cleanEnd) this.#dirtyBytes = this.log.storedBytes
    this.#dirtySinceMs = this.#parts.now()
    this.log.onCommitted(() => this.#committed())
  }

  /** The lowest offset that may be read. */
  get startOffset(): number {
    return Math.max(this.#startOffset, this.source.startOffset)
  }

  /** The offset that the next message gets. */
  get endOffset(): number {
    return this.#parts.writer.nextOffset(this.log)
  }

  /** Everything below it is on disk. */
  get highWatermark(): number {
    return this.log.committedOffset
  }

  /** Nothing below it belongs to a transaction whose end is not on disk. */
  get stableOffset(): number {
    return this.#state.transactions.stableOffset(this.log.committedOffset)
  }

  get storedBytes(): number {
    return this.source.storedBytes
  }

  /**
   * Appends a batch to the commit of this turn; who acknowledges it waits for that by
   * `Broker.onCommit`. The bytes are copied.
   */
  produce(draft: BatchDraft): ProduceOutcome {
    const { producers, transactions } = this.#state
    const { producerId } = draft
    if (producerId >= 0) {
      const check = producers.check(draft)
      if (check === 'duplicate') {
        return { kind: 'duplicate', baseOffset: producers.duplicateOffset }
      }
      if (check !== 'fits') return check === 'fenced' ? FENCED : OUT_OF_ORDER
      if (!draft.isTransactional && transactions.isOpen(producerId)) return IN_TRANSACTION
    }
    const baseOffset = this.#write(draft, draft.isTransactional ? BATCH_FLAG.TRANSACTIONAL : 0)
    if (producerId >= 0) {
      producers.append(draft, baseOffset, this.#parts.now())
      if (draft.isTransactional) transactions.wrote(producerId, baseOffset, draft.form)
    }
    return { kind: 'appended', baseOffset }
  }

  /** Appends a message that came by itself, as part of the commit of this turn. */
  append(draft: MessageDraft): number {
    const { writer } = this.#parts
    const size = messageRecordBytes(draft, 0, NO_TIMES)
    const start = writer.reserve(this.log, size)
    writeMessageRecord(writer.buffer, start, size, draft, NO_TARGETS, NO_TIMES)
    const offset = writer.take(1)
    this.#turnHasMessages = true
    this.#wrote(offset, size)
    return offset
  }

  /**
   * Stores that a transaction ended here, which takes one offset, as part of the commit of this
   * turn. `form` is that of the marker where nothing of the transaction stands here. Returns its
   * offset; -1 when a newer epoch of the producer has ended one since.
   */
  endTransaction(end: TransactionEnd, form: number): number {
    const { producers, transactions } = this.#state
    const { producerId, producerEpoch, isCommit } = end
    if (producers.isFenced(producerId, producerEpoch)) return -1
    const nowMs = this.#parts.now()
    const draft = new BatchDraft()
    draft.form = transactions.isOpen(producerId) ? transactions.formOf(producerId) : form
    const bytes = this.#batchForm(draft.form).marker({ ...end, timestampMs: nowMs })
    draft.setBytes(bytes, 0, bytes.length)
    draft.count = 1
    draft.isTransactional = true
    draft.producerId = producerId
    draft.producerEpoch = producerEpoch
    const flags = BATCH_FLAG.TRANSACTIONAL | BATCH_FLAG.MARKER | (isCommit ? BATCH_FLAG.COMMIT : 0)
    const offset = this.#write(draft, flags)
    producers.ended(producerId, producerEpoch, nowMs)
    transactions.ended(producerId, offset, isCommit)
    return offset
  }

  /**
   * Gives pieces in order, from the one that holds `offset` or the next that is kept on. One at
   * least, whatever its size, unless there is none below `below`.
   * Calls back in the call when they are in memory. `not-found`: the offset is not kept.
   */
  readFrom(
    offset: number,
    bytesMax: number,
    done: PiecesDone,
    { below = this.log.committedOffset, target }: ReadOptions = {},
  ): void {
    if (offset < this.startOffset || offset > this.endOffset) {
      const kept = `offsets ${this.startOffset} to ${this.endOffset} are kept`
      done(new EngineError('not-found', `offset ${offset} of log '${this.log.name}': ${kept}`), [])
      return
    }
    const { readAheadBytes } = this.#parts.limits
    readPieces(this.source, { from: offset, below, bytesMax, readAheadBytes, target }, done)
  }

  /** Whether a read from `offset` on has to wait for the disk. */
  isOnDiskOnly(offset: number): boolean {
    const isThere = offset >= this.startOffset && offset < this.highWatermark
    return isThere && this.source.peek(offset) === null
  }

  /** Tells `watcher` of changes until it says `unwatch`. */
  watch(watcher: PartitionWatcher): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: PartitionWatcher): void {
    this.#watchers.delete(watcher)
  }

  /** Transactions given up that have something between `from` and `to`, by first offset. */
  abortedWithin(from: number, to: number): readonly AbortedTransaction[] {
    return this.#state.transactions.abortedWithin(from, to)
  }

  /** Whether what a producer wrote at `offset` as part of a transaction was given up. */
  isAborted(producerId: number, offset: number): boolean {
    return this.#state.transactions.isAborted(producerId, offset)
  }

  /** The first offset of the transaction that a producer has open here; -1: it has none. */
  openTransactionOffset(producerId: number): number {
    return this.#state.transactions.firstOffsetOf(producerId)
  }

  get hasOpenTransactions(): boolean {
    return this.#state.transactions.openCount > 0
  }

  /** Who is known to have written here, in no order. */
  *producerList(): Iterable<PartitionProducer> {
    for (const facts of this.#state.producers.list()) {
      yield { ...facts, transactionOffset: this.openTransactionOffset(facts.producerId) }
    }
  }

  /** The first message on disk whose time is at or after `timestampMs`; null when none is. */
  findTime(timestampMs: number): Promise<TimedOffset | null> {
    return findTime(this, this.#state.times, { timestampMs, forms: this.#parts.forms })
  }

  /** The first of the messages on disk with the largest time; null when none has one. */
  maxTimestamp(): Promise<TimedOffset | null> {
    return findMaxTimestamp(this, this.#state.times, this.#parts.forms)
  }

  /** Cuts off everything below `offset`; stored with the commit of this turn. */
  deleteBefore(offset: number): void {
    if (offset <= this.startOffset) return
    if (offset > this.endOffset) throw new RangeError(`offset ${offset} is beyond the end`)
    const from = this.startOffset
    this.#startOffset = offset
    this.#state.startsAt(offset)
    this.#parts.cycle.touch(this)
    if (this.#parts.isDurable) this.#parts.cycle.requireSync()
    this.log.discard(from, offset)
    this.#tell()
  }

  /** Keeps so much, as far as whole stretches go; ages are those that messages claim. */
  setRetention(retention: Retention): void {
    const { ageMsMax, bytesMax } = retention
    this.#ageMsMax = ageMsMax ?? Infinity
    this.#state.stretchMsMax = this.#ageMsMax / RETAINED_STRETCHES
    this.log.setRetention(bytesMax === undefined ? {} : { bytesMax })
  }

  /** Cuts off what has become too old. */
  applyRetention(): void {
    const { now } = this.#parts
    const oldestMs = now() - this.#ageMsMax
    if (oldestMs <= 0 || this.startOffset >= this.highWatermark) return
    const kept = this.#state.times.firstSince(oldestMs)
    this.deleteBefore(Math.min(kept < 0 ? this.stableOffset : kept, this.stableOffset))
  }

  stage(): void {
    const { writer } = this.#parts
    writer.end(this.log)
    if (this.#turnOffset < 0) return
    if (this.#turnHasMessages) {
      // Only now the log has said at which time it took them.
      const last = this.log.peek(this.log.nextOffset - 1)
      this.#turnMaxMs = Math.max(this.#turnMaxMs, last?.timestampMs ?? this.#parts.now())
    }
    if (this.#dirtyBytes === 0) this.#dirtySinceMs = this.#parts.now()
    this.#dirtyBytes += this.#turnBytes
    this.#state.appended(this.#turnOffset, { bytes: this.#turnBytes, maxMs: this.#turnMaxMs })
    this.#turnOffset = -1
    this.#turnBytes = 0
    this.#turnMaxMs = -1
    this.#turnHasMessages = false
  }

  /** Whether half of what the compacted log holds, or more, was deleted since. */
  get isCompactedPartDeleted(): boolean {
    const { cleanEnd } = this.source
    if (cleanEnd <= this.#cleanStart || this.startOffset >= cleanEnd) return false
    return this.startOffset - this.#cleanStart >= (cleanEnd - this.#cleanStart) * DELETED_PART
  }

  /** Whether compacting it is worth it, or must be. */
  isCompactionDue({ dirtyRatioMin, dirtyBytesMin, lagMsMax }: CompactionPolicy): boolean {
    const { isDurable, now } = this.#parts
    if (!isDurable || this.isDisposed) return false
    if (this.isCompactedPartDeleted) return true
    if (this.stableOffset <= this.source.cleanEnd) return false
    if (now() - this.#dirtySinceMs > lagMsMax) return true
    const cleanBytes = this.source.clean?.storedBytes ?? 0
    const ratio = this.#dirtyBytes / Math.max(1, this.#dirtyBytes + cleanBytes)
    return this.#dirtyBytes >= dirtyBytesMin && ratio >= dirtyRatioMin
  }

  /**
   * All below `end` stands in a compacted log, and nothing any more of the aborted transactions
   * with these markers. Stored with the commit of this turn; `switchTo` comes after that.
   */
  noteCompaction(end: number, generation: number, gone: readonly number[]): void {
    this.stage()
    this.#state.transactions.forget(gone)
    this.#state.compacted = { generation, end }
    this.#state.snapshot()
  }

  /** All that was compacted was deleted since. */
  get hasOnlyDeletedCompacted(): boolean {
    return this.source.clean !== null && this.startOffset >= this.source.cleanEnd
  }

  /** There is no compacted log any more; stored with the commit of this turn. */
  noteNoCompaction(): void {
    this.#state.compacted = null
  }

  /** Reads from the compacted log from now on, and gives back what it takes the place of. */
  switchTo(
    clean: Log,
    made: {
      readonly start: number
      readonly end: number
      readonly generation: number
      readonly dirtyBytes: number
      readonly restSinceMs: number
    },
  ): void {
    this.source.switchTo(clean, made.end, made.generation)
    this.#cleanStart = made.start
    this.#dirtyBytes = Math.max(0, this.#dirtyBytes - made.dirtyBytes)
    if (this.stableOffset <= made.end) this.#dirtyBytes = 0
    this.#dirtySinceMs = made.restSinceMs
  }

  /** Stores what it knows, so that the next start need not read the log; part of this turn. */
  snapshot(): void {
    // What this turn brought is known already, so it must be in the log that the snapshot is of.
    this.stage()
    if (this.#state.bytesSince > 0) this.#state.snapshot()
  }

  /** It is closed or deleted: nobody is told of anything any more. */
  dispose(): void {
    this.isDisposed = true
    this.log.onCommitted(null)
    this.#watchers.clear()
  }

  /** What is stored of it beside its log goes with it. */
  forget(): void {
    this.#state.forget()
  }

  #write(draft: BatchDraft, flags: number): number {
    const { writer } = this.#parts
    const batchForm = this.#batchForm(draft.form)
    const size = BATCH_HEAD_BYTES + draft.end - draft.start
    const start = writer.reserve(this.log, size)
    const out = writer.buffer
    const baseOffset = writer.take(draft.count)
    writeBatchHead(out, start, draft, { size, baseOffset, flags })
    draft.bytes.copy(out, start + BATCH_HEAD_BYTES, draft.start, draft.end)
    batchForm.place(out, start + BATCH_HEAD_BYTES, start + size, baseOffset)
    if (draft.maxTimestampMs > this.#turnMaxMs) this.#turnMaxMs = draft.maxTimestampMs
    this.#wrote(baseOffset, size)
    return baseOffset
  }

  #wrote(offset: number, bytes: number): void {
    if (this.#turnOffset < 0) this.#turnOffset = offset
    this.#turnBytes += bytes
    if (this.#parts.isDurable) this.#parts.cycle.requireSync()
    if (!this.staged) this.#parts.cycle.touch(this)
  }

  #batchForm(id: number): NonNullable<NativeForm['batch']> {
    const batch = this.#parts.forms.get(id)?.batch
    if (batch === undefined) throw new Error(`native form ${id} knows no batches`)
    return batch
  }

  #committed(): void {
    this.#state.transactions.committed(this.log.committedOffset)
    // Not while a turn is stored: all values of a snapshot must be in one commit.
    if (this.#state.bytesSince > this.#parts.limits.partitionReplayBytesMax) this.snapshot()
    this.#tell()
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher.partitionChanged(this)
  }
}
