import type { CanonicalProperties } from './canonical-properties.ts'
import type { HeaderValue } from './header-value.ts'

/** Ids of the native forms; they are stored with every message and never change their meaning. */
export const NATIVE_FORM: { readonly AMQP091: 1; readonly MQTT: 2 } = { AMQP091: 1, MQTT: 2 }

/** What to change in the headers of a message. */
export interface HeaderEdit {
  readonly set: ReadonlyMap<string, string>
  readonly remove: readonly string[]
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
  /** Everything another protocol may want to say of the message; never asked by its own. */
  canonical(header: Buffer, start: number, end: number): CanonicalProperties
  /** A copy of the header bytes with some headers changed; absent: that cannot be done. */
  edited?(header: Buffer, edit: HeaderEdit): Buffer
}
