const NOTHING: Buffer = Buffer.alloc(0)

/**
 * A run of messages as a publisher hands it in: a range of bytes it does not own, and the few
 * facts the broker acts on. Filled again for each batch; whoever is handed one copies what must
 * outlive the call.
 */
export class BatchDraft {
  /** Id of the native form that the bytes are in; its form must have `batch`. */
  form = 0
  bytes: Buffer = NOTHING
  start = 0
  end = 0
  /** How many offsets it takes, 1 or more. */
  count = 0
  /** The largest time of its messages, in milliseconds since 1970; -1: they have none. */
  maxTimestampMs = -1
  /** Its messages count only when the transaction of the producer is committed. */
  isTransactional = false
  /** -1: none, and duplicates are not looked for. */
  producerId = -1
  producerEpoch = -1
  /** The number of its first message, counted by the producer for this partition; -1: none. */
  baseSequence = -1

  setBytes(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.start = start
    this.end = end
  }
}
