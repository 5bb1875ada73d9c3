/** A partition of a topic, as Kafka's clients name it. */
export interface SharedPlace {
  readonly topicId: string
  readonly partition: number
}

/** Why a request does not fit to its session, in Kafka's words. */
export type ShareSessionError =
  | 'INVALID_SHARE_SESSION_EPOCH'
  | 'SHARE_SESSION_LIMIT_REACHED'
  | 'SHARE_SESSION_NOT_FOUND'

/** The first request of a session has this epoch, the last one the other. */
export const FIRST_EPOCH = 0
export const FINAL_EPOCH = -1
const EPOCH_MAX = 0x7fff_ffff

/** What one member reads of one broker, request by request (KIP-932). */
export class ShareSession {
  readonly groupId: string
  readonly memberId: string
  /** The client that reads: with it goes the session. */
  readonly owner: object
  /** The epoch that the next request must have. */
  nextEpoch = 1
  /** In the order in which they are read next. */
  readonly #places: Map<string, SharedPlace> = new Map()

  constructor(groupId: string, memberId: string, owner: object) {
    this.groupId = groupId
    this.memberId = memberId
    this.owner = owner
  }

  get placeCount(): number {
    return this.#places.size
  }

  places(): Iterable<SharedPlace> {
    return this.#places.values()
  }

  add(place: SharedPlace): void {
    const key = keyOf(place)
    if (!this.#places.has(key)) this.#places.set(key, place)
  }

  forget(place: SharedPlace): void {
    this.#places.delete(keyOf(place))
  }

  /** What was read goes to the end, so that all partitions have their turn. */
  rotate(place: SharedPlace): void {
    const key = keyOf(place)
    if (this.#places.delete(key)) this.#places.set(key, place)
  }
}

/** The sessions of all share consumers of a virtual host: one for each member. */
export class ShareSessions {
  readonly #sessionsMax: number
  readonly #sessions: Map<string, ShareSession> = new Map()

  constructor(sessionsMax: number) {
    this.#sessionsMax = sessionsMax
  }

  get size(): number {
    return this.#sessions.size
  }

  /** A session begins, in place of the one the member had before. */
  open(groupId: string, memberId: string, owner: object): ShareSession | ShareSessionError {
    const key = sessionKey(groupId, memberId)
    if (!this.#sessions.has(key) && this.#sessions.size >= this.#sessionsMax) {
      return 'SHARE_SESSION_LIMIT_REACHED'
    }
    const session = new ShareSession(groupId, memberId, owner)
    this.#sessions.set(key, session)
    return session
  }

  /** The session as the request goes on with it, or ends it. */
  advance(groupId: string, memberId: string, epoch: number): ShareSession | ShareSessionError {
    const session = this.#sessions.get(sessionKey(groupId, memberId))
    if (session === undefined) return 'SHARE_SESSION_NOT_FOUND'
    if (epoch === FINAL_EPOCH) return session
    if (epoch !== session.nextEpoch) return 'INVALID_SHARE_SESSION_EPOCH'
    session.nextEpoch = epoch === EPOCH_MAX ? 1 : epoch + 1
    return session
  }

  close({ groupId, memberId }: ShareSession): void {
    this.#sessions.delete(sessionKey(groupId, memberId))
  }

  /** Those of a client that is gone. */
  closeOwned(owner: object): ShareSession[] {
    const owned = [...this.#sessions.values()].filter((session) => session.owner === owner)
    for (const session of owned) this.close(session)
    return owned
  }
}

function keyOf({ topicId, partition }: SharedPlace): string {
  return `${topicId}/${partition}`
}

function sessionKey(groupId: string, memberId: string): string {
  return `${memberId}/${groupId}`
}
