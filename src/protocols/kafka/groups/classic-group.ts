import type { TimerIndex, TimerTarget } from '../../../broker/index.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { RandomSource } from '../../../lib/random.ts'
import {
  ClassicMember,
  failedJoin,
  failedSync,
  type JoinedMember,
  type JoinRequest,
  type JoinRespond,
  type MemberExpiry,
  NO_BYTES,
  protocolBytes,
  type SyncRespond,
} from './classic-member.ts'
import { ClassicRoster, type GroupBudget } from './classic-roster.ts'
import type { GroupError } from './group-refusal.ts'
import type { GroupLimits, MemberTimes } from './limits.ts'
import { randomUuid } from './member-id.ts'
import { PendingMembers } from './pending-members.ts'

/** What every group is made with. */
export interface GroupParts {
  readonly timers: TimerIndex
  readonly clock: Clock
  readonly random: RandomSource
  readonly limits: GroupLimits
  readonly budget: GroupBudget
  /** The group has so many members now. */
  readonly membersChanged: (groupId: string, count: number) => void
  /** How often members of this group shall come; of groups that are assigned by the broker. */
  readonly memberTimes: (groupId: string, memberCount: number) => MemberTimes
}

/** In Kafka's spelling, which its tools show. */
export type ClassicState =
  | 'Empty'
  | 'PreparingRebalance'
  | 'CompletingRebalance'
  | 'Stable'
  | 'Dead'

/** Who asks: `generation` below 0 and an empty id stand for nobody in particular. */
export interface MemberClaim {
  readonly memberId: string
  readonly instanceId: string | null
  readonly generation: number
}

export interface SyncRequest extends MemberClaim {
  readonly protocolType: string | null
  readonly protocolName: string | null
  /** From the leader; the others send none. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
}

export interface ClassicMemberView {
  readonly memberId: string
  readonly instanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly metadata: Buffer
  readonly assignment: Buffer
}

export interface ClassicGroupView {
  readonly state: ClassicState
  readonly protocolType: string
  readonly protocolName: string
  readonly members: readonly ClassicMemberView[]
}

const JOIN_TIMER = 1
const SYNC_TIMER = 2

/**
 * A group of the classic protocol, in which the clients assign partitions among themselves:
 *
 * ```
 * Empty ──join──▶ PreparingRebalance ──all joined──▶ CompletingRebalance ──leader's sync──▶ Stable
 *   ▲                 │  ▲      ▲                            │                                │
 *   └──nobody joined──┘  │      └──────── join, leave ───────┘                                │
 *                        └──────────────────── join, leave, session over ─────────────────────┘
 * ```
 *
 * It knows neither sockets nor topics. Joins and syncs are parked as callbacks; whatever waits too
 * long is answered or removed by a timer, so nothing waits for ever.
 */
export class ClassicGroup implements TimerTarget, MemberExpiry {
  readonly type = 'classic'
  readonly id: string
  readonly #parts: GroupParts
  readonly #roster: ClassicRoster
  readonly #pending: PendingMembers
  /** Members of this generation that have not asked for their assignment yet. */
  readonly #unsynced: Set<string> = new Set()
  #state: ClassicState = 'Empty'
  #generation = 0
  #protocolName: string | null = null
  #joinTimer = 0
  #syncTimer = 0
  /** The group was empty before this rebalance: it waits for more members to come. */
  #isInitial = false
  #hasNewcomer = false
  #initialDelayMs = 0
  #initialRemainingMs = 0
  /** Since when it has had no member. */
  #emptySinceMs: number

  constructor(id: string, parts: GroupParts) {
    this.id = id
    this.#parts = parts
    this.#pending = new PendingMembers(parts, this)
    this.#roster = new ClassicRoster(parts.budget, (count) => parts.membersChanged(id, count))
    this.#emptySinceMs = parts.clock.now()
  }

  get state(): ClassicState {
    return this.#state
  }

  get generation(): number {
    return this.#generation
  }

  get protocolType(): string {
    return this.#roster.protocolType ?? ''
  }

  get memberCount(): number {
    return this.#roster.size
  }

  /** Without members, also without those that are about to join. */
  get isEmpty(): boolean {
    return this.#roster.size === 0 && this.#pending.size === 0
  }

  get emptySinceMs(): number {
    return this.#emptySinceMs
  }

  join(request: JoinRequest, respond: JoinRespond): void {
    const { memberId, instanceId } = request
    if (!this.#hasRoomFor(request)) {
      this.#pending.forget(memberId)
      respond(failedJoin('GROUP_MAX_SIZE_REACHED', ''))
      return
    }
    const isUnknown = memberId === ''
    if (!this.#roster.suits(request.protocolType, request.protocols)) {
      respond(failedJoin('INCONSISTENT_GROUP_PROTOCOL', memberId))
    } else if (!isUnknown) {
      this.#joinAgain(request, respond)
    } else if (instanceId !== null) {
      this.#joinStatic(request, instanceId, respond)
    } else if (request.isIdRequired) {
      const newId = this.#newMemberId(request.clientId)
      this.#pending.await(newId, request.sessionTimeoutMs)
      respond(failedJoin('MEMBER_ID_REQUIRED', newId))
    } else {
      this.#add(this.#newMemberId(request.clientId), request, respond)
    }
  }

  sync(request: SyncRequest, respond: SyncRespond): void {
    const error = this.#syncFault(request)
    if (error !== 'NONE') {
      respond(failedSync(error))
      return
    }
    const member = this.#roster.get(request.memberId)!
    this.#synced(member)
    if (this.#state === 'Stable') {
      respond(this.#syncResult(member))
      return
    }
    // A repeated request stands for the first one, whose connection is most likely gone.
    member.syncing?.(failedSync('REBALANCE_IN_PROGRESS'))
    member.syncing = respond
    if (member.memberId === this.#roster.leaderId) this.#assign(request.assignments)
  }

  heartbeat(claim: MemberClaim): GroupError {
    const error = this.#claimFault(claim)
    if (error !== 'NONE') return error
    this.#keepAlive(this.#roster.get(claim.memberId)!)
    return this.#state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE'
  }

  /** Removes members one by one; one rebalance follows for all. */
  leave(
    members: readonly { readonly memberId: string; readonly instanceId: string | null }[],
  ): GroupError[] {
    const errors = members.map(({ memberId, instanceId }) => this.#leaveOne(memberId, instanceId))
    if (errors.includes('NONE')) this.#membersLeft()
    return errors
  }

  /** Whether offsets may be committed in the name of a member, or of nobody. */
  commitFault(claim: MemberClaim, isTransactional: boolean): GroupError {
    const isAnonymous = claim.generation < 0 && claim.memberId === '' && claim.instanceId === null
    if (claim.generation < 0 && this.#state === 'Empty') return 'NONE'
    if (isAnonymous) return isTransactional ? 'NONE' : 'UNKNOWN_MEMBER_ID'
    const error = this.#claimFault(claim)
    if (error !== 'NONE') return error
    if (isTransactional) return 'NONE'
    // It knows this generation, but nobody has an assignment of it yet.
    if (this.#state === 'CompletingRebalance') return 'REBALANCE_IN_PROGRESS'
    this.#keepAlive(this.#roster.get(claim.memberId)!)
    return 'NONE'
  }

  describe(): ClassicGroupView {
    const isStable = this.#state === 'Stable'
    const protocolName = isStable ? (this.#protocolName ?? '') : ''
    const members = Array.from(this.#roster.all(), (member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      metadata: isStable ? member.metadataFor(protocolName) : NO_BYTES,
      assignment: isStable ? member.assignment : NO_BYTES,
    }))
    return { state: this.#state, protocolType: this.protocolType, protocolName, members }
  }

  /** What members say of their subscriptions, for those who must know them; null: it says nothing. */
  subscriptions(): Iterable<Buffer> | null {
    const protocolName = this.#protocolName
    if (protocolName === null) return null
    return Array.from(this.#roster.all(), (member) => member.metadataFor(protocolName))
  }

  /** Ends the group: whoever waits is answered, no timer is left. */
  close(): void {
    this.#state = 'Dead'
    this.#stop('joinTimer')
    this.#stop('syncTimer')
    this.#pending.clear()
    for (const member of [...this.#roster.all()]) this.#remove(member)
  }

  onTimer(value: number): void {
    if (value === SYNC_TIMER) {
      this.#syncTimer = 0
      this.#expireUnsynced()
    } else {
      this.#joinTimer = 0
      if (this.#isInitial) this.#endInitialDelay()
      else this.#completeJoin()
    }
  }

  memberExpired(memberId: string): void {
    if (this.#pending.forget(memberId)) {
      this.#pendingLeft()
      return
    }
    const member = this.#roster.get(memberId)
    if (member === undefined) return
    // Whoever waits for an answer of ours cannot be expected to send heartbeats meanwhile.
    if (!member.isNew && (member.joining !== null || member.syncing !== null)) return
    this.#remove(member)
    this.#membersLeft()
  }

  /** A member that nobody knows here, or that is one of those given an id, or one who rejoins. */
  #joinAgain(request: JoinRequest, respond: JoinRespond): void {
    const { memberId, instanceId } = request
    if (instanceId === null && this.#pending.has(memberId)) {
      this.#add(memberId, request, respond)
      return
    }
    const error = this.#identityFault(memberId, instanceId)
    if (error !== 'NONE') {
      respond(failedJoin(error, memberId))
      return
    }
    const member = this.#roster.get(memberId)!
    const isUnchanged = member.matches(request.protocols)
    const isLeader = memberId === this.#roster.leaderId
    // In a stable group the leader joins again when the topics changed, with nothing new of itself.
    const isAnswered =
      isUnchanged &&
      (this.#state === 'CompletingRebalance' || (this.#state === 'Stable' && !isLeader))
    if (isAnswered) {
      this.#keepAlive(member)
      respond(this.#joinResult(member, isLeader ? this.#listing() : []))
      return
    }
    this.#update(member, request, respond)
    this.#rebalanceOrComplete()
  }

  #joinStatic(request: JoinRequest, instanceId: string, respond: JoinRespond): void {
    const newId = this.#newMemberId(instanceId)
    const formerId = this.#roster.staticId(instanceId)
    if (formerId === undefined) {
      this.#add(newId, request, respond)
      return
    }
    const formerLeader = this.#roster.leaderId
    const member = this.#roster.get(formerId)!
    this.#roster.rename(member, newId)
    if (this.#unsynced.delete(formerId)) this.#unsynced.add(newId)
    this.#update(member, request, respond)
    this.#keepAlive(member)
    if (this.#state === 'Stable') {
      if (this.#roster.elected() !== this.#protocolName) this.#rebalanceOrComplete()
      else this.#replaced(member, request, formerLeader)
    } else if (this.#state === 'CompletingRebalance') {
      // The leader may have been told the old id already, and would assign to nobody.
      this.#prepare()
    } else {
      this.#completeIfJoined()
    }
  }

  /** A static member came back as it was: its assignment is still its own, nobody is disturbed. */
  #replaced(member: ClassicMember, request: JoinRequest, formerLeader: string): void {
    const isLeader = member.memberId === this.#roster.leaderId
    const result = request.canSkipAssignment
      ? { ...this.#joinResult(member, isLeader ? this.#listing() : []), skipAssignment: isLeader }
      : { ...this.#joinResult(member, []), leader: formerLeader }
    this.#roster.unpark(member)?.(result)
  }

  #add(memberId: string, request: JoinRequest, respond: JoinRespond): void {
    this.#pending.forget(memberId)
    const member = new ClassicMember(memberId, request, this)
    member.isNew = true
    if (this.#isInitial) this.#hasNewcomer = true
    this.#roster.add(member, request.protocols, respond)
    this.#expireIn(member, this.#parts.limits.newMemberJoinTimeoutMs)
    this.#rebalanceOrComplete()
  }

  #update(member: ClassicMember, request: JoinRequest, respond: JoinRespond): void {
    this.#roster.setProtocols(member, request.protocols)
    member.sessionTimeoutMs = request.sessionTimeoutMs
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs
    member.clientId = request.clientId
    member.clientHost = request.clientHost
    this.#roster.park(member, respond)
  }

  #rebalanceOrComplete(): void {
    if (this.#state === 'PreparingRebalance') this.#completeIfJoined()
    else this.#prepare()
  }

  #prepare(): void {
    const { timers, clock, limits } = this.#parts
    if (this.#state === 'CompletingRebalance') {
      for (const member of this.#roster.all()) this.#roster.setAssignment(member, NO_BYTES)
      this.#answerSyncs('REBALANCE_IN_PROGRESS')
    }
    this.#unsynced.clear()
    this.#stop('syncTimer')
    this.#isInitial = this.#state === 'Empty'
    this.#state = 'PreparingRebalance'
    if (!this.#isInitial) {
      if (this.#haveAllJoined()) this.#completeJoin()
      else this.#armJoin(this.#roster.rebalanceTimeoutMs)
      return
    }
    this.#hasNewcomer = false
    this.#initialDelayMs = limits.initialRebalanceDelayMs
    this.#initialRemainingMs = Math.max(this.#roster.rebalanceTimeoutMs - this.#initialDelayMs, 0)
    this.#joinTimer = timers.schedule(clock.now() + this.#initialDelayMs, this, JOIN_TIMER)
  }

  /** Waits on while more members come, as long as the rebalance may take. */
  #endInitialDelay(): void {
    if (!this.#hasNewcomer || this.#initialRemainingMs === 0) {
      this.#completeJoin()
      return
    }
    const delayMs = Math.min(this.#parts.limits.initialRebalanceDelayMs, this.#initialRemainingMs)
    this.#hasNewcomer = false
    this.#initialRemainingMs = Math.max(this.#initialRemainingMs - this.#initialDelayMs, 0)
    this.#initialDelayMs = delayMs
    this.#armJoin(delayMs)
  }

  #completeIfJoined(): void {
    if (this.#state !== 'PreparingRebalance' || this.#isInitial) return
    if (this.#haveAllJoined()) this.#completeJoin()
  }

  #haveAllJoined(): boolean {
    return this.#roster.joiningCount === this.#roster.size && this.#pending.size === 0
  }

  #completeJoin(): void {
    this.#stop('joinTimer')
    for (const member of [...this.#roster.all()]) {
      // A static member may be away for a restart; its session says when it is gone.
      if (member.joining === null && !member.isStatic) this.#remove(member)
    }
    if (this.#roster.size > 0 && !this.#roster.electJoined()) {
      this.#armJoin(this.#roster.rebalanceTimeoutMs)
      return
    }
    this.#isInitial = false
    this.#generation += 1
    if (this.#roster.size === 0) {
      this.#becomeEmpty()
      return
    }
    this.#protocolName = this.#roster.elected()
    this.#state = 'CompletingRebalance'
    const { leaderId } = this.#roster
    for (const member of this.#roster.all()) this.#unsynced.add(member.memberId)
    for (const member of [...this.#roster.all()]) {
      const members = member.memberId === leaderId ? this.#listing() : []
      member.isNew = false
      this.#keepAlive(member)
      this.#roster.unpark(member)?.(this.#joinResult(member, members))
    }
    const { timers, clock } = this.#parts
    const dueMs = clock.now() + this.#roster.rebalanceTimeoutMs
    this.#syncTimer = timers.schedule(dueMs, this, SYNC_TIMER)
  }

  /** The leader has assigned: everybody who waits is answered. */
  #assign(assignments: SyncRequest['assignments']): void {
    let bytes = 0
    const byMember = new Map<string, Buffer>()
    for (const { memberId, assignment } of assignments) {
      bytes += assignment.length
      byMember.set(memberId, assignment)
    }
    if (this.#roster.heldBytes + bytes > this.#parts.limits.groupBytesMax) {
      for (const member of this.#roster.all()) this.#roster.setAssignment(member, NO_BYTES)
      this.#answerSyncs('UNKNOWN_SERVER_ERROR')
      this.#prepare()
      return
    }
    for (const member of this.#roster.all()) {
      this.#roster.setAssignment(member, byMember.get(member.memberId) ?? NO_BYTES)
    }
    this.#state = 'Stable'
    this.#answerSyncs('NONE')
  }

  #answerSyncs(error: GroupError): void {
    for (const member of [...this.#roster.all()]) {
      const { syncing } = member
      if (syncing === null) continue
      member.syncing = null
      this.#keepAlive(member)
      syncing(error === 'NONE' ? this.#syncResult(member) : failedSync(error))
    }
  }

  #synced(member: ClassicMember): void {
    this.#unsynced.delete(member.memberId)
    if (this.#unsynced.size === 0) this.#stop('syncTimer')
    this.#keepAlive(member)
  }

  #expireUnsynced(): void {
    if (this.#state !== 'CompletingRebalance' && this.#state !== 'Stable') return
    if (this.#unsynced.size === 0) return
    for (const memberId of [...this.#unsynced]) {
      const member = this.#roster.get(memberId)
      if (member !== undefined) this.#remove(member)
    }
    this.#prepare()
  }

  #leaveOne(memberId: string, instanceId: string | null): GroupError {
    if (memberId !== '' && this.#pending.forget(memberId)) return 'NONE'
    // An administrator knows a static member by its name only.
    const isByName = memberId === '' && instanceId !== null
    const leavingId = isByName ? (this.#roster.staticId(instanceId) ?? '') : memberId
    const error = this.#identityFault(leavingId, instanceId)
    if (error !== 'NONE') return error
    this.#remove(this.#roster.get(leavingId)!)
    return 'NONE'
  }

  #membersLeft(): void {
    if (this.#state === 'Stable' || this.#state === 'CompletingRebalance') this.#prepare()
    else this.#pendingLeft()
  }

  #pendingLeft(): void {
    if (this.#state === 'PreparingRebalance') this.#completeIfJoined()
  }

  #remove(member: ClassicMember): void {
    this.#parts.timers.cancel(member.timer)
    member.timer = 0
    this.#unsynced.delete(member.memberId)
    this.#roster.remove(member)
  }

  #becomeEmpty(): void {
    this.#state = 'Empty'
    this.#protocolName = null
    this.#emptySinceMs = this.#parts.clock.now()
  }

  #keepAlive(member: ClassicMember): void {
    this.#expireIn(member, member.sessionTimeoutMs)
  }

  #expireIn(member: ClassicMember, delayMs: number): void {
    const { timers, clock } = this.#parts
    const dueMs = clock.now() + delayMs
    if (timers.reschedule(member.timer, dueMs)) return
    member.timer = timers.schedule(dueMs, member)
  }

  #armJoin(delayMs: number): void {
    const { timers, clock } = this.#parts
    this.#stop('joinTimer')
    this.#joinTimer = timers.schedule(clock.now() + delayMs, this, JOIN_TIMER)
  }

  #stop(timer: 'joinTimer' | 'syncTimer'): void {
    this.#parts.timers.cancel(timer === 'joinTimer' ? this.#joinTimer : this.#syncTimer)
    if (timer === 'joinTimer') this.#joinTimer = 0
    else this.#syncTimer = 0
  }

  /** Whoever is in stays in; new ones come as long as there is room. */
  #hasRoomFor({ memberId, protocols }: JoinRequest): boolean {
    const { limits, budget } = this.#parts
    const bytes = protocolBytes(protocols)
    if (this.#roster.heldBytes + bytes > limits.groupBytesMax) return false
    if (budget.heldBytes + bytes > limits.bytesMax) return false
    if (this.#roster.has(memberId)) return true
    const pendingCount = this.#pending.size - (this.#pending.has(memberId) ? 1 : 0)
    return this.#roster.size + pendingCount < limits.membersMax
  }

  #newMemberId(prefix: string): string {
    return `${prefix}-${randomUuid(this.#parts.random)}`
  }

  #identityFault(memberId: string, instanceId: string | null): GroupError {
    if (instanceId !== null) {
      const currentId = this.#roster.staticId(instanceId)
      if (currentId === undefined) return 'UNKNOWN_MEMBER_ID'
      if (currentId !== memberId) return 'FENCED_INSTANCE_ID'
    }
    return this.#roster.has(memberId) ? 'NONE' : 'UNKNOWN_MEMBER_ID'
  }

  #claimFault({ memberId, instanceId, generation }: MemberClaim): GroupError {
    const error = this.#identityFault(memberId, instanceId)
    if (error !== 'NONE') return error
    return generation === this.#generation ? 'NONE' : 'ILLEGAL_GENERATION'
  }

  #syncFault(request: SyncRequest): GroupError {
    const error = this.#claimFault(request)
    if (error !== 'NONE') return error
    const { protocolType, protocolName } = request
    if (protocolType !== null && protocolType !== this.#roster.protocolType) {
      return 'INCONSISTENT_GROUP_PROTOCOL'
    }
    if (protocolName !== null && protocolName !== this.#protocolName) {
      return 'INCONSISTENT_GROUP_PROTOCOL'
    }
    return this.#state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : 'NONE'
  }

  #listing(): JoinedMember[] {
    return this.#roster.listing(this.#protocolName ?? '')
  }

  #joinResult(
    member: ClassicMember,
    members: readonly JoinedMember[],
  ): ReturnType<typeof failedJoin> {
    return {
      error: 'NONE',
      memberId: member.memberId,
      generation: this.#generation,
      protocolType: this.#roster.protocolType,
      protocolName: this.#protocolName,
      leader: this.#roster.leaderId,
      skipAssignment: false,
      members,
    }
  }

  #syncResult(member: ClassicMember): ReturnType<typeof failedSync> {
    return {
      error: 'NONE',
      protocolType: this.#roster.protocolType,
      protocolName: this.#protocolName,
      assignment: member.assignment,
    }
  }
}
