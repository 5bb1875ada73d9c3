import type { CanonicalProperties } from './canonical-properties.ts'
import type { HeaderValue } from './header-value.ts'

/** Ids of the native forms; they are stored with every message and never change their meaning. */
export const NATIVE_FORM: { readonly AMQP091: 1; readonly MQTT: 2; readonly KAFKA: 3 } = {
  AMQP091: 1,
  MQTT: 2,
  KAFKA: 3,
}

/** What to change in the headers of a message. */
export interface HeaderEdit {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
  /** How long the body is from now on. Default: as long as it was. */
  readonly bodyBytes?: number
}

/** One message of a batch, made when another protocol, or a search by time, asks for it. */
export interface OpenedMessage {
  /** Its offset is that of the batch and this. */
  readonly offsetDelta: number
  /** Milliseconds since 1970; -1 when the publisher gave none. */
  readonly timestampMs: number
  /** Header bytes in the form that the batch is of, as a message of its own would carry them. */
  readonly header: Buffer
  readonly body: Buffer
  /** What it is routed with, as text; empty when it has none. */
  readonly key: string
}

/** Says that a transaction of a producer ended, inside the partition. */
export interface TransactionEnd {
  readonly producerId: number
  readonly producerEpoch: number
  readonly isCommit: boolean
}

/** Which messages of a batch stay; `key` is null where the message has none. */
export type KeepsMessage = (
  key: Buffer | null,
  offsetDelta: number,
  isTombstone: boolean,
  timestampMs: number,
) => boolean

/** How to look into runs of messages that a protocol hands in, and is given back, whole. */
export interface BatchForm {
  /** Writes the first offset into the broker's own copy of a batch. */
  place(bytes: Buffer, start: number, end: number, baseOffset: number): void
  /** The messages in order, decompressed; none for a marker. Throws where they cannot be read. */
  open(bytes: Buffer, start: number, end: number): readonly OpenedMessage[]
  /** The key of each message, decompressed, in ascending order; null where it has none. */
  eachKey?(
    bytes: Buffer,
    start: number,
    end: number,
    visit: (offsetDelta: number, key: Buffer | null) => void,
  ): void
  /** A batch of one offset that says how a transaction ended; `place` is still to come. */
  marker(end: TransactionEnd & { readonly timestampMs: number }): Buffer
  /** The batch with only some of its messages, at the same offsets; null when none is left. */
  compact?(bytes: Buffer, start: number, end: number, keeps: KeepsMessage): Buffer | null
}

/**
 * How to look into the header bytes of one protocol. Each protocol registers its own at wiring;
 * the broker asks only when an exchange matches on headers or a dead letter is routed again, and a
 * protocol that delivers a message of another one asks for its canonical properties.
 */
export interface NativeForm {
  readonly id: number
  readonly name: string
  /** Null when the message carries no headers. */
  headers(header: Buffer, start: number, end: number): ReadonlyMap<string, HeaderValue> | null
  /** One header without a look at the others; absent: `headers` has to be asked. */
  header?(header: Buffer, start: number, end: number, name: string): HeaderValue | undefined
  /** A property as text; null when it is absent. */
  property(
    header: Buffer,
    start: number,
    end: number,
    name: 'message-id' | 'correlation-id' | 'timestamp',
  ): string | null
  /** Routing keys beside the message's own that it was published with (AMQP: CC), or null. */
  extraKeys(header: Buffer, start: number, end: number): readonly string[] | null
  /** The expiration as the publisher wrote it; null when there was none. */
  expiration(header: Buffer, start: number, end: number): string | null
  /** The key of a message whose routing key is empty; absent: then it has none. */
  key?(header: Buffer, start: number, end: number): Uint8Array | null
  /** Everything another protocol may want to say of the message; never asked by its own. */
  canonical(header: Buffer, start: number, end: number): CanonicalProperties
  /** A copy of the header bytes with what is asked changed; absent: that cannot be done. */
  edited?(header: Buffer, edit: HeaderEdit): Buffer
  /** Header bytes of a message that is made here; absent: none of this form are. */
  encoded?(properties: CanonicalProperties, bodyBytes: number): Buffer
  /** Absent: messages of this form come one by one only. */
  readonly batch?: BatchForm
}
