import type { EngineError } from '../../engine/contract.ts'
import { BATCH_FLAG, BATCH_HEAD_BYTES, maxTimestampOf, producerIdOf } from './batch-record.ts'

/**
 * What `Partition.readFrom` gives: a batch, in its native form from `start` to `end`, or a message
 * of its own, whose record goes from `start` to `end` as `StoredMessage.set` takes it. The bytes
 * stay good as long as they are referenced, or those in the `target` of the read until its owner
 * writes there again, and are never to be changed.
 */
export class Piece {
  readonly kind: 'batch' | 'message'
  /** The native form of the batch, or of the header of the message. */
  readonly form: number
  readonly baseOffset: number
  /** The offset after it. Where something was compacted away, the next piece is further on. */
  readonly nextOffset: number
  readonly data: Buffer
  readonly start: number
  readonly end: number
  /** When it was stored, by the broker's clock. */
  readonly timestampMs: number

  constructor(
    place: { readonly data: Buffer; readonly start: number; readonly end: number },
    facts: Pick<Piece, 'kind' | 'form' | 'baseOffset' | 'nextOffset' | 'timestampMs'>,
  ) {
    this.kind = facts.kind
    this.form = facts.form
    this.baseOffset = facts.baseOffset
    this.nextOffset = facts.nextOffset
    this.data = place.data
    this.start = place.start
    this.end = place.end
    this.timestampMs = facts.timestampMs
  }

  get bytes(): number {
    return this.end - this.start
  }

  /** The largest time in it: of a batch as its publisher says, of a message when it was stored. */
  get maxTimestampMs(): number {
    if (this.kind === 'message') return this.timestampMs
    return maxTimestampOf(this.data, this.start - BATCH_HEAD_BYTES)
  }

  /** Says that a transaction ended; holds no message. */
  get isMarker(): boolean {
    return this.#hasFlag(BATCH_FLAG.MARKER)
  }

  get isTransactional(): boolean {
    return this.#hasFlag(BATCH_FLAG.TRANSACTIONAL)
  }

  /** -1: none. */
  get producerId(): number {
    return this.kind === 'batch' ? producerIdOf(this.data, this.start - BATCH_HEAD_BYTES) : -1
  }

  #hasFlag(flag: number): boolean {
    return this.kind === 'batch' && (this.data[this.start - BATCH_HEAD_BYTES + 5]! & flag) !== 0
  }
}

/** `error` not null: nothing was read. `not-found`: the offset is not kept. */
export type PiecesDone = (error: EngineError | null, pieces: readonly Piece[]) => void
