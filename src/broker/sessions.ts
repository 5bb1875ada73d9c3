import type { Allowance } from './flow/index.ts'
import type { Metadata } from './metadata.ts'
import { Session, type SessionOwner, type SessionSpec, type StoredSession } from './session.ts'
import type { VirtualHost } from './virtual-host.ts'

export interface SessionListener {
  /** Its time is over or somebody ended it; its queues are about to go. */
  sessionEnded(vhost: VirtualHost, session: Session): void
}

/** What a connection asks for. */
export interface Claim {
  readonly spec: SessionSpec
  /** What is there under the name is ended first. */
  readonly fresh: boolean
  readonly expiryMs: number
  /** Of a new session. */
  readonly state: unknown
}

/**
 * The sessions of one virtual host by name: one owner each, kept for their time when the owner has
 * gone. After a restart that time starts again, for nobody knows when the owner went.
 */
export class Sessions {
  readonly #vhost: VirtualHost
  readonly #metadata: Metadata
  readonly #listeners: ReadonlySet<SessionListener>
  readonly #sessions: Map<string, Session> = new Map()
  /** The last claim or end under a name: the next one waits for it. */
  readonly #busy: Map<string, Promise<unknown>> = new Map()

  constructor(vhost: VirtualHost, metadata: Metadata, listeners: ReadonlySet<SessionListener>) {
    this.#vhost = vhost
    this.#metadata = metadata
    this.#listeners = listeners
  }

  get count(): number {
    return this.#sessions.size
  }

  get(name: string): Session | undefined {
    return this.#sessions.get(name)
  }

  list(): Iterable<Session> {
    return this.#sessions.values()
  }

  restore(stored: readonly StoredSession[]): void {
    for (const { expiryMs, state, ...spec } of stored) {
      this.#add(new Session(spec, this.#userOf(spec), { expiryMs: expiryMs ?? Infinity, state }))
    }
  }

  recovered(): void {
    for (const session of this.#sessions.values()) this.#ownerless(session)
  }

  /**
   * Takes the session from whoever has it; resolves when what is kept of it is stored. Rejects with
   * `LIMIT_EXCEEDED` where there are as many as there may be.
   */
  async claim(
    owner: SessionOwner,
    claim: Claim,
  ): Promise<{ readonly session: Session; readonly isResumed: boolean }> {
    return this.#inTurn(claim.spec.name, async () => {
      const { name, user } = claim.spec
      this.#sessions.get(name)?.owner?.sessionTaken()
      const kept = this.#sessions.get(name)
      const isKept = kept !== undefined && kept.expiryMs > 0 && kept.spec.user === user
      const isResumed = isKept && !claim.fresh
      if (kept !== undefined && !isResumed) await this.#end(kept)
      const session = isResumed ? kept : this.#make(claim)
      this.#vhost.timers.cancel(session.timer)
      session.timer = 0
      session.owner = owner
      session.expiryMs = claim.expiryMs
      await this.save(session)
      return { session, isResumed }
    })
  }

  /** Keeps the state and the expiry of a durable session as they are now. */
  async save(session: Session): Promise<void> {
    const { spec, state, expiryMs } = session
    if (!spec.durable || this.#sessions.get(spec.name) !== session) return
    const stored = { ...spec, state, expiryMs: expiryMs === Infinity ? null : expiryMs }
    await this.#metadata.putSession(this.#vhost.name, stored)
  }

  /** The owner goes. Nothing happens when it is not the owner any more. */
  release(session: Session, owner: SessionOwner): void {
    if (session.owner !== owner) return
    session.owner = null
    this.#ownerless(session)
  }

  /** Ends it with its queues. */
  async end(session: Session): Promise<void> {
    await this.#inTurn(session.name, async () => this.#end(session))
  }

  dispose(): void {
    for (const session of this.#sessions.values()) {
      this.#vhost.timers.cancel(session.timer)
      session.user.sessionCount--
    }
    this.#sessions.clear()
  }

  /** Throws `LIMIT_EXCEEDED` where there are as many as there may be. */
  #make(claim: Claim): Session {
    const { spec } = claim
    const user = this.#userOf(spec)
    this.#vhost.bounds.requireSession(spec.name, this.#sessions.size, user)
    return this.#add(new Session(spec, user, claim))
  }

  #add(session: Session): Session {
    this.#sessions.set(session.name, session)
    session.user.sessionCount++
    return session
  }

  #userOf({ user }: SessionSpec): Allowance {
    return this.#vhost.flows.user(user)
  }

  #ownerless(session: Session): void {
    const { expiryMs } = session
    if (expiryMs === Infinity) return
    if (expiryMs === 0) this.#endSoon(session)
    else {
      const { timers } = this.#vhost
      const target = { onTimer: () => this.#endSoon(session) }
      session.timer = timers.schedule(this.#vhost.now() + expiryMs, target)
    }
  }

  #endSoon(session: Session): void {
    const end = async (): Promise<void> => {
      // Somebody may have taken it up while the end waited for its turn.
      if (session.owner === null) await this.#end(session)
    }
    this.#inTurn(session.name, end).catch((error: unknown) => {
      this.#vhost.log.error({ err: error, session: session.name }, 'a session could not be ended')
    })
  }

  async #end(session: Session): Promise<void> {
    if (this.#sessions.get(session.name) !== session) return
    this.#sessions.delete(session.name)
    session.user.sessionCount--
    this.#vhost.timers.cancel(session.timer)
    for (const listener of this.#listeners) listener.sessionEnded(this.#vhost, session)
    const { destinations, durable } = session.spec
    const all = { ifUnused: false, ifEmpty: false }
    for (const name of destinations) await this.#vhost.deleteDestination(name, all)
    if (durable) await this.#metadata.deleteSession(this.#vhost.name, session.name)
  }

  /** One after the other for each name, in the order they came. */
  async #inTurn<Value>(name: string, action: () => Promise<Value>): Promise<Value> {
    const before = this.#busy.get(name)
    // Never in this call: an owner who lets go when he is told so would be before his own turn.
    const mine = (before ?? Promise.resolve()).then(action)
    const ended = mine.then(nothing, nothing)
    this.#busy.set(name, ended)
    try {
      return await mine
    } finally {
      if (this.#busy.get(name) === ended) this.#busy.delete(name)
    }
  }
}

function nothing(): void {}
