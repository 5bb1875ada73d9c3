import type { HeaderValue } from './header-value.ts'

/** One header; a message may carry several of one name, and their order means something. */
export interface CanonicalHeader {
  readonly name: string
  readonly value: HeaderValue
}

/**
 * The properties of a message in no protocol's own terms: what one protocol reads out of its native
 * form and another writes its own header from. It is made only when a message is handed to another
 * protocol, and holds copies: nothing of the message's bytes is borrowed.
 *
 * Each protocol has some of it only; null stands for absent. docs/crossing.md has the tables.
 */
export interface CanonicalProperties {
  readonly contentType: string | null
  readonly contentEncoding: string | null
  readonly correlationId: Buffer | null
  /** The name of the destination that takes the answer, reached through the default exchange. */
  readonly replyTo: string | null
  /** The routing key with which the topic exchange takes the answer. Never set beside `replyTo`. */
  readonly replyToKey: string | null
  readonly messageId: string | null
  /** Milliseconds since 1970 by the publisher's clock. */
  readonly timestampMs: number | null
  readonly type: string | null
  readonly userId: string | null
  readonly appId: string | null
  /** The time to live that the publisher gave it, not what is left of it. */
  readonly expirationMs: number | null
  /** 0..255 */
  readonly priority: number | null
  readonly persistent: boolean
  /** The publisher says that the body is UTF-8 text. */
  readonly isText: boolean
  readonly headers: readonly CanonicalHeader[]
}

/** A message that says nothing of itself. */
export const NO_PROPERTIES: CanonicalProperties = {
  contentType: null,
  contentEncoding: null,
  correlationId: null,
  replyTo: null,
  replyToKey: null,
  messageId: null,
  timestampMs: null,
  type: null,
  userId: null,
  appId: null,
  expirationMs: null,
  priority: null,
  persistent: false,
  isText: false,
  headers: [],
}
