import type { TimerIndex, TimerTarget } from '../../../broker/index.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { RandomSource } from '../../../lib/random.ts'
import type { TopicPartitions } from './assignment.ts'
import {
  ClassicGroup,
  type GroupParts,
  type MemberClaim,
  type SyncRequest,
} from './classic-group.ts'
import {
  failedJoin,
  failedSync,
  type JoinRequest,
  type JoinRespond,
  type SyncRespond,
} from './classic-member.ts'
import { type ConsumerAnswer, ConsumerGroup } from './consumer-group.ts'
import type { ConsumerHeartbeat } from './consumer-member.ts'
import { type GroupError, GroupRefusal } from './group-refusal.ts'
import { defaultTimes, type GroupLimits, type MemberTimes } from './limits.ts'
import { type ShareAnswer, ShareGroup, type ShareHeartbeat } from './share-group.ts'
import type { TopicCatalog } from './topic-catalog.ts'

export type Group = ClassicGroup | ConsumerGroup | ShareGroup

/** What members of a group have at the broker: offsets, or what they share of partitions. */
export type ReadState = 'offsets' | 'shared'

/** What the table tells of its groups; the broker keeps offsets while a group has members. */
export interface GroupWatcher {
  membersChanged(groupId: string, count: number, readState: ReadState): void
}

export interface GroupTableParts {
  readonly catalog: TopicCatalog
  readonly timers: TimerIndex
  readonly clock: Clock
  readonly random: RandomSource
  readonly limits: GroupLimits
  readonly watcher: GroupWatcher
  /** What was said for this group; the rest is as `defaultTimes` says. Default: nothing was. */
  readonly timesOf?: (groupId: string, readState: ReadState) => Partial<MemberTimes>
}

/** What a commit is checked by, beside who asks. */
export interface CommitFacts {
  readonly isTransactional: boolean
  readonly apiVersion: number
  readonly partitions: readonly TopicPartitions[]
}

/** The first version of OffsetCommit that members of a consumer group may use. */
const CONSUMER_COMMIT_VERSION = 9

/**
 * The groups of one virtual host that have members, or had some a while ago. A group's id belongs to
 * one kind at a time; an empty one makes room for another kind. Nothing of this is stored: after a
 * restart members are unknown and join again, while offsets are the broker's to keep.
 */
export class GroupTable implements TimerTarget {
  readonly #parts: GroupTableParts
  readonly #groupParts: GroupParts
  readonly #shareParts: GroupParts
  readonly #groups: Map<string, Group> = new Map()
  #timer = 0

  constructor(parts: GroupTableParts) {
    this.#parts = parts
    const budget = { heldBytes: 0 }
    const partsOf = (readState: ReadState): GroupParts => ({
      ...parts,
      budget,
      membersChanged: (groupId, count) => parts.watcher.membersChanged(groupId, count, readState),
      memberTimes: (groupId, memberCount) => ({
        ...defaultTimes(parts.limits, memberCount),
        ...parts.timesOf?.(groupId, readState),
      }),
    })
    this.#groupParts = partsOf('offsets')
    this.#shareParts = partsOf('shared')
  }

  get size(): number {
    return this.#groups.size
  }

  find(groupId: string): Group | undefined {
    return this.#groups.get(groupId)
  }

  list(): Iterable<Group> {
    return this.#groups.values()
  }

  join(groupId: string, request: JoinRequest, respond: JoinRespond): void {
    const known = this.#groups.get(groupId)
    if (known?.type === 'classic') {
      known.join(request, respond)
      return
    }
    if (known !== undefined && (known.type === 'share' || !known.isEmpty)) {
      respond(failedJoin('INCONSISTENT_GROUP_PROTOCOL', ''))
      return
    }
    if (request.memberId !== '') {
      respond(failedJoin('UNKNOWN_MEMBER_ID', request.memberId))
      return
    }
    if (known === undefined && !this.#hasRoom) {
      respond(failedJoin('COORDINATOR_NOT_AVAILABLE', ''))
      return
    }
    const group = new ClassicGroup(groupId, this.#groupParts)
    this.#put(group)
    group.join(request, respond)
    this.#dropUnused(group)
  }

  sync(groupId: string, request: SyncRequest, respond: SyncRespond): void {
    const group = this.#groups.get(groupId)
    if (group?.type === 'classic') group.sync(request, respond)
    else respond(failedSync('UNKNOWN_MEMBER_ID'))
  }

  heartbeat(groupId: string, claim: MemberClaim): GroupError {
    const group = this.#groups.get(groupId)
    return group?.type === 'classic' ? group.heartbeat(claim) : 'UNKNOWN_MEMBER_ID'
  }

  /** One error for each member. Without such a group nobody is a member. */
  leave(groupId: string, members: Parameters<ClassicGroup['leave']>[0]): GroupError[] {
    const group = this.#groups.get(groupId)
    if (group?.type === 'classic') return group.leave(members)
    return members.map(() => 'UNKNOWN_MEMBER_ID')
  }

  /** Throws `GroupRefusal`. */
  consumerHeartbeat(groupId: string, request: ConsumerHeartbeat): ConsumerAnswer {
    const known = this.#groups.get(groupId)
    if (known?.type === 'consumer') return known.heartbeat(request)
    this.#checkTakeover(groupId, known, request)
    const { catalog } = this.#parts
    return this.#found(new ConsumerGroup(groupId, catalog, this.#groupParts), (group) =>
      group.heartbeat(request),
    )
  }

  /** Throws `GroupRefusal`. */
  shareHeartbeat(groupId: string, request: ShareHeartbeat): ShareAnswer {
    const known = this.#groups.get(groupId)
    if (known?.type === 'share') return known.heartbeat(request)
    this.#checkTakeover(groupId, known, request)
    const { catalog } = this.#parts
    return this.#found(new ShareGroup(groupId, catalog, this.#shareParts), (group) =>
      group.heartbeat(request),
    )
  }

  /** Whether offsets of the group may be committed by whoever asks. */
  commitFault(groupId: string, claim: MemberClaim, facts: CommitFacts): GroupError {
    const { isTransactional, apiVersion, partitions } = facts
    const isVersionOld = apiVersion < CONSUMER_COMMIT_VERSION
    const group = this.#groups.get(groupId)
    switch (group?.type) {
      case 'classic':
        return group.commitFault(claim, isTransactional)
      case 'consumer':
        return group.commitFault(claim, { isTransactional, isVersionOld, partitions })
      case 'share':
        return 'GROUP_ID_NOT_FOUND'
      case undefined:
        if (claim.generation < 0) return 'NONE'
        // A member from before a restart: all clients take this for a reason to join again, while
        // kafkajs gives up when its generation is said to be wrong.
        return isTransactional ? 'ILLEGAL_GENERATION' : 'UNKNOWN_MEMBER_ID'
    }
  }

  /** Whether offsets of the group may be fetched by whoever asks. */
  fetchFault(groupId: string, memberId: string | null, memberEpoch: number): GroupError {
    const group = this.#groups.get(groupId)
    return group?.type === 'consumer' ? group.fetchFault(memberId, memberEpoch) : 'NONE'
  }

  /** Forgets an empty group. */
  delete(groupId: string): void {
    this.#groups.get(groupId)?.close()
    this.#groups.delete(groupId)
  }

  /** Ends all groups; whoever waits is answered. */
  close(): void {
    this.#parts.timers.cancel(this.#timer)
    this.#timer = 0
    for (const group of this.#groups.values()) group.close()
    this.#groups.clear()
  }

  /** Forgets groups that have been empty for long. */
  onTimer(): void {
    this.#timer = 0
    const { clock, limits } = this.#parts
    const sinceMs = clock.now() - limits.emptyGroupMs
    for (const group of [...this.#groups.values()]) {
      if (group.isEmpty && group.emptySinceMs <= sinceMs) this.delete(group.id)
    }
    this.#arm()
  }

  get #hasRoom(): boolean {
    return this.#groups.size < this.#parts.limits.groupsMax
  }

  #checkTakeover(
    groupId: string,
    known: Group | undefined,
    { memberId, memberEpoch }: { readonly memberId: string; readonly memberEpoch: number },
  ): void {
    if (known !== undefined && !known.isEmpty) {
      throw new GroupRefusal(
        'GROUP_ID_NOT_FOUND',
        `Group ${groupId} is a ${known.type} group with members.`,
      )
    }
    if (memberEpoch !== 0) {
      // Kafka, which stores its groups, says GROUP_ID_NOT_FOUND, and clients give up.
      throw new GroupRefusal(
        'UNKNOWN_MEMBER_ID',
        `Member ${memberId} is not a member of group ${groupId}.`,
      )
    }
    if (known === undefined && !this.#hasRoom) {
      throw new GroupRefusal('COORDINATOR_NOT_AVAILABLE', 'There are too many groups.')
    }
  }

  /** Puts a new group in place of an empty one of another kind, unless its first member is refused. */
  #found<G extends Group, A>(group: G, beat: (group: G) => A): A {
    const answer = beat(group)
    this.#put(group)
    return answer
  }

  #put(group: Group): void {
    this.#groups.get(group.id)?.close()
    this.#groups.set(group.id, group)
    this.#arm()
  }

  #dropUnused(group: Group): void {
    if (group.isEmpty) this.delete(group.id)
  }

  #arm(): void {
    if (this.#timer !== 0 || this.#groups.size === 0) return
    const { timers, clock, limits } = this.#parts
    this.#timer = timers.schedule(clock.now() + limits.emptyGroupMs, this)
  }
}
