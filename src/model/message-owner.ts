/** A user whose messages are counted while they are stored. */
export interface MessageOwner {
  readonly name: string
  readonly nameBytes: Buffer
  /** Stored now; one that several destinations hold counts once for each. */
  messages: number
  /** Of their bodies. */
  bytes: number
}
