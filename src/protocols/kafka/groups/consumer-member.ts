import type { TimerTarget } from '../../../broker/index.ts'
import { type DatedAssignment, NO_PARTITIONS, type TopicPartitions } from './assignment.ts'

/** How far a member is on its way to what it shall have. */
export type MemberState = 'stable' | 'unrevoked' | 'unreleased'

/** A ConsumerGroupHeartbeat request; what is null, or -1, has not changed since the last one. */
export interface ConsumerHeartbeat {
  readonly memberId: string
  /** 0: joins, -1: leaves, -2: a static member leaves for a while. */
  readonly memberEpoch: number
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly rebalanceTimeoutMs: number
  readonly topicNames: readonly string[] | null
  readonly pattern: string | null
  readonly assignor: string | null
  /** What the client says it has at present. */
  readonly owned: readonly TopicPartitions[] | null
  readonly clientId: string
  readonly clientHost: string
  /** The client makes its own member id (version 1 on). */
  readonly makesOwnId: boolean
}

/** Whom a member tells that a time of its is over. */
export interface ConsumerExpiry {
  sessionExpired(memberId: string): void
  revocationExpired(memberId: string, memberEpoch: number): void
}

export const SESSION_TIMER = 1
export const REVOCATION_TIMER = 2

/** A member of a consumer group; owned and changed by its group only. */
export class ConsumerMember implements TimerTarget {
  readonly memberId: string
  readonly instanceId: string | null
  rackId: string | null = null
  clientId = ''
  clientHost = ''
  rebalanceTimeoutMs = -1
  /** Each once, in order. */
  topicNames: readonly string[] = []
  /** A regular expression; empty: none. */
  pattern = ''
  assignor: string | null = null
  epoch = 0
  previousEpoch = -1
  state: MemberState = 'stable'
  /** What it may read. */
  assigned: DatedAssignment = NO_PARTITIONS
  /** What it has to give back before it gets anything else. */
  revoking: DatedAssignment = NO_PARTITIONS
  sessionTimer = 0
  revocationTimer = 0
  readonly #expiry: ConsumerExpiry

  constructor(memberId: string, instanceId: string | null, expiry: ConsumerExpiry) {
    this.memberId = memberId
    this.instanceId = instanceId
    this.#expiry = expiry
  }

  /** A static member that comes back under another id; it has what the former one had. */
  static successor(former: ConsumerMember, memberId: string): ConsumerMember {
    const member = new ConsumerMember(memberId, former.instanceId, former.#expiry)
    member.rackId = former.rackId
    member.rebalanceTimeoutMs = former.rebalanceTimeoutMs
    member.topicNames = former.topicNames
    member.pattern = former.pattern
    member.assignor = former.assignor
    member.previousEpoch = 0
    member.state = former.state
    member.assigned = former.assigned
    member.revoking = former.revoking
    return member
  }

  /** What it has us keep, in bytes, beside the object itself. */
  get heldBytes(): number {
    let bytes = this.pattern.length
    for (const name of this.topicNames) bytes += name.length
    return bytes
  }

  isReconciledTo(targetEpoch: number): boolean {
    return this.state === 'stable' && this.epoch === targetEpoch
  }

  onTimer(value: number): void {
    if (value === SESSION_TIMER) {
      this.sessionTimer = 0
      this.#expiry.sessionExpired(this.memberId)
    } else {
      this.revocationTimer = 0
      this.#expiry.revocationExpired(this.memberId, this.epoch)
    }
  }
}
