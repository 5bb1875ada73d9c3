/** How far one partition was read, as its reader said. */
export interface Position {
  /** The next offset to be read. */
  readonly offset: number
  /** As committed; -1 when the reader did not say. */
  readonly leaderEpoch: number
  /** Whatever the reader wants to find again. */
  readonly metadata: string
  readonly commitMs: number
  /** When it goes if the subscription is not used then; -1: as the broker's retention says. */
  readonly expiresAtMs: number
}

/** The name of a partition: the id of its topic, its index in it. */
export interface PartitionPlace {
  readonly topicId: number
  readonly partition: number
}

export interface NewPosition extends PartitionPlace {
  readonly offset: number
  /** Default -1. */
  readonly leaderEpoch?: number
  /** Default none. */
  readonly metadata?: string
  /** Default -1. */
  readonly expiresAtMs?: number
}

/** Bytes of a stored position before its metadata. */
const HEAD_BYTES = 29
const FORMAT_VERSION = 1

/** u8 format version, f64 offset, i32 epoch, f64 time of the commit, f64 end, metadata in UTF-8. */
export function encodePosition(position: Position): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + Buffer.byteLength(position.metadata))
  let at = bytes.writeUInt8(FORMAT_VERSION, 0)
  at = bytes.writeDoubleBE(position.offset, at)
  at = bytes.writeInt32BE(position.leaderEpoch, at)
  at = bytes.writeDoubleBE(position.commitMs, at)
  at = bytes.writeDoubleBE(position.expiresAtMs, at)
  bytes.write(position.metadata, at, 'utf8')
  return bytes
}

export function decodePosition(bytes: Buffer): Position {
  if (bytes[0] !== FORMAT_VERSION) {
    throw new Error(
      `a position has format version ${bytes[0]}, this broker reads ${FORMAT_VERSION}`,
    )
  }
  return {
    offset: bytes.readDoubleBE(1),
    leaderEpoch: bytes.readInt32BE(9),
    commitMs: bytes.readDoubleBE(13),
    expiresAtMs: bytes.readDoubleBE(21),
    metadata: bytes.toString('utf8', HEAD_BYTES),
  }
}

/**
 * Named read state of kind `offsets`: its readers own whole partitions and say how far they are.
 * Who reads is the protocol's business; here is what must outlive it.
 */
export class OffsetSubscription {
  readonly kind = 'offsets'
  readonly name: string
  /** As the protocol told it; 0 after a restart. */
  memberCount = 0
  /** When its last member left, in milliseconds since the epoch; -1: it never had one. */
  emptiedMs = -1
  readonly #topics: Map<number, Map<number, Position>> = new Map()
  #count = 0

  constructor(name: string) {
    this.name = name
  }

  /** How many positions it has. */
  get count(): number {
    return this.#count
  }

  position(topicId: number, partition: number): Position | undefined {
    return this.#topics.get(topicId)?.get(partition)
  }

  /** Ids of the topics it has positions on. */
  topicIds(): Iterable<number> {
    return this.#topics.keys()
  }

  *positions(): Iterable<PartitionPlace & { readonly position: Position }> {
    for (const [topicId, partitions] of this.#topics) {
      for (const [partition, position] of partitions) yield { topicId, partition, position }
    }
  }

  /** For `Subscriptions` only, which stores what it does. True when there was none before. */
  put({ topicId, partition }: PartitionPlace, position: Position): boolean {
    let partitions = this.#topics.get(topicId)
    if (partitions === undefined) {
      partitions = new Map()
      this.#topics.set(topicId, partitions)
    }
    const isNew = !partitions.has(partition)
    partitions.set(partition, position)
    if (isNew) this.#count++
    return isNew
  }

  /** For `Subscriptions` only. */
  remove({ topicId, partition }: PartitionPlace): boolean {
    const partitions = this.#topics.get(topicId)
    if (partitions === undefined || !partitions.delete(partition)) return false
    if (partitions.size === 0) this.#topics.delete(topicId)
    this.#count--
    return true
  }

  /**
   * When a position goes unless something happens before: counted from when the last member left
   * or, without members ever, from when it was committed. Infinite while there are members.
   */
  expiryMs(position: Position, retentionMs: number): number {
    if (this.memberCount > 0) return Infinity
    if (position.expiresAtMs >= 0) return position.expiresAtMs
    return Math.max(this.emptiedMs, position.commitMs) + retentionMs
  }
}
