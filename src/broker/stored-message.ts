import { type Annotations, decodeAnnotations } from './annotations.ts'
import { FLAG, KIND, RECORD_HEAD_BYTES } from './record.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * A view of one stored message: ranges in `data`, valid until `set` is called again. One view is
 * used for all deliveries of its owner; whoever needs the message longer copies it.
 */
export class StoredMessage {
  data: Buffer = NOTHING
  addressStart = 0
  addressEnd = 0
  headerStart = 0
  headerEnd = 0
  bodyStart = 0
  bodyEnd = 0
  form = 0
  persistent = false
  priority = 0
  /** When it was stored, in milliseconds since the epoch. */
  timestampMs = 0
  /** When its own time to live ends, in milliseconds since the epoch; 0: never. */
  expiresAtMs = 0
  /** When a delayed exchange shall route it; 0: it is not held back. */
  dueAtMs = 0
  #ownerStart = 0
  #ownerEnd = 0
  #annotationsStart = 0
  #annotationsEnd = 0

  /** What the broker added, or null for nearly all messages. Decoded anew by each call. */
  get annotations(): Annotations | null {
    if (this.#annotationsStart === this.#annotationsEnd) return null
    return decodeAnnotations(this.data.subarray(this.#annotationsStart, this.#annotationsEnd))
  }

  /** The user for whom it counts; null: nobody. */
  get ownerName(): string | null {
    if (this.#ownerStart === this.#ownerEnd) return null
    return this.data.toString('utf8', this.#ownerStart, this.#ownerEnd)
  }

  /** Lets go of the bytes, so that an idle owner pins no memory. */
  forget(): void {
    this.data = NOTHING
  }

  /** Points the view at the record that starts at `start`; its bytes passed the checksum. */
  set(data: Buffer, start: number, timestampMs: number): void {
    const flags = data[start + 5]!
    const end = start + data.readUInt32BE(start)
    let at = start + RECORD_HEAD_BYTES + 4 * ((data[start + 8]! << 8) | data[start + 9]!)
    this.data = data
    this.persistent = (flags & FLAG.PERSISTENT) !== 0
    this.priority = data[start + 6]!
    this.form = data[start + 7]!
    this.timestampMs = timestampMs
    this.expiresAtMs = 0
    this.dueAtMs = 0
    this.#ownerStart = 0
    this.#ownerEnd = 0
    this.#annotationsStart = 0
    this.#annotationsEnd = 0
    if ((flags & FLAG.EXTRAS) !== 0) at = this.#setExtras(data, at, flags)
    if (data[start + 4] === KIND.MOVED) at += 8
    this.addressStart = at
    at += (data[start + 10]! << 8) | data[start + 11]!
    this.addressEnd = at
    this.headerStart = at
    at += data.readUInt32BE(start + 12)
    this.headerEnd = at
    this.bodyStart = at
    this.bodyEnd = end
  }

  #setExtras(data: Buffer, start: number, flags: number): number {
    let at = start
    if ((flags & FLAG.EXPIRES) !== 0) {
      this.expiresAtMs = data.readDoubleBE(at)
      at += 8
    }
    if ((flags & FLAG.DUE) !== 0) {
      this.dueAtMs = data.readDoubleBE(at)
      at += 8
    }
    if ((flags & FLAG.OWNER) !== 0) {
      this.#ownerStart = at + 2
      at += 2 + data.readUInt16BE(at)
      this.#ownerEnd = at
    }
    if ((flags & FLAG.TIMESTAMP) !== 0) {
      this.timestampMs = data.readDoubleBE(at)
      at += 8
    }
    if ((flags & FLAG.ANNOTATIONS) !== 0) {
      this.#annotationsStart = at + 4
      this.#annotationsEnd = at + 4 + data.readUInt32BE(at)
      at = this.#annotationsEnd
    }
    return at
  }
}
