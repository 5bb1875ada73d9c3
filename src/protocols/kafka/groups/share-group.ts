import type { TimerTarget } from '../../../broker/index.ts'
import { type Assignment, type TopicPartitions, toTopicPartitions } from './assignment.ts'
import type { GroupParts } from './classic-group.ts'
import { GroupRefusal } from './group-refusal.ts'
import { GroupSubscriptions } from './group-subscriptions.ts'
import { assignShared } from './share-assignor.ts'
import type { TopicCatalog } from './topic-catalog.ts'

/** A ShareGroupHeartbeat request; what is null has not changed since the last one. */
export interface ShareHeartbeat {
  readonly memberId: string
  /** 0: joins, -1: leaves. */
  readonly memberEpoch: number
  readonly rackId: string | null
  readonly topicNames: readonly string[] | null
  readonly clientId: string
  readonly clientHost: string
}

export interface ShareAnswer {
  readonly memberId: string
  readonly memberEpoch: number
  readonly heartbeatIntervalMs: number
  /** null: as before. */
  readonly assignment: readonly TopicPartitions[] | null
}

export interface ShareMemberView {
  readonly memberId: string
  readonly rackId: string | null
  readonly memberEpoch: number
  readonly clientId: string
  readonly clientHost: string
  readonly topicNames: readonly string[]
  readonly assignment: readonly TopicPartitions[]
}

export interface ShareGroupView {
  readonly state: 'Empty' | 'Stable' | 'Dead'
  readonly epoch: number
  readonly assignmentEpoch: number
  readonly assignor: string
  readonly members: readonly ShareMemberView[]
}

const LEAVE_EPOCH = -1
const JOIN_EPOCH = 0
const NO_ASSIGNMENT: Assignment = new Map()
const NO_PATTERN = ''

class ShareMember implements TimerTarget {
  readonly memberId: string
  readonly pattern = NO_PATTERN
  rackId: string | null = null
  clientId = ''
  clientHost = ''
  /** Each once, in order. */
  topicNames: readonly string[] = []
  epoch = 0
  previousEpoch = -1
  /** What it was last told. */
  told: Assignment = NO_ASSIGNMENT
  timer = 0
  readonly #group: ShareGroup

  constructor(memberId: string, group: ShareGroup) {
    this.memberId = memberId
    this.#group = group
  }

  get heldBytes(): number {
    let bytes = 0
    for (const name of this.topicNames) bytes += name.length
    return bytes
  }

  onTimer(): void {
    this.timer = 0
    this.#group.sessionExpired(this.memberId)
  }
}

/**
 * A share group, whose members read the same partitions together and settle each message by itself.
 * Nobody has to give anything back before another may read it: a target is in force at once.
 */
export class ShareGroup {
  readonly type = 'share'
  readonly protocolType = 'share'
  readonly id: string
  readonly #parts: GroupParts
  readonly #members: Map<string, ShareMember> = new Map()
  readonly #subscriptions: GroupSubscriptions
  #targets: ReadonlyMap<string, Assignment> = new Map()
  #epoch = 0
  #assignmentEpoch = 0
  #heldBytes = 0
  #isDead = false
  #emptySinceMs: number

  constructor(id: string, catalog: TopicCatalog, parts: GroupParts) {
    this.id = id
    this.#parts = parts
    this.#subscriptions = new GroupSubscriptions(catalog, parts.limits)
    this.#emptySinceMs = parts.clock.now()
  }

  get state(): ShareGroupView['state'] {
    if (this.#isDead) return 'Dead'
    return this.#members.size === 0 ? 'Empty' : 'Stable'
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

  hasMember(memberId: string): boolean {
    return this.#members.has(memberId)
  }

  /** Throws `GroupRefusal`. */
  heartbeat(request: ShareHeartbeat): ShareAnswer {
    checkRequest(request)
    const { memberId, memberEpoch, topicNames } = request
    if (memberEpoch === LEAVE_EPOCH) {
      this.#known(memberId)
      this.sessionExpired(memberId)
      return { memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null }
    }
    const member = this.#memberOf(request)
    if (this.#update(member, request)) {
      this.#subscriptions.refresh()
      this.#epoch += 1
    } else if (this.#subscriptions.isOutdated && this.#subscriptions.refresh()) {
      this.#epoch += 1
    }
    if (this.#epoch > this.#assignmentEpoch) this.#assign()
    if (member.epoch !== this.#assignmentEpoch) {
      member.previousEpoch = member.epoch
      member.epoch = this.#assignmentEpoch
    }
    const times = this.#parts.memberTimes(this.id, this.#members.size)
    this.#keepAlive(member, times.sessionTimeoutMs)
    const target = this.#targets.get(memberId) ?? NO_ASSIGNMENT
    const isTold = memberEpoch === JOIN_EPOCH || topicNames !== null || member.told !== target
    member.told = target
    return {
      memberId,
      memberEpoch: member.epoch,
      heartbeatIntervalMs: times.heartbeatIntervalMs,
      assignment: isTold ? toTopicPartitions(target) : null,
    }
  }

  isSubscribedTo(name: string): boolean {
    return this.#subscriptions.isSubscribedTo(name)
  }

  describe(): ShareGroupView {
    const members = Array.from(this.#members.values(), (member) => ({
      memberId: member.memberId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      topicNames: member.topicNames,
      assignment: toTopicPartitions(this.#targets.get(member.memberId) ?? NO_ASSIGNMENT),
    }))
    return {
      state: this.state,
      epoch: this.#epoch,
      assignmentEpoch: this.#assignmentEpoch,
      assignor: 'simple',
      members,
    }
  }

  /** Ends the group: no timer is left. */
  close(): void {
    this.#isDead = true
    for (const member of [...this.#members.values()]) this.#drop(member)
  }

  /** Of a member's own timer: it was silent for too long. */
  sessionExpired(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member === undefined) return
    this.#drop(member)
    this.#subscriptions.refresh()
    this.#epoch += 1
    if (this.#members.size > 0) return
    this.#assignmentEpoch = this.#epoch
    this.#emptySinceMs = this.#parts.clock.now()
  }

  #memberOf(request: ShareHeartbeat): ShareMember {
    const { memberId, memberEpoch } = request
    const known = this.#members.get(memberId)
    if (known !== undefined) {
      checkEpoch(known, memberEpoch)
      return known
    }
    const { shareMembersMax } = this.#parts.limits
    if (this.#members.size >= shareMembersMax) {
      throw new GroupRefusal(
        'GROUP_MAX_SIZE_REACHED',
        `The share group has reached its maximum capacity of ${shareMembersMax} members.`,
      )
    }
    if (memberEpoch !== JOIN_EPOCH) this.#known(memberId)
    this.#check(request, 0)
    const member = new ShareMember(memberId, this)
    this.#members.set(memberId, member)
    this.#parts.membersChanged(this.id, this.#members.size)
    return member
  }

  /** True when it subscribes to something else than before, or is new. */
  #update(member: ShareMember, request: ShareHeartbeat): boolean {
    const { topicNames } = request
    this.#check(request, member.heldBytes)
    member.rackId = request.rackId ?? member.rackId
    member.clientId = request.clientId
    member.clientHost = request.clientHost
    if (topicNames === null) return false
    const names = [...new Set(topicNames)].toSorted()
    const isSame =
      names.length === member.topicNames.length &&
      names.every((name, index) => name === member.topicNames[index])
    if (isSame) return false
    const former = { topicNames: member.topicNames, pattern: NO_PATTERN }
    this.#hold(-member.heldBytes)
    member.topicNames = names
    this.#hold(member.heldBytes)
    this.#subscriptions.add(member)
    this.#subscriptions.remove(former)
    return true
  }

  #check({ topicNames }: ShareHeartbeat, heldBytes: number): void {
    const { limits, budget } = this.#parts
    let bytes = -heldBytes
    for (const name of topicNames ?? []) bytes += name.length
    const isTooMuch =
      this.#heldBytes + bytes > limits.groupBytesMax || budget.heldBytes + bytes > limits.bytesMax
    if (topicNames !== null && bytes > 0 && isTooMuch) {
      throw new GroupRefusal(
        'GROUP_MAX_SIZE_REACHED',
        `The subscriptions of the group exceed ${limits.groupBytesMax} bytes.`,
      )
    }
  }

  #assign(): void {
    const members = Array.from(this.#members.values(), (member) => ({
      memberId: member.memberId,
      instanceId: null,
      topicIds: this.#subscriptions.topicIds(member),
      current: NO_ASSIGNMENT,
    }))
    this.#targets = assignShared({ members, partitionCounts: this.#subscriptions.partitionCounts })
    this.#assignmentEpoch = this.#epoch
  }

  #drop(member: ShareMember): void {
    this.#parts.timers.cancel(member.timer)
    this.#hold(-member.heldBytes)
    this.#subscriptions.remove(member)
    this.#members.delete(member.memberId)
    this.#parts.membersChanged(this.id, this.#members.size)
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    this.#parts.budget.heldBytes += bytes
  }

  #keepAlive(member: ShareMember, sessionTimeoutMs: number): void {
    const { timers, clock } = this.#parts
    const dueMs = clock.now() + sessionTimeoutMs
    if (timers.reschedule(member.timer, dueMs)) return
    member.timer = timers.schedule(dueMs, member)
  }

  #known(memberId: string): ShareMember {
    const member = this.#members.get(memberId)
    if (member === undefined) {
      throw new GroupRefusal(
        'UNKNOWN_MEMBER_ID',
        `Member ${memberId} is not a member of group ${this.id}.`,
      )
    }
    return member
  }
}

function checkRequest({ memberId, memberEpoch, rackId, topicNames }: ShareHeartbeat): void {
  const fault =
    memberId === ''
      ? "MemberId can't be empty."
      : rackId === ''
        ? "RackId can't be empty."
        : memberEpoch < LEAVE_EPOCH
          ? 'MemberEpoch is invalid.'
          : memberEpoch === JOIN_EPOCH && (topicNames === null || topicNames.length === 0)
            ? 'SubscribedTopicNames must be set in first request.'
            : null
  if (fault !== null) throw new GroupRefusal('INVALID_REQUEST', fault)
}

/** A member may be one answer behind when that was lost. */
function checkEpoch(member: ShareMember, memberEpoch: number): void {
  if (memberEpoch === JOIN_EPOCH || memberEpoch === member.epoch) return
  if (memberEpoch < member.epoch && memberEpoch === member.previousEpoch) return
  const word = memberEpoch > member.epoch ? 'greater' : 'smaller'
  throw new GroupRefusal(
    'FENCED_MEMBER_EPOCH',
    `The share group member has a ${word} member epoch (${memberEpoch}) than the one known by the ` +
      `group coordinator (${member.epoch}). The member must abandon all its partitions and rejoin.`,
  )
}
