/** Who published or consumes, in words a person can act on. One object a connection, never changed. */
export interface Actor {
  readonly protocol: string
  /** As listings of connections have it; -1: the broker itself. */
  readonly connectionId: number
  /** `127.0.0.1:40001 -> 127.0.0.1:5672`. */
  readonly connection: string
  readonly user: string | null
  /** Whom to ask permissions for at present, if not for the user of that name. */
  readonly principal?: () => string
  /** What the client calls itself; null when it said nothing. */
  readonly clientId: string | null
}
