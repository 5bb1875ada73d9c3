// By themselves: what a user's compiler reads of us must not name the types of `ws`.

export interface WebSocketOptions {
  /** Such as `/mqtt`; a query behind it is let pass, everything else is 404. */
  readonly path: string
  /** Those we speak, the first that the client offers is chosen; a client offers at least one. */
  readonly subprotocols: readonly string[]
  /** A longer message ends the connection with 1009; default 16 MiB and 128 KiB. */
  readonly messageBytesMax?: number
  /**
   * Origins of pages that may connect, such as `https://example.com`, or `*` for every page.
   * Others may where they come from this server: see `originRefusal`. Default none.
   */
  readonly origins?: readonly string[]
  /** How often each peer is asked whether it is there; default 30 s. */
  readonly pingMs?: number
}
