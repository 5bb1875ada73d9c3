import type { Partition, Piece, PiecesDone } from '../../broker/index.ts'
import type { SlabPool } from '../../net/index.ts'
import { BLOCK_BYTES_MAX, READS_AHEAD_MAX } from './limits.ts'

/** The log reads so much more than it is asked for, to find where an entry begins. */
const SLACK_BYTES = 64 * 1024

type ReadError = Parameters<PiecesDone>[0]

/** What is read from disk, or was, into a buffer of the pool. */
export class BlockRead {
  readonly partition: Partition
  readonly offset: number
  /** Holds the bytes of the pieces: whoever takes the read gives it back to the pool. */
  readonly block: Buffer
  #pieces: readonly Piece[] | null = null
  #error: ReadError = null
  #done: PiecesDone | null = null

  constructor(partition: Partition, offset: number, block: Buffer) {
    this.partition = partition
    this.offset = offset
    this.block = block
  }

  start(bytesMax: number): void {
    const done: PiecesDone = (error, pieces) => {
      this.#error = error
      this.#pieces = pieces
      this.#done?.(error, pieces)
    }
    this.partition.readFrom(this.offset, bytesMax, done, { target: this.block })
  }

  /** Calls back once, in the call when all is there. */
  take(done: PiecesDone): void {
    if (this.#pieces === null) this.#done = done
    else done(this.#error, this.#pieces)
  }
}

/**
 * Reads of consumers that are behind, into buffers that are used again: left to the collector, they
 * would make it run every few megabytes. Consumers read on in order, so while an answer is on its
 * way the disk works for the next one.
 */
export class BlockReads {
  readonly #slabs: SlabPool
  /** Begun before anybody asked, the oldest first. */
  readonly #ahead: BlockRead[] = []

  constructor(slabs: SlabPool) {
    this.#slabs = slabs
  }

  /** What was begun for this offset, else null. It is the caller's from then on. */
  takeAhead(partition: Partition, offset: number): BlockRead | null {
    const ahead = this.#ahead
    for (let at = 0; at < ahead.length; at++) {
      const read = ahead[at]!
      if (read.offset !== offset || read.partition !== partition) continue
      ahead.splice(at, 1)
      return read
    }
    return null
  }

  begin(partition: Partition, offset: number, bytesMax: number): BlockRead {
    const bytes = Math.min(bytesMax, BLOCK_BYTES_MAX)
    const read = new BlockRead(partition, offset, this.#slabs.take(bytes + SLACK_BYTES))
    read.start(bytes)
    return read
  }

  /** Begins what a consumer that was given all before `offset` will ask for, if it is on disk. */
  beginAhead(partition: Partition, offset: number, bytesMax: number): void {
    if (!partition.isOnDiskOnly(offset)) return
    const ahead = this.#ahead
    if (ahead.some((read) => read.offset === offset && read.partition === partition)) return
    // The reader of the oldest is slow, or gone.
    if (ahead.length >= READS_AHEAD_MAX) this.#drop(ahead.shift()!)
    ahead.push(this.begin(partition, offset, bytesMax))
  }

  /** Nobody uses what lies there any more. */
  give(block: Buffer): void {
    this.#slabs.give(block)
  }

  #drop(read: BlockRead): void {
    read.take(() => this.give(read.block))
  }
}
