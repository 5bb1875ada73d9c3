import type { ScheduleOrder } from './schedule-order.ts'
import type { Actor } from './actor.ts'
import type { MessageOwner } from './message-owner.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/**
 * A message as a publisher hands it in: ranges of bytes it does not own, and the few facts the
 * broker acts on. One object per channel is filled again for each message, so that publishing
 * allocates nothing; whoever is handed a draft copies what must outlive the call.
 */
export class MessageDraft {
  /** Id of the native form that `header` is in; see `NativeForm`. */
  form = 0
  /** Exchange and routing key, each one length octet and UTF-8. */
  address: Buffer = NOTHING
  addressStart = 0
  addressEnd = 0
  /** The publisher's own header bytes: opaque here, given back byte for byte. */
  header: Buffer = NOTHING
  headerStart = 0
  headerEnd = 0
  body: Buffer = NOTHING
  bodyStart = 0
  bodyEnd = 0
  persistent = false
  /** 0..255; 0 when the publisher gave none. */
  priority = 0
  /** Milliseconds until it expires; -1: never. */
  ttlMs = -1
  /** Milliseconds until it is routed; until then it is held back on disk. 0: now. */
  delayMs = 0
  /** What else its publisher asks of the clock; null for nearly all messages. */
  schedule: ScheduleOrder | null = null
  /** The broker publishes it again, so it is no publisher's duplicate. */
  ofBroker = false
  /** Encoded `Annotations`; null for whatever comes from outside. */
  annotations: Buffer | null = null
  /** Who hands it in; null: the broker itself. */
  actor: Actor | null = null
  /** For whom it counts while it is stored; null: for nobody. Given by the broker. */
  owner: MessageOwner | null = null
  /** The number of its trace; 0: it is not traced. Given by the broker. */
  trace = 0

  setAddress(buffer: Buffer, start: number, end: number): void {
    this.address = buffer
    this.addressStart = start
    this.addressEnd = end
  }

  setHeader(buffer: Buffer, start: number, end: number): void {
    this.header = buffer
    this.headerStart = start
    this.headerEnd = end
  }

  setBody(buffer: Buffer, start: number, end: number): void {
    this.body = buffer
    this.bodyStart = start
    this.bodyEnd = end
  }
}
