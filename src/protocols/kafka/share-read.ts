import type {
  LeasedRange,
  Partition,
  PartitionWatcher,
  Piece,
  PiecesDone,
  ReadStretch,
  SharedPartition,
  SharedPartitionWatcher,
} from '../../broker/index.ts'
import { ERROR } from '../../codec/kafka/index.ts'
import type { Timer } from '../../lib/clock.ts'
import type { TurnTask } from '../../lib/turn.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { type Forms, recordsOfMessages } from './foreign-records.ts'
import type { KafkaShared } from './request-context.ts'

type ReadError = NonNullable<Parameters<PiecesDone>[0]>

export interface ShareReadLimits {
  readonly memberId: string
  readonly recordsMax: number
  /** No more messages than `recordsMax`, even if that cuts a batch. */
  readonly isExact: boolean
  readonly bytesMax: number
  readonly waitMs: number
  /** Messages of open and aborted transactions are not given out. */
  readonly isCommitted: boolean
  readonly forms: Forms
  /** Nobody waits for the answer any more. */
  readonly isOver: () => boolean
}

/** What one partition gave. */
export class ShareSlot {
  readonly partition: Partition
  readonly shared: SharedPartition
  errorCode: number = ERROR.NONE
  bytes = 0
  readonly chunks: Uint8Array[] = []
  leased: readonly LeasedRange[] = []
  isLoading = false

  constructor(partition: Partition, shared: SharedPartition) {
    this.partition = partition
    this.shared = shared
  }
}

/**
 * One ShareFetch: leases messages of each partition in the order asked until it has enough, and
 * waits while there are none.
 */
export class ShareRead implements PartitionWatcher, SharedPartitionWatcher, TurnTask {
  turnQueued = false
  readonly #shared: KafkaShared
  readonly #limits: ShareReadLimits
  readonly #slots: ShareSlot[] = []
  #bytes = 0
  #count = 0
  #loading = 0
  #isReading = false
  #mustAnswer = false
  #isWatching = false
  #isDone = false
  #timer: Timer | null = null
  #done: () => void = () => {}

  constructor(shared: KafkaShared, limits: ShareReadLimits) {
    this.#shared = shared
    this.#limits = limits
  }

  /** Something is there to be answered at once. */
  hurry(): void {
    this.#mustAnswer = true
  }

  add(partition: Partition, shared: SharedPartition): ShareSlot {
    const slot = new ShareSlot(partition, shared)
    this.#slots.push(slot)
    return slot
  }

  /** Calls `done` once, perhaps in this call. */
  run(done: () => void): void {
    this.#done = done
    this.#read()
  }

  partitionChanged(): void {
    this.#wake()
  }

  sharedPartitionChanged(): void {
    this.#wake()
  }

  runTurn(): void {
    if (this.#isDone) return
    if (this.#limits.isOver()) this.#finish()
    else this.#read()
  }

  #wake(): void {
    if (!this.turnQueued && !this.#isDone) this.#shared.turn.dispatch(this)
  }

  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    for (const slot of this.#slots) {
      if (this.#isFull()) break
      if (slot.leased.length === 0 && !slot.isLoading) this.#readSlot(slot)
    }
    this.#isReading = false
    this.#check()
  }

  #isFull(): boolean {
    return this.#count >= this.#limits.recordsMax || this.#bytes >= this.#limits.bytesMax
  }

  #check(): void {
    if (this.#isDone || this.#loading > 0) return
    if (this.#mustAnswer || this.#bytes > 0 || this.#limits.waitMs <= 0) this.#finish()
    else this.#park()
  }

  #park(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    for (const { partition, shared } of this.#slots) {
      partition.watch(this)
      shared.watch(this)
    }
    this.#timer = this.#shared.clock.setTimer(this.#limits.waitMs, () => {
      this.#timer = null
      this.#mustAnswer = true
      this.#check()
    })
  }

  #readSlot(slot: ShareSlot): void {
    const { partition, shared } = slot
    shared.trim(partition.startOffset)
    const { isCommitted, bytesMax } = this.#limits
    const below = isCommitted ? partition.stableOffset : partition.highWatermark
    const offset = shared.nextFor(this.#limits.memberId)
    if (offset < 0 || offset >= below) return
    slot.isLoading = true
    this.#loading++
    partition.readFrom(
      offset,
      Math.max(bytesMax - this.#bytes, 1),
      (error, pieces) => {
        slot.isLoading = false
        this.#loading--
        if (error !== null) this.#failed(slot, error)
        else if (!this.#isDone && !this.#limits.isOver())
          this.#lease(slot, { from: offset, pieces }, below)
        if (!this.#isReading) this.#read()
      },
      { below },
    )
  }

  #lease(
    slot: ShareSlot,
    { from, pieces }: { readonly from: number; readonly pieces: readonly Piece[] },
    below: number,
  ): void {
    const { memberId, recordsMax, isExact, isCommitted, forms } = this.#limits
    const { partition, shared } = slot
    const given = pieces.filter(({ baseOffset }) => baseOffset < below)
    const stretches: ReadStretch[] = []
    let next = from
    for (const piece of given) {
      const { baseOffset, nextOffset } = piece
      // What was there was compacted away.
      if (baseOffset > next) {
        stretches.push({ baseOffset: next, nextOffset: baseOffset, isSkipped: true })
      }
      next = nextOffset
      const isAborted =
        isCommitted &&
        piece.isTransactional &&
        partition.isAborted(piece.producerId, piece.baseOffset)
      stretches.push({ baseOffset, nextOffset, isSkipped: piece.isMarker || isAborted })
    }
    shared.learn({ from, pieces: given }, forms)
    const leased = shared.acquire(memberId, stretches, {
      countMax: recordsMax - this.#count,
      isExact,
    })
    slot.leased = leased
    for (const { baseOffset, nextOffset } of leased) this.#count += nextOffset - baseOffset
    if (leased.length > 0) this.#take(slot, given)
    // There may be more behind what was only for the broker, or for others.
    else if (given.length > 0 && shared.nextFor(memberId) >= 0) this.#wake()
  }

  /** Gives the batches of which something was leased; the client leaves out the rest of them. */
  #take(slot: ShareSlot, pieces: readonly Piece[]): void {
    let range = 0
    for (let at = 0; at < pieces.length;) {
      const piece = pieces[at]!
      let next = at + 1
      // Messages that came one by one go into one batch.
      if (isForeign(piece)) while (next < pieces.length && isForeign(pieces[next]!)) next++
      const { nextOffset } = pieces[next - 1]!
      while (range < slot.leased.length && slot.leased[range]!.nextOffset <= piece.baseOffset)
        range++
      const isLeased = (slot.leased[range]?.baseOffset ?? Infinity) < nextOffset
      if (isLeased) {
        const chunk = isForeign(piece)
          ? recordsOfMessages(this.#limits.forms, pieces, { from: at, to: next })
          : piece.data.subarray(piece.start, piece.end)
        slot.chunks.push(chunk)
        slot.bytes += chunk.length
        this.#bytes += chunk.length
      }
      at = next
    }
  }

  #failed(slot: ShareSlot, error: ReadError): void {
    // Retention was faster than the read: the next one begins further on.
    if (error.kind === 'not-found') {
      this.#wake()
      return
    }
    this.#shared.log.error({ err: error, topic: slot.partition.topicId }, 'a read failed')
    slot.errorCode = ERROR.KAFKA_STORAGE_ERROR
    this.#mustAnswer = true
  }

  #finish(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#timer?.cancel()
    if (this.#isWatching) {
      for (const { partition, shared } of this.#slots) {
        partition.unwatch(this)
        shared.unwatch(this)
      }
    }
    this.#done()
  }
}

function isForeign(piece: Piece): boolean {
  return piece.kind !== 'batch' || piece.form !== NATIVE_FORM.KAFKA
}
