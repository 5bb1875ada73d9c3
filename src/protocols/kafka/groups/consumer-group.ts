import {
  type Assignment,
  holdsSame,
  isWithin,
  NO_PARTITIONS,
  type TopicPartitions,
  toTopicPartitions,
} from './assignment.ts'
import type { Assignor } from './assignor.ts'
import type { GroupParts, MemberClaim } from './classic-group.ts'
import {
  type ConsumerExpiry,
  type ConsumerHeartbeat,
  ConsumerMember,
  REVOCATION_TIMER,
  SESSION_TIMER,
} from './consumer-member.ts'
import { type GroupError, GroupRefusal } from './group-refusal.ts'
import { GroupSubscriptions } from './group-subscriptions.ts'
import { randomUuid } from './member-id.ts'
import { PartitionOwners } from './partition-owners.ts'
import { assignRanges } from './range-assignor.ts'
import { reconcile, type Standing } from './reconciliation.ts'
import type { TopicCatalog } from './topic-catalog.ts'
import { assignUniformly } from './uniform-assignor.ts'

/** In Kafka's spelling, which its tools show. */
export type ConsumerGroupState = 'Empty' | 'Assigning' | 'Reconciling' | 'Stable' | 'Dead'

export interface ConsumerAnswer {
  readonly memberId: string
  readonly memberEpoch: number
  readonly heartbeatIntervalMs: number
  /** null: as before. */
  readonly assignment: readonly TopicPartitions[] | null
}

export interface ConsumerMemberView {
  readonly memberId: string
  readonly instanceId: string | null
  readonly rackId: string | null
  readonly memberEpoch: number
  readonly clientId: string
  readonly clientHost: string
  readonly topicNames: readonly string[]
  readonly pattern: string
  readonly assignment: readonly TopicPartitions[]
  readonly target: readonly TopicPartitions[]
}

export interface ConsumerGroupView {
  readonly state: ConsumerGroupState
  readonly epoch: number
  readonly assignmentEpoch: number
  readonly assignor: string
  readonly members: readonly ConsumerMemberView[]
}

const JOIN_EPOCH = 0
const LEAVE_STATIC_EPOCH = -2

/** The first one is taken when no member asks for another. */
const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map([
  ['uniform', assignUniformly],
  ['range', assignRanges],
])
const FIRST_ASSIGNOR = 'uniform'

const NO_ASSIGNMENT: Assignment = new Map()

/**
 * A group of the consumer protocol, in which the broker assigns: members say by heartbeats what
 * they subscribe to and what they have, and are told what to give back and what to take.
 *
 * Whatever changes subscriptions or topics makes a new group epoch; with it a new target is made for
 * everybody at once, and each member goes there at its own pace (`reconciliation.ts`). Nothing is
 * kept over a restart: members are then unknown, and join again.
 */
export class ConsumerGroup implements ConsumerExpiry {
  readonly type = 'consumer'
  readonly protocolType = 'consumer'
  readonly id: string
  readonly #parts: GroupParts
  readonly #members: Map<string, ConsumerMember> = new Map()
  readonly #staticIds: Map<string, string> = new Map()
  readonly #subscriptions: GroupSubscriptions
  readonly #owners = new PartitionOwners()
  #targets: Map<string, Assignment> = new Map()
  #epoch = 0
  #assignmentEpoch = 0
  #heldBytes = 0
  /** What a member last said it subscribes to: most say the same. */
  #lastNames: readonly string[] = []
  #isDead = false
  #emptySinceMs: number

  constructor(id: string, catalog: TopicCatalog, parts: GroupParts) {
    this.id = id
    this.#parts = parts
    this.#subscriptions = new GroupSubscriptions(catalog, parts.limits)
    this.#emptySinceMs = parts.clock.now()
  }

  get state(): ConsumerGroupState {
    if (this.#isDead) return 'Dead'
    if (this.#members.size === 0) return 'Empty'
    if (this.#epoch > this.#assignmentEpoch) return 'Assigning'
    for (const member of this.#members.values()) {
      if (!member.isReconciledTo(this.#assignmentEpoch)) return 'Reconciling'
    }
    return 'Stable'
  }

  get epoch(): number {
    return this.#epoch
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  get memberCount(): number {
    return this.#members.size
  }

  get emptySinceMs(): number {
    return this.#emptySinceMs
  }

  /** Throws `GroupRefusal`. */
  heartbeat(request: ConsumerHeartbeat): ConsumerAnswer {
    checkRequest(request)
    if (request.memberEpoch < JOIN_EPOCH) return this.#leave(request)
    const member = this.#memberOf(request)
    const before = member.assigned
    const { hasNames, hasPattern } = this.#update(member, request)
    if (this.#epoch === 0 || hasNames || hasPattern) {
      this.#subscriptions.refresh()
      this.#epoch += 1
    } else if (this.#subscriptions.isOutdated && this.#subscriptions.refresh()) {
      this.#epoch += 1
    }
    if (this.#epoch > this.#assignmentEpoch) this.#assign()
    this.#reconcile(member, request.owned, hasNames || hasPattern)
    const times = this.#parts.memberTimes(this.id, this.#members.size)
    this.#keepAlive(member, times.sessionTimeoutMs)
    const isFull =
      request.rebalanceTimeoutMs !== -1 &&
      (request.topicNames !== null || request.pattern !== null) &&
      request.owned !== null
    const isTold =
      request.memberEpoch === JOIN_EPOCH || isFull || !holdsSame(before, member.assigned)
    return {
      memberId: member.memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: times.heartbeatIntervalMs,
      assignment: isTold ? toTopicPartitions(member.assigned) : null,
    }
  }

  /**
   * Whether offsets may be committed in the name of a member. One that is an epoch behind may still
   * commit what it had already in the epoch it knows.
   */
  commitFault(
    claim: MemberClaim,
    commit: {
      readonly isTransactional: boolean
      readonly isVersionOld: boolean
      readonly partitions: readonly TopicPartitions[]
    },
  ): GroupError {
    const { memberId, instanceId, generation } = claim
    if (generation < 0 && this.#members.size === 0) return 'NONE'
    const isAnonymous = generation < 0 && memberId === '' && instanceId === null
    if (commit.isTransactional && isAnonymous) return 'NONE'
    const member = this.#members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    if (!commit.isTransactional && commit.isVersionOld) return 'UNSUPPORTED_VERSION'
    if (generation === member.epoch) return 'NONE'
    if (generation > member.epoch || generation < 0) return 'STALE_MEMBER_EPOCH'
    const isEntitled = commit.partitions.every(({ topicId, partitions }) =>
      partitions.every((partition) => {
        const givenEpoch = member.assigned.get(topicId)?.get(partition)
        return givenEpoch !== undefined && givenEpoch <= generation
      }),
    )
    return isEntitled ? 'NONE' : 'STALE_MEMBER_EPOCH'
  }

  /** Whether offsets may be fetched in the name of a member; anybody else may always. */
  fetchFault(memberId: string | null, memberEpoch: number): GroupError {
    if (memberId === null || (memberId === '' && memberEpoch < 0)) return 'NONE'
    const member = this.#members.get(memberId)
    if (member === undefined) return 'UNKNOWN_MEMBER_ID'
    return member.epoch === memberEpoch ? 'NONE' : 'STALE_MEMBER_EPOCH'
  }

  isSubscribedTo(name: string): boolean {
    return this.#subscriptions.isSubscribedTo(name)
  }

  describe(): ConsumerGroupView {
    const members = Array.from(this.#members.values(), (member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      topicNames: member.topicNames,
      pattern: member.pattern,
      assignment: toTopicPartitions(member.assigned),
      target: toTopicPartitions(this.#targets.get(member.memberId) ?? NO_ASSIGNMENT),
    }))
    return {
      state: this.state,
      epoch: this.#epoch,
      assignmentEpoch: this.#assignmentEpoch,
      assignor: this.#assignorName(),
      members,
    }
  }

  /** Ends the group: no timer is left. */
  close(): void {
    this.#isDead = true
    for (const member of [...this.#members.values()]) this.#drop(member)
  }

  sessionExpired(memberId: string): void {
    this.#fence(memberId)
  }

  revocationExpired(memberId: string, memberEpoch: number): void {
    const member = this.#members.get(memberId)
    if (member === undefined || member.epoch !== memberEpoch) return
    if (member.state === 'unrevoked') this.#fence(memberId)
  }

  #leave({ memberId, memberEpoch, instanceId }: ConsumerHeartbeat): ConsumerAnswer {
    const member =
      instanceId === null ? this.#known(memberId) : this.#knownStatic(instanceId, memberId)
    if (memberEpoch === LEAVE_STATIC_EPOCH) {
      // It is expected back within its session; what it had waits for it.
      this.#place(member, {
        state: member.state,
        epoch: LEAVE_STATIC_EPOCH,
        assigned: member.assigned,
        revoking: NO_PARTITIONS,
      })
      this.#stopRevocation(member)
    } else {
      this.#fence(memberId)
    }
    return { memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
  }

  #memberOf(request: ConsumerHeartbeat): ConsumerMember {
    const { limits } = this.#parts
    const isJoin = request.memberEpoch === JOIN_EPOCH
    const isKnown = request.memberId !== '' && this.#members.has(request.memberId)
    const former = request.instanceId === null ? undefined : this.#staticIds.get(request.instanceId)
    if (!isKnown && former === undefined && this.#members.size >= limits.membersMax) {
      throw new GroupRefusal(
        'GROUP_MAX_SIZE_REACHED',
        `The consumer group has reached its maximum capacity of ${limits.membersMax} members.`,
      )
    }
    const memberId = request.memberId === '' ? randomUuid(this.#parts.random) : request.memberId
    if (request.instanceId !== null) {
      if (isJoin) return this.#joinStatic(request.instanceId, memberId, request)
      const member = this.#knownStatic(request.instanceId, memberId)
      checkEpoch(member, request)
      return member
    }
    if (isJoin && !isKnown) return this.#create(memberId, request)
    const member = this.#known(memberId)
    checkEpoch(member, request)
    return member
  }

  #joinStatic(instanceId: string, memberId: string, request: ConsumerHeartbeat): ConsumerMember {
    const formerId = this.#staticIds.get(instanceId)
    if (formerId === undefined) return this.#create(memberId, request)
    const former = this.#members.get(formerId)!
    // The same client asks again: its first answer was lost.
    if (formerId === memberId) return former
    if (former.epoch !== LEAVE_STATIC_EPOCH) {
      throw new GroupRefusal(
        'UNRELEASED_INSTANCE_ID',
        `Static member ${memberId} with instance id ${instanceId} cannot join the group because ` +
          `the instance id is owned by ${formerId} member.`,
      )
    }
    this.#check(request, former)
    this.#stopTimers(former)
    const member = ConsumerMember.successor(former, memberId)
    this.#members.delete(formerId)
    this.#members.set(memberId, member)
    this.#staticIds.set(instanceId, memberId)
    const target = this.#targets.get(formerId)
    this.#targets.delete(formerId)
    if (target !== undefined) this.#targets.set(memberId, target)
    return member
  }

  #create(memberId: string, request: ConsumerHeartbeat): ConsumerMember {
    this.#check(request, null)
    const member = new ConsumerMember(memberId, request.instanceId, this)
    this.#members.set(memberId, member)
    if (request.instanceId !== null) this.#staticIds.set(request.instanceId, memberId)
    this.#parts.membersChanged(this.id, this.#members.size)
    return member
  }

  /** Refuses what could not be kept, before anything has changed. */
  #check(request: ConsumerHeartbeat, member: ConsumerMember | null): void {
    if (request.pattern !== null) this.#subscriptions.check(request.pattern)
    const { limits, budget } = this.#parts
    let bytes = (request.pattern ?? '').length - (member?.heldBytes ?? 0)
    for (const name of request.topicNames ?? []) bytes += name.length
    const isTooMuch =
      this.#heldBytes + bytes > limits.groupBytesMax || budget.heldBytes + bytes > limits.bytesMax
    if (bytes > 0 && isTooMuch) {
      throw new GroupRefusal(
        'GROUP_MAX_SIZE_REACHED',
        `The subscriptions of the group exceed ${limits.groupBytesMax} bytes.`,
      )
    }
  }

  /** Takes over what the member says of itself. */
  #update(
    member: ConsumerMember,
    request: ConsumerHeartbeat,
  ): { readonly hasNames: boolean; readonly hasPattern: boolean } {
    const { topicNames, pattern } = request
    this.#check(request, member)
    const names = topicNames === null ? member.topicNames : this.#kept(topicNames)
    const hasNames = !areEqual(names, member.topicNames)
    const hasPattern = pattern !== null && pattern !== member.pattern
    if (hasNames || hasPattern) {
      const former = { topicNames: member.topicNames, pattern: member.pattern }
      this.#hold(-member.heldBytes)
      member.topicNames = names
      member.pattern = pattern ?? member.pattern
      this.#hold(member.heldBytes)
      this.#subscriptions.add(member)
      this.#subscriptions.remove(former)
    }
    member.rackId = request.rackId ?? member.rackId
    if (request.rebalanceTimeoutMs !== -1) member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    member.assignor = request.assignor ?? member.assignor
    member.clientId = request.clientId
    member.clientHost = request.clientHost
    return { hasNames, hasPattern }
  }

  /** Each name once and in order; the same list as another member's, if that is the same. */
  #kept(topicNames: readonly string[]): readonly string[] {
    const names = [...new Set(topicNames)].toSorted()
    if (!areEqual(names, this.#lastNames)) this.#lastNames = names
    return this.#lastNames
  }

  /** Makes a new target for everybody. */
  #assign(): void {
    let last: ConsumerMember | null = null
    let topicIds: ReadonlySet<string> = new Set()
    const members = Array.from(this.#members.values(), (member) => {
      // Members with the same subscription share one set, which assignors notice.
      const isSame = last?.topicNames === member.topicNames && last.pattern === member.pattern
      if (!isSame) topicIds = this.#subscriptions.topicIds(member)
      last = member
      const current = this.#targets.get(member.memberId) ?? NO_ASSIGNMENT
      return { memberId: member.memberId, instanceId: member.instanceId, topicIds, current }
    })
    const assignor = ASSIGNORS.get(this.#assignorName())!
    this.#targets = assignor({ members, partitionCounts: this.#subscriptions.partitionCounts })
    this.#assignmentEpoch = this.#epoch
  }

  #reconcile(
    member: ConsumerMember,
    owned: readonly TopicPartitions[] | null,
    isResubscribed: boolean,
  ): void {
    if (!isResubscribed && member.isReconciledTo(this.#assignmentEpoch)) return
    const standing = reconcile(member, {
      epoch: this.#assignmentEpoch,
      target: this.#targets.get(member.memberId) ?? NO_ASSIGNMENT,
      subscribedIds: this.#subscriptions.topicIds(member),
      isFree: (topicId, partition) => this.#owners.isFree(topicId, partition),
      owned,
      isResubscribed,
    })
    if (standing === null) return
    this.#place(member, standing)
    if (member.state !== 'unrevoked') this.#stopRevocation(member)
    else if (member.revocationTimer === 0) this.#startRevocation(member)
  }

  #place(member: ConsumerMember, standing: Standing): void {
    this.#owners.remove(member.assigned)
    this.#owners.remove(member.revoking)
    member.state = standing.state
    member.previousEpoch = member.epoch
    member.epoch = standing.epoch
    member.assigned = standing.assigned
    member.revoking = standing.revoking
    this.#owners.add(member.assigned)
    this.#owners.add(member.revoking)
  }

  /** Removes a member, and makes the others share what it had. */
  #fence(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member === undefined) return
    this.#drop(member)
    this.#subscriptions.refresh()
    this.#epoch += 1
    if (this.#members.size > 0) return
    this.#assignmentEpoch = this.#epoch
    this.#emptySinceMs = this.#parts.clock.now()
  }

  #drop(member: ConsumerMember): void {
    this.#stopTimers(member)
    this.#owners.remove(member.assigned)
    this.#owners.remove(member.revoking)
    this.#hold(-member.heldBytes)
    this.#subscriptions.remove(member)
    this.#targets.delete(member.memberId)
    this.#members.delete(member.memberId)
    if (member.instanceId !== null) this.#staticIds.delete(member.instanceId)
    this.#parts.membersChanged(this.id, this.#members.size)
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#parts.budget.heldBytes += bytes
  }

  #keepAlive(member: ConsumerMember, sessionTimeoutMs: number): void {
    const { timers, clock } = this.#parts
    const dueMs = clock.now() + sessionTimeoutMs
    if (timers.reschedule(member.sessionTimer, dueMs)) return
    member.sessionTimer = timers.schedule(dueMs, member, SESSION_TIMER)
  }

  #startRevocation(member: ConsumerMember): void {
    const { timers, clock } = this.#parts
    const dueMs = clock.now() + member.rebalanceTimeoutMs
    member.revocationTimer = timers.schedule(dueMs, member, REVOCATION_TIMER)
  }

  #stopRevocation(member: ConsumerMember): void {
    this.#parts.timers.cancel(member.revocationTimer)
    member.revocationTimer = 0
  }

  #stopTimers(member: ConsumerMember): void {
    this.#stopRevocation(member)
    this.#parts.timers.cancel(member.sessionTimer)
    member.sessionTimer = 0
  }

  #known(memberId: string): ConsumerMember {
    const member = this.#members.get(memberId)
    if (member === undefined) {
      throw new GroupRefusal(
        'UNKNOWN_MEMBER_ID',
        `Member ${memberId} is not a member of group ${this.id}.`,
      )
    }
    return member
  }

  #knownStatic(instanceId: string, memberId: string): ConsumerMember {
    const currentId = this.#staticIds.get(instanceId)
    if (currentId === undefined) {
      throw new GroupRefusal('UNKNOWN_MEMBER_ID', `Instance id ${instanceId} is unknown.`)
    }
    if (currentId !== memberId) {
      throw new GroupRefusal(
        'FENCED_INSTANCE_ID',
        `Static member ${memberId} with instance id ${instanceId} was fenced by member ` +
          `${currentId}.`,
      )
    }
    return this.#members.get(currentId)!
  }

  /** What most members ask for. */
  #assignorName(): string {
    const votes = new Map<string, number>()
    let elected = FIRST_ASSIGNOR
    let votesMax = 0
    for (const { assignor } of this.#members.values()) {
      if (assignor === null) continue
      const count = (votes.get(assignor) ?? 0) + 1
      votes.set(assignor, count)
      if (count <= votesMax) continue
      votesMax = count
      elected = assignor
    }
    return elected
  }
}

function checkRequest(request: ConsumerHeartbeat): void {
  const { memberEpoch, memberId, instanceId, assignor } = request
  expect(instanceId !== '', "InstanceId can't be empty.")
  expect(request.rackId !== '', "RackId can't be empty.")
  expect(memberEpoch >= LEAVE_STATIC_EPOCH, 'MemberEpoch is invalid.')
  const needsId = memberEpoch !== JOIN_EPOCH || request.makesOwnId
  expect(!needsId || memberId !== '', "MemberId can't be empty.")
  if (memberEpoch === LEAVE_STATIC_EPOCH) expect(instanceId !== null, "InstanceId can't be null.")
  if (memberEpoch === JOIN_EPOCH) {
    expect(
      request.rebalanceTimeoutMs !== -1,
      'RebalanceTimeoutMs must be provided in first request.',
    )
    expect(
      request.owned !== null && request.owned.length === 0,
      'TopicPartitions must be empty when (re-)joining.',
    )
    expect(
      request.topicNames !== null || request.pattern !== null,
      'Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.',
    )
  }
  if (assignor !== null && !ASSIGNORS.has(assignor)) {
    throw new GroupRefusal(
      'UNSUPPORTED_ASSIGNOR',
      `ServerAssignor ${assignor} is not supported. Supported assignors: ${[...ASSIGNORS.keys()].join(', ')}.`,
    )
  }
}

function expect(condition: boolean, message: string): void {
  if (!condition) throw new GroupRefusal('INVALID_REQUEST', message)
}

/** A member may be one answer behind when that was lost, as long as it took nothing else. */
function checkEpoch(member: ConsumerMember, request: ConsumerHeartbeat): void {
  const { memberEpoch, owned } = request
  if (memberEpoch === JOIN_EPOCH || memberEpoch === member.epoch) return
  const isGreater = memberEpoch > member.epoch
  const isBehind = memberEpoch === member.previousEpoch && isWithin(owned, member.assigned)
  if (!isGreater && isBehind) return
  throw new GroupRefusal(
    'FENCED_MEMBER_EPOCH',
    `The consumer group member has a ${isGreater ? 'greater' : 'smaller'} member epoch ` +
      `(${memberEpoch}) than the one known by the group coordinator (${member.epoch}). ` +
      'The member must abandon all its partitions and rejoin.',
  )
}

function areEqual(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true
  return left.length === right.length && left.every((name, index) => name === right[index])
}
