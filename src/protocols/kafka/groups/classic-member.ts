import type { TimerTarget } from '../../../broker/index.ts'
import type { GroupError } from './group-refusal.ts'

/** One way of assigning partitions that a member knows, with what it tells the leader for it. */
export interface ClassicProtocol {
  readonly name: string
  readonly metadata: Buffer
}

/** A JoinGroup request. The group copies what it keeps of the buffers. */
export interface JoinRequest {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  readonly protocols: readonly ClassicProtocol[]
  /** A new member is given an id first and has to join again with it (version 4 on). */
  readonly isIdRequired: boolean
  /** The leader understands that it need not assign anything (version 9 on). */
  readonly canSkipAssignment: boolean
}

export interface JoinedMember {
  readonly memberId: string
  readonly instanceId: string | null
  readonly metadata: Buffer
}

export interface JoinResult {
  readonly error: GroupError
  readonly memberId: string
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  /** For the leader only; the others get none. */
  readonly members: readonly JoinedMember[]
}

export interface SyncResult {
  readonly error: GroupError
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignment: Buffer
}

/** Called once, in the call that made it or later. */
export type JoinRespond = (result: JoinResult) => void
export type SyncRespond = (result: SyncResult) => void

export const NO_BYTES: Buffer = Buffer.alloc(0)

/** What `ClassicMember` tells when its time is over. */
export interface MemberExpiry {
  memberExpired(memberId: string): void
}

/** A consumer, or a Connect worker, as its group knows it; owned and changed by the group only. */
export class ClassicMember implements TimerTarget {
  memberId: string
  readonly instanceId: string | null
  clientId: string
  clientHost: string
  sessionTimeoutMs: number
  rebalanceTimeoutMs: number
  protocolType: string
  protocols: readonly ClassicProtocol[] = []
  assignment: Buffer = NO_BYTES
  /** A JoinGroup that waits for the others. */
  joining: JoinRespond | null = null
  /** A SyncGroup that waits for the leader's. */
  syncing: SyncRespond | null = null
  /** Has not had its first answer, so it cannot send heartbeats: its parked join may expire. */
  isNew = false
  /** Of the session; 0: none. */
  timer = 0
  readonly #expiry: MemberExpiry

  constructor(memberId: string, request: JoinRequest, expiry: MemberExpiry) {
    this.memberId = memberId
    this.instanceId = request.instanceId
    this.clientId = request.clientId
    this.clientHost = request.clientHost
    this.sessionTimeoutMs = request.sessionTimeoutMs
    this.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    this.protocolType = request.protocolType
    this.#expiry = expiry
  }

  get isStatic(): boolean {
    return this.instanceId !== null
  }

  /** What it has us keep, in bytes. */
  get heldBytes(): number {
    return protocolBytes(this.protocols) + this.assignment.length
  }

  onTimer(): void {
    this.timer = 0
    this.#expiry.memberExpired(this.memberId)
  }

  metadataFor(protocolName: string): Buffer {
    return this.protocols.find(({ name }) => name === protocolName)?.metadata ?? NO_BYTES
  }

  /** Says the same as when it joined, so nobody has to learn anything. */
  matches(protocols: readonly ClassicProtocol[]): boolean {
    if (protocols.length !== this.protocols.length) return false
    return this.protocols.every(({ name, metadata }, index) => {
      const other = protocols[index]!
      return other.name === name && metadata.equals(other.metadata)
    })
  }
}

/** What protocols of a request take once they are kept. */
export function protocolBytes(protocols: readonly ClassicProtocol[]): number {
  let bytes = 0
  for (const { name, metadata } of protocols) bytes += name.length + metadata.length
  return bytes
}

export function failedJoin(error: GroupError, memberId: string): JoinResult {
  return {
    error,
    memberId,
    generation: -1,
    protocolType: null,
    protocolName: null,
    leader: '',
    skipAssignment: false,
    members: [],
  }
}

export function failedSync(error: GroupError): SyncResult {
  return { error, protocolType: null, protocolName: null, assignment: NO_BYTES }
}
