/** A message as a person reads it, whatever protocol it came by. */
export interface MessageView {
  readonly offset: number
  readonly storedAtMs: number
  readonly expiresAtMs: number | null
  /** Of its publisher. */
  readonly protocol: string | null
  readonly exchange: string
  readonly routingKey: string
  /** Those that it has. */
  readonly properties: Readonly<Record<string, string | number | boolean>>
  readonly headers: readonly { readonly name: string; readonly value: unknown }[]
  readonly bodyBytes: number
  /** The beginning of a longer one. */
  readonly body: string
  readonly encoding: 'utf8' | 'base64'
  /** Where it died before, the newest first. */
  readonly deaths: readonly object[]
}

/** A message that one consumer has until it settles the tag. */
export interface DeliveryView extends MessageView {
  readonly tag: number
  readonly redelivered: boolean
  readonly attempts: number
}

/** Some of the messages of a destination; `next` is where the page after it begins, null: it is the last. */
export interface MessagePage {
  readonly messages: readonly MessageView[]
  readonly next: number | null
}
