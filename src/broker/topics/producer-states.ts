import type { BatchDraft } from './batch-draft.ts'

/** How many batches of a producer are remembered, as many as it may have on their way. */
const BATCHES = 5
const FIELDS = 3
const SEQUENCE_MAX = 0x7fff_ffff
const ENTRY_BYTES = 8 + 2 + 1 + 8 + BATCHES * (4 + 4 + 8)
/** When there are too many, this part of them goes at once. */
const EVICTED_PART = 8

/** What a partition says to a batch of a producer that counts its messages. */
export type SequenceCheck = 'fits' | 'duplicate' | 'out-of-order' | 'fenced'

/** What a partition knows of a producer. */
export interface ProducerFacts {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: it has sent nothing in this epoch. */
  readonly lastSequence: number
  /** When it last stored something, by the broker's clock. */
  readonly lastMs: number
}

/** One producer: its newest batches as first sequence, last sequence and first offset. */
class ProducerState {
  epoch: number
  lastMs = 0
  count = 0
  readonly #batches = new Float64Array(BATCHES * FIELDS)
  /** Where the newest one stands. */
  #at = 0

  constructor(epoch: number) {
    this.epoch = epoch
  }

  get lastSequence(): number {
    return this.count === 0 ? -1 : this.#batches[this.#at + 1]!
  }

  /** A new epoch begins to count anew. */
  moveTo(epoch: number): void {
    if (epoch === this.epoch) return
    this.epoch = epoch
    this.count = 0
  }

  add(first: number, last: number, offset: number): void {
    this.#at = this.count === 0 ? 0 : (this.#at + FIELDS) % this.#batches.length
    this.#batches[this.#at] = first
    this.#batches[this.#at + 1] = last
    this.#batches[this.#at + 2] = offset
    if (this.count < BATCHES) this.count++
  }

  /** The offset of the batch with just these sequences; -1 when it is not remembered. */
  find(first: number, last: number): number {
    for (let age = 0; age < this.count; age++) {
      const at = this.#ago(age)
      if (this.#batches[at] === first && this.#batches[at + 1] === last)
        return this.#batches[at + 2]!
    }
    return -1
  }

  encode(out: Buffer, start: number): number {
    let at = out.writeInt16BE(this.epoch, start)
    at = out.writeUInt8(this.count, at)
    at = out.writeDoubleBE(this.lastMs, at)
    for (let age = BATCHES - 1; age >= 0; age--) {
      const from = this.#ago(age)
      const isThere = age < this.count
      at = out.writeInt32BE(isThere ? this.#batches[from]! : 0, at)
      at = out.writeInt32BE(isThere ? this.#batches[from + 1]! : 0, at)
      at = out.writeDoubleBE(isThere ? this.#batches[from + 2]! : 0, at)
    }
    return at
  }

  static decode(bytes: Buffer, start: number): ProducerState {
    const state = new ProducerState(bytes.readInt16BE(start))
    const count = bytes.readUInt8(start + 2)
    state.lastMs = bytes.readDoubleBE(start + 3)
    for (let left = count; left > 0; left--) {
      const at = start + 11 + (BATCHES - left) * 16
      state.add(bytes.readInt32BE(at), bytes.readInt32BE(at + 4), bytes.readDoubleBE(at + 8))
    }
    return state
  }

  #ago(age: number): number {
    const { length } = this.#batches
    return (this.#at + length - age * FIELDS) % length
  }
}

/**
 * What a partition remembers of those who number their messages, so that what is sent again is
 * stored once: the epoch of each and its last five batches.
 */
export class ProducerStates {
  /** Of the batch that `check` found to be a duplicate. */
  duplicateOffset = -1
  readonly #countMax: number
  readonly #states: Map<number, ProducerState> = new Map()

  /** Above `countMax` those that were silent for longest are forgotten. */
  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get count(): number {
    return this.#states.size
  }

  /** Changes nothing; a batch that fits is told by `append`. */
  check(draft: BatchDraft): SequenceCheck {
    const state = this.#states.get(draft.producerId)
    // What was known of it may have been forgotten with its messages, so it may begin anywhere.
    if (state === undefined) return 'fits'
    const { producerEpoch: epoch, baseSequence: first } = draft
    if (epoch === state.epoch && first >= 0) {
      this.duplicateOffset = state.find(first, lastSequenceOf(first, draft.count))
      if (this.duplicateOffset >= 0) return 'duplicate'
    }
    if (epoch < state.epoch) return 'fenced'
    if (first < 0) return 'fits'
    if (epoch > state.epoch) return first === 0 ? 'fits' : 'out-of-order'
    return first === nextSequenceOf(state.lastSequence) ? 'fits' : 'out-of-order'
  }

  /** A batch was stored, by the broker's clock at `nowMs`. */
  append(
    batch: Pick<BatchDraft, 'producerId' | 'producerEpoch' | 'baseSequence' | 'count'>,
    offset: number,
    nowMs: number,
  ): void {
    const state = this.#stateOf(batch.producerId, batch.producerEpoch)
    state.lastMs = nowMs
    const { baseSequence, count } = batch
    if (baseSequence >= 0) state.add(baseSequence, lastSequenceOf(baseSequence, count), offset)
  }

  /** Whether a producer of this epoch may end a transaction. */
  isFenced(producerId: number, producerEpoch: number): boolean {
    const state = this.#states.get(producerId)
    return state !== undefined && producerEpoch < state.epoch
  }

  /** The end of a transaction was stored: older epochs write no more. */
  ended(producerId: number, producerEpoch: number, nowMs: number): void {
    this.#stateOf(producerId, producerEpoch).lastMs = nowMs
  }

  /** Forgets those that stored nothing since `beforeMs` and that `isBusy` does not name. */
  expire(beforeMs: number, isBusy: (producerId: number) => boolean): void {
    for (const [producerId, state] of this.#states) {
      if (state.lastMs < beforeMs && !isBusy(producerId)) this.#states.delete(producerId)
    }
  }

  /** Makes room where there are more than may be. */
  evict(isBusy: (producerId: number) => boolean): void {
    if (this.#states.size <= this.#countMax) return
    const times = [...this.#states.values()].map(({ lastMs }) => lastMs)
    times.sort((one, other) => one - other)
    const beforeMs = times[Math.ceil(times.length / EVICTED_PART)]!
    let left = this.#states.size - this.#countMax + Math.floor(this.#countMax / EVICTED_PART)
    for (const [producerId, state] of this.#states) {
      if (left <= 0) return
      if (state.lastMs > beforeMs || isBusy(producerId)) continue
      this.#states.delete(producerId)
      left--
    }
  }

  *list(): Iterable<ProducerFacts> {
    for (const [producerId, { epoch, lastSequence, lastMs }] of this.#states) {
      yield { producerId, producerEpoch: epoch, lastSequence, lastMs }
    }
  }

  get encodedBytes(): number {
    return 4 + this.#states.size * ENTRY_BYTES
  }

  encode(out: Buffer, start: number): number {
    let at = out.writeUInt32BE(this.#states.size, start)
    for (const [producerId, state] of this.#states) {
      at = out.writeDoubleBE(producerId, at)
      at = state.encode(out, at)
    }
    return at
  }

  /** Returns where it ended. */
  decode(bytes: Buffer, start: number): number {
    let at = start + 4
    for (let left = bytes.readUInt32BE(start); left > 0; left--) {
      this.#states.set(bytes.readDoubleBE(at), ProducerState.decode(bytes, at + 8))
      at += ENTRY_BYTES
    }
    return at
  }

  #stateOf(producerId: number, epoch: number): ProducerState {
    const known = this.#states.get(producerId)
    if (known !== undefined) {
      known.moveTo(epoch)
      return known
    }
    const state = new ProducerState(epoch)
    this.#states.set(producerId, state)
    return state
  }
}

/** Sequences go from 0 to 2,147,483,647 and on from 0. */
function lastSequenceOf(first: number, count: number): number {
  const last = first + count - 1
  return last > SEQUENCE_MAX ? last - SEQUENCE_MAX - 1 : last
}

function nextSequenceOf(last: number): number {
  return last === SEQUENCE_MAX ? 0 : last + 1
}
