import type { Allowance } from './flow/index.ts'

/** Who is connected under the name of a session. */
export interface SessionOwner {
  /** Another connection claims the session: let go of it, with `release`, before this returns. */
  sessionTaken(): void
}

/** What a session is made with and keeps. */
export interface SessionSpec {
  readonly name: string
  /** Nobody else may take it up again. */
  readonly user: string
  /** Outlives its connection and the broker's restart. */
  readonly durable: boolean
  /** Queues that end with it. */
  readonly destinations: readonly string[]
}

/** A durable session as it is kept; the protocol's own state is opaque JSON. */
export interface StoredSession extends SessionSpec {
  /** null: never. */
  readonly expiryMs: number | null
  readonly state: unknown
}

/** What a client has here under its name, whether it is connected or not. */
export class Session {
  readonly spec: SessionSpec
  /** For whom it counts. */
  readonly user: Allowance
  /** How long it lives on without an owner; 0: not at all, Infinity: until it is ended. */
  expiryMs: number
  /** The protocol's own; `Sessions.save` keeps it. */
  state: unknown
  /** Set by `Sessions` only. */
  owner: SessionOwner | null = null
  /** Of the expiry; owned by `Sessions`. */
  timer = 0

  constructor(
    spec: SessionSpec,
    user: Allowance,
    { expiryMs, state }: { readonly expiryMs: number; readonly state: unknown },
  ) {
    this.spec = spec
    this.user = user
    this.expiryMs = expiryMs
    this.state = state
  }

  get name(): string {
    return this.spec.name
  }
}
