import type { LogEntry } from '../../engine/contract.ts'
import { readLog } from '../log-reader.ts'
import { KIND } from '../record.ts'
import {
  BATCH_FLAG,
  baseSequenceOf,
  batchCountOf,
  batchOffsetOf,
  maxTimestampOf,
  producerEpochOf,
  producerIdOf,
} from './batch-record.ts'
import type { CompactedSource } from './compacted-source.ts'
import { OpenTransactions } from './open-transactions.ts'
import type { PartitionParts } from './partition.ts'
import { ProducerStates } from './producer-states.ts'
import { TimeIndex } from './time-index.ts'

const VERSION = 1
const HEAD_BYTES = 1 + 4 + 8

/**
 * All that is known of a partition beside its log. It follows from the log; a snapshot spares a
 * start to read all of that.
 *
 * Kept as values `<key>`, `<key>/1`, `<key>/2`... which together are
 *
 *     0 u8 version | 1 u32 count of values | 5 f64 offset up to which it knows the log
 *     13.. producers, transactions, times
 *
 * and `<key>/start`, the offset below which all was deleted, as f64; and `<key>/clean`, of the
 * compacted part: u32 how often that was done, f64 where it ends.
 */
export class PartitionState {
  readonly producers: ProducerStates
  readonly transactions: OpenTransactions = new OpenTransactions()
  readonly times: TimeIndex
  /** A stretch of the time index takes nothing more when it is as old as that. */
  stretchMsMax: number = Infinity
  readonly #key: string
  readonly #parts: PartitionParts & { readonly source: CompactedSource }
  #bytesSince = 0
  #valueCount = 0

  constructor(key: string, parts: PartitionParts & { readonly source: CompactedSource }) {
    this.#key = key
    this.#parts = parts
    const { partitionProducersMax, partitionStretchesMax, partitionStretchBytes } = parts.limits
    this.producers = new ProducerStates(partitionProducersMax)
    this.times = new TimeIndex({
      pointsMax: partitionStretchesMax,
      stretchBytes: partitionStretchBytes,
    })
  }

  /** Bytes appended since the last snapshot, or to be read at a start beside it. */
  get bytesSince(): number {
    return this.#bytesSince
  }

  /** Resolves to the offset below which everything was deleted. */
  async recover(): Promise<number> {
    const { log, state, isDurable, source } = this.#parts
    if (!isDurable) return 0
    const startOffset = state?.get(`${this.#key}/start`)?.readDoubleBE(0) ?? 0
    const knownOffset = this.#readSnapshot()
    const from = Math.max(knownOffset, log.startOffset)
    if (from < log.nextOffset) {
      for await (const entry of readLog(log, from)) this.#replay(entry)
    }
    this.transactions.committed(log.committedOffset)
    this.trimBelow(Math.max(startOffset, source.startOffset))
    return startOffset
  }

  /** What one turn brought from `offset` on. */
  appended(offset: number, stored: { readonly bytes: number; readonly maxMs: number }): void {
    this.times.add(offset, { ...stored, nowMs: this.#parts.now() }, this.stretchMsMax)
    this.#bytesSince += stored.bytes
    this.producers.evict((producerId) => this.transactions.isOpen(producerId))
  }

  startsAt(offset: number): void {
    this.trimBelow(offset)
    const value = Buffer.allocUnsafe(8)
    value.writeDoubleBE(offset)
    this.#parts.state?.set(`${this.#key}/start`, value)
  }

  /** What is compacted, by what is stored; null when nothing is. */
  get compacted(): { readonly generation: number; readonly end: number } | null {
    const value = this.#parts.state?.get(`${this.#key}/clean`)
    if (value === undefined) return null
    return { generation: value.readUInt32BE(0), end: value.readDoubleBE(4) }
  }

  set compacted(compacted: { readonly generation: number; readonly end: number } | null) {
    if (compacted === null) {
      this.#parts.state?.delete(`${this.#key}/clean`)
      return
    }
    const value = Buffer.allocUnsafe(12)
    value.writeUInt32BE(compacted.generation, 0)
    value.writeDoubleBE(compacted.end, 4)
    this.#parts.state?.set(`${this.#key}/clean`, value)
  }

  trimBelow(offset: number): void {
    this.transactions.trimBelow(offset)
    this.times.trimBelow(offset)
  }

  /** Keeps all that follows from what was appended to the log. */
  snapshot(): void {
    const { state, limits, now, log, source } = this.#parts
    if (state === null) return
    this.producers.expire(now() - limits.producerExpiryMs, (producerId) => {
      return this.transactions.isOpen(producerId)
    })
    this.trimBelow(source.startOffset)
    const encoded = this.#encode(log.nextOffset)
    const pieceBytes = limits.snapshotPieceBytes
    const count = Math.ceil(encoded.length / pieceBytes)
    encoded.writeUInt32BE(count, 1)
    for (let index = 0; index < count; index++) {
      const piece = encoded.subarray(index * pieceBytes, (index + 1) * pieceBytes)
      state.set(this.#valueKey(index), piece)
    }
    for (let index = count; index < this.#valueCount; index++) state.delete(this.#valueKey(index))
    this.#valueCount = count
    this.#bytesSince = 0
  }

  /** Deletes what is stored of it. */
  forget(): void {
    const { state } = this.#parts
    if (state === null) return
    for (let index = 0; index < this.#valueCount; index++) state.delete(this.#valueKey(index))
    state.delete(`${this.#key}/start`)
    state.delete(`${this.#key}/clean`)
  }

  #valueKey(index: number): string {
    return index === 0 ? this.#key : `${this.#key}/${index}`
  }

  #encode(knownOffset: number): Buffer {
    const { producers, transactions, times } = this
    const size =
      HEAD_BYTES + producers.encodedBytes + transactions.encodedBytes + times.encodedBytes
    const out = Buffer.allocUnsafe(size)
    out.writeUInt8(VERSION, 0)
    out.writeDoubleBE(knownOffset, 5)
    let at = producers.encode(out, HEAD_BYTES)
    at = transactions.encode(out, at)
    times.encode(out, at)
    return out
  }

  /** Returns the offset from which on the log must be read. */
  #readSnapshot(): number {
    const { state, log } = this.#parts
    const first = state?.get(this.#key)
    if (first === undefined) return 0
    this.#valueCount = first.readUInt32BE(1)
    const pieces = [first]
    for (let index = 1; index < this.#valueCount; index++) {
      pieces.push(state!.get(this.#valueKey(index)) ?? Buffer.alloc(0))
    }
    const bytes = Buffer.concat(pieces)
    const knownOffset = bytes.readDoubleBE(5)
    // It was stored in a commit after what it speaks of, so it cannot know of more.
    if (bytes.readUInt8(0) !== VERSION || knownOffset > log.nextOffset) return 0
    let at = this.producers.decode(bytes, HEAD_BYTES)
    at = this.transactions.decode(bytes, at)
    this.times.decode(bytes, at)
    return knownOffset
  }

  #replay(entry: LogEntry): void {
    const { data, baseOffset, timestampMs } = entry
    let maxMs = -1
    for (let at = 0; at < data.length; at += data.readUInt32BE(at)) {
      if (data[at + 4] === KIND.BATCH) {
        this.#replayBatch(data, at, timestampMs)
        maxMs = Math.max(maxMs, maxTimestampOf(data, at))
      } else maxMs = Math.max(maxMs, timestampMs)
    }
    const stored = { bytes: data.length, maxMs, nowMs: timestampMs }
    this.times.add(baseOffset, stored, this.stretchMsMax)
    this.#bytesSince += data.length
  }

  #replayBatch(data: Buffer, start: number, timestampMs: number): void {
    const producerId = producerIdOf(data, start)
    if (producerId < 0) return
    const flags = data[start + 5]!
    const offset = batchOffsetOf(data, start)
    const producerEpoch = producerEpochOf(data, start)
    if ((flags & BATCH_FLAG.MARKER) !== 0) {
      this.producers.ended(producerId, producerEpoch, timestampMs)
      this.transactions.ended(producerId, offset, (flags & BATCH_FLAG.COMMIT) !== 0)
      return
    }
    const batch = {
      producerId,
      producerEpoch,
      baseSequence: baseSequenceOf(data, start),
      count: batchCountOf(data, start),
    }
    this.producers.append(batch, offset, timestampMs)
    if ((flags & BATCH_FLAG.TRANSACTIONAL) !== 0) {
      this.transactions.wrote(producerId, offset, data[start + 7]!)
    }
  }
}
