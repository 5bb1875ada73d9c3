import type { Partition, PartitionWatcher, Piece, PiecesDone } from '../../broker/index.ts'
import { BATCH_FIELD, CODEC, ERROR } from '../../codec/kafka/index.ts'
import type { Timer } from '../../lib/clock.ts'
import type { TurnTask } from '../../lib/turn.ts'
import { type Forms, recordsOfMessages } from './foreign-records.ts'
import type { BlockRead } from './block-reads.ts'
import type { KafkaShared } from './request-context.ts'

/** Who got so much of a partition at once is behind, and will read on. */
const READ_AHEAD_FROM_BYTES = 64 * 1024
/** Who asks for less is given it out of the engine's cache, which reads more at once. */
const BLOCK_BYTES_MIN = 64 * 1024

type ReadError = NonNullable<Parameters<PiecesDone>[0]>

/** The lowest bits of the attributes. */
const CODEC_MASK = 7

export interface PartitionAsked {
  readonly partition: Partition
  readonly offset: number
  readonly bytesMax: number
}

export interface FetchLimits {
  readonly isCommitted: boolean
  readonly bytesMin: number
  readonly bytesMax: number
  readonly waitMs: number
  /** The client knows zstd. */
  readonly zstd: boolean
  readonly forms: Forms
  /** Nobody waits for the answer any more. */
  readonly isOver: () => boolean
}

/** What was read of one partition so far. */
export class FetchSlot {
  readonly partition: Partition
  readonly firstOffset: number
  readonly bytesMax: number
  nextOffset: number
  errorCode: number = ERROR.NONE
  bytes = 0
  readonly chunks: Uint8Array[] = []
  aborted: ReturnType<Partition['abortedWithin']> | null = null
  /** Being read from disk. */
  isLoading = false
  isFull = false

  constructor({ partition, offset, bytesMax }: PartitionAsked) {
    this.partition = partition
    this.firstOffset = offset
    this.nextOffset = offset
    this.bytesMax = bytesMax
  }
}

/**
 * One Fetch: reads each partition in the order asked, until enough bytes are there, something is
 * wrong with a partition, or the time is over. What was read stays; new batches are read on top.
 *
 * `bytesMax` and the limits of partitions are soft, as in Kafka: the first batch of the answer is
 * given whatever its size, or a consumer could never pass it.
 */
export class FetchRead implements PartitionWatcher, TurnTask {
  turnQueued = false
  readonly #shared: KafkaShared
  readonly #limits: FetchLimits
  readonly #slots: FetchSlot[] = []
  /** Hold what was read from disk. */
  readonly #blocks: Buffer[] = []
  #bytes = 0
  #loading = 0
  /** What reads that are on their way may bring: or a Fetch of all partitions would read them all. */
  #loadingBytes = 0
  #hasFailed = false
  /** A batch did not fit into the answer: those of other partitions would be read in vain. */
  #isFull = false
  #isWatching = false
  #isDone = false
  #isReading = false
  #timer: Timer | null = null
  #done: () => void = () => {}

  constructor(shared: KafkaShared, limits: FetchLimits) {
    this.#shared = shared
    this.#limits = limits
  }

  /** Of records, in all partitions. */
  get bytes(): number {
    return this.#bytes
  }

  /** Something is wrong that must be answered at once. */
  failed(): void {
    this.#hasFailed = true
  }

  add(asked: PartitionAsked): FetchSlot {
    const slot = new FetchSlot(asked)
    this.#slots.push(slot)
    return slot
  }

  /** The answer has left; what the slots hold is gone with this call. */
  release(): void {
    for (const block of this.#blocks) this.#shared.blocks.give(block)
    this.#blocks.length = 0
  }

  /** Calls `done` once, perhaps in this call. */
  run(done: () => void): void {
    this.#done = done
    this.#read()
    if (this.#isDone || this.#loading > 0) return
    this.#park()
  }

  partitionChanged(): void {
    if (!this.turnQueued && !this.#isDone) this.#shared.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#isDone) return
    if (this.#limits.isOver()) this.#finish()
    else this.#read()
  }

  #park(): void {
    if (this.#isWatching || this.#isDone) return
    this.#isWatching = true
    for (const { partition } of this.#slots) partition.watch(this)
    this.#timer = this.#shared.clock.setTimer(this.#limits.waitMs, () => {
      this.#timer = null
      // What is on its way from the disk is waited for: it is why the answer is not empty.
      if (this.#loading === 0) this.#finish()
      else this.#hasFailed = true
    })
  }

  #read(): void {
    this.#isReading = true
    for (const slot of this.#slots) {
      if (this.#isFull || this.#bytes + this.#loadingBytes >= this.#limits.bytesMax) break
      let before = -1
      while (!slot.isLoading && !slot.isFull && slot.nextOffset !== before) {
        before = slot.nextOffset
        this.#readSlot(slot)
      }
    }
    this.#isReading = false
    this.#check()
  }

  #check(): void {
    if (this.#isDone || this.#loading > 0) return
    const isEnough = this.#bytes >= Math.max(this.#limits.bytesMin, 0)
    const mustAnswer = this.#hasFailed || this.#isFull || this.#limits.waitMs <= 0
    if (isEnough || mustAnswer) this.#finish()
    else this.#park()
  }

  #readSlot(slot: FetchSlot): void {
    const { partition } = slot
    const { isCommitted, bytesMax } = this.#limits
    if (slot.nextOffset < partition.startOffset || slot.nextOffset > partition.highWatermark) {
      if (slot.chunks.length > 0) slot.isFull = true
      else this.#refuse(slot, ERROR.OFFSET_OUT_OF_RANGE)
      return
    }
    const limit = isCommitted ? partition.stableOffset : partition.highWatermark
    if (slot.nextOffset >= limit) return
    const left = bytesMax - this.#bytes - this.#loadingBytes
    const room = Math.max(Math.min(slot.bytesMax - slot.bytes, left), 1)
    slot.isLoading = true
    this.#loading++
    this.#loadingBytes += room
    const block = this.#blockFor(slot, room)
    const done: PiecesDone = (error, pieces) => {
      slot.isLoading = false
      this.#loading--
      this.#loadingBytes -= room
      if (error === null) this.#take(slot, pieces, limit)
      else this.#readFailed(slot, error)
      // Another read would bring what does not fit any more.
      if (block !== null && slot.bytes >= slot.bytesMax / 2) slot.isFull = true
      if (!this.#isReading) this.#continue()
    }
    if (block === null) partition.readFrom(slot.nextOffset, room, done)
    else block.take(done)
  }

  #blockFor({ partition, nextOffset }: FetchSlot, room: number): BlockRead | null {
    const { blocks } = this.#shared
    let read = blocks.takeAhead(partition, nextOffset)
    if (read === null && room >= BLOCK_BYTES_MIN && partition.isOnDiskOnly(nextOffset)) {
      read = blocks.begin(partition, nextOffset, room)
    }
    if (read !== null) this.#blocks.push(read.block)
    return read
  }

  #continue(): void {
    if (this.#isDone) return
    if (this.#limits.isOver()) this.#finish()
    else this.#read()
  }

  #take(slot: FetchSlot, pieces: readonly Piece[], limit: number): void {
    let at = 0
    const before = slot.nextOffset
    while (at < pieces.length && pieces[at]!.baseOffset < limit) {
      const piece = pieces[at]!
      let next = at + 1
      let chunk: Buffer
      if (isForeign(piece)) {
        while (
          next < pieces.length &&
          isForeign(pieces[next]!) &&
          pieces[next]!.baseOffset < limit
        ) {
          next++
        }
        chunk = recordsOfMessages(this.#limits.forms, pieces, { from: at, to: next })
      } else if (!this.#limits.zstd && isZstd(piece)) {
        if (slot.chunks.length === 0) this.#refuse(slot, ERROR.UNSUPPORTED_COMPRESSION_TYPE)
        slot.isFull = true
        return
      } else chunk = piece.data.subarray(piece.start, piece.end)
      const isFirst = this.#bytes === 0
      const isTooMuch =
        slot.bytes + chunk.length > slot.bytesMax ||
        this.#bytes + chunk.length > this.#limits.bytesMax
      if (isTooMuch && !isFirst) {
        slot.isFull = true
        if (this.#bytes + chunk.length > this.#limits.bytesMax) this.#isFull = true
        break
      }
      slot.chunks.push(chunk)
      slot.bytes += chunk.length
      this.#bytes += chunk.length
      slot.nextOffset = pieces[next - 1]!.nextOffset
      at = next
      if (isTooMuch) {
        slot.isFull = true
        break
      }
    }
    if (slot.nextOffset === before) slot.isFull = true
  }

  #readFailed(slot: FetchSlot, error: ReadError): void {
    // Retention was faster than the read.
    if (error.kind === 'not-found') this.#refuse(slot, ERROR.OFFSET_OUT_OF_RANGE)
    else {
      const { topicId, index } = slot.partition
      this.#shared.log.error({ err: error, topicId, partition: index }, 'a read failed')
      this.#refuse(slot, ERROR.KAFKA_STORAGE_ERROR)
    }
  }

  #refuse(slot: FetchSlot, errorCode: number): void {
    slot.errorCode = errorCode
    slot.isFull = true
    this.#hasFailed = true
  }

  #finish(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#timer?.cancel()
    if (this.#isWatching) for (const { partition } of this.#slots) partition.unwatch(this)
    if (this.#limits.isCommitted) {
      for (const slot of this.#slots) {
        slot.aborted = slot.partition.abortedWithin(slot.firstOffset, slot.nextOffset)
      }
    }
    this.#done()
    this.#readAhead()
  }

  #readAhead(): void {
    const { blocks } = this.#shared
    for (const { partition, nextOffset, bytes, bytesMax } of this.#slots) {
      if (bytes >= READ_AHEAD_FROM_BYTES) blocks.beginAhead(partition, nextOffset, bytesMax)
    }
  }
}

/** A message that came by itself; in a topic there are no batches of other protocols. */
function isForeign(piece: Piece): boolean {
  return piece.kind === 'message'
}

function isZstd({ data, start }: Piece): boolean {
  return (data.readInt16BE(start + BATCH_FIELD.ATTRIBUTES) & CODEC_MASK) === CODEC.ZSTD
}
