import type { NewPosition, PartitionPlace } from './subscription.ts'

/** The highest epoch that a producer may write with; beyond, it gets another producer id. */
export const EPOCH_MAX = 32_766

/**
 * - `empty`: nothing happened since its producer came
 * - `ongoing`: partitions or positions were added, and it was not ended
 * - `committed`, `aborted`: the last one was ended so
 */
export type TransactionState = 'empty' | 'ongoing' | 'committed' | 'aborted'

const STATES: readonly TransactionState[] = ['empty', 'ongoing', 'committed', 'aborted']

/** Who writes: a producer id, and which of its lives. A newer epoch fences all older ones. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

/** A position that counts when its transaction is committed. */
export interface PendingPosition extends NewPosition {
  readonly subscription: string
}

const FORMAT_VERSION = 1
const HEAD_BYTES = 55
const PLACE_BYTES = 12

/** What is known of a transactional id: its producer, and the transaction that goes on. */
export class Transaction implements ProducerIdentity {
  /** The transactional id. */
  readonly name: string
  /** For timers; no two of one life of the broker have the same. */
  readonly number: number
  producerId: number
  /** -1: no producer was given it yet. */
  producerEpoch = -1
  /** The producer id before this one; -1: it never had another one. */
  lastProducerId = -1
  /** The epoch that its producer had before it asked for a new one; -1: it did not ask. */
  lastEpoch = -1
  timeoutMs = 0
  /** The native form of what its producer writes. */
  form = 0
  state: TransactionState = 'empty'
  /** When the transaction began that goes on; -1: none does. */
  startMs = -1
  changeMs = 0
  /** Of the one that goes on, by `placeKey`. */
  readonly partitions: Map<string, PartitionPlace> = new Map()
  readonly subscriptions: Set<string> = new Set()
  /** By `pendingKey`. */
  readonly pending: Map<string, PendingPosition> = new Map()
  /** Handle of its timer. */
  timer = 0

  constructor(name: string, number: number, producerId: number) {
    this.name = name
    this.number = number
    this.producerId = producerId
  }

  get isEpochExhausted(): boolean {
    return this.producerEpoch >= EPOCH_MAX
  }

  /** Goes to what is before the next transaction. */
  clear(): void {
    this.partitions.clear()
    this.subscriptions.clear()
    this.pending.clear()
    this.startMs = -1
  }

  /**
   * All but the pending positions: u8 format version, f64 producer id, i16 epoch, f64 last producer
   * id, i16 last epoch, u32 time-out, u8 form, u8 state, f64 start, f64 change; u32 reserved; u32
   * count of partitions, u32 count of subscriptions; of each partition f64 topic id, u32 index; of
   * each subscription u16 length, UTF-8.
   */
  encode(): Buffer {
    let size = HEAD_BYTES + this.partitions.size * PLACE_BYTES
    for (const name of this.subscriptions) size += 2 + Buffer.byteLength(name)
    const bytes = Buffer.allocUnsafe(size)
    let at = bytes.writeUInt8(FORMAT_VERSION, 0)
    at = bytes.writeDoubleBE(this.producerId, at)
    at = bytes.writeInt16BE(this.producerEpoch, at)
    at = bytes.writeDoubleBE(this.lastProducerId, at)
    at = bytes.writeInt16BE(this.lastEpoch, at)
    at = bytes.writeUInt32BE(this.timeoutMs, at)
    at = bytes.writeUInt8(this.form, at)
    at = bytes.writeUInt8(STATES.indexOf(this.state), at)
    at = bytes.writeDoubleBE(this.startMs, at)
    at = bytes.writeDoubleBE(this.changeMs, at)
    at = bytes.writeUInt32BE(0, at)
    at = bytes.writeUInt32BE(this.partitions.size, at)
    at = bytes.writeUInt32BE(this.subscriptions.size, at)
    for (const { topicId, partition } of this.partitions.values()) {
      at = bytes.writeDoubleBE(topicId, at)
      at = bytes.writeUInt32BE(partition, at)
    }
    for (const name of this.subscriptions) {
      at = bytes.writeUInt16BE(Buffer.byteLength(name), at)
      at += bytes.write(name, at, 'utf8')
    }
    return bytes
  }

  static decode(name: string, number: number, bytes: Buffer): Transaction {
    if (bytes[0] !== FORMAT_VERSION) {
      throw new Error(
        `a transaction has format version ${bytes[0]}, this broker reads ${FORMAT_VERSION}`,
      )
    }
    const transaction = new Transaction(name, number, bytes.readDoubleBE(1))
    transaction.producerEpoch = bytes.readInt16BE(9)
    transaction.lastProducerId = bytes.readDoubleBE(11)
    transaction.lastEpoch = bytes.readInt16BE(19)
    transaction.timeoutMs = bytes.readUInt32BE(21)
    transaction.form = bytes.readUInt8(25)
    transaction.state = STATES[bytes.readUInt8(26)]!
    transaction.startMs = bytes.readDoubleBE(27)
    transaction.changeMs = bytes.readDoubleBE(35)
    let at = HEAD_BYTES
    for (let left = bytes.readUInt32BE(47); left > 0; left--) {
      const place = { topicId: bytes.readDoubleBE(at), partition: bytes.readUInt32BE(at + 8) }
      transaction.partitions.set(placeKey(place), place)
      at += PLACE_BYTES
    }
    for (let left = bytes.readUInt32BE(51); left > 0; left--) {
      const end = at + 2 + bytes.readUInt16BE(at)
      transaction.subscriptions.add(bytes.toString('utf8', at + 2, end))
      at = end
    }
    return transaction
  }
}

export function placeKey({ topicId, partition }: PartitionPlace): string {
  return `${topicId}/${partition}`
}

/** The name comes last, whatever is in it. */
export function pendingKey(position: PartitionPlace & { readonly subscription: string }): string {
  return `${position.topicId}/${position.partition}/${position.subscription}`
}
