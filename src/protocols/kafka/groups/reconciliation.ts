import {
  type Assignment,
  type DatedAssignment,
  NO_PARTITIONS,
  type TopicPartitions,
} from './assignment.ts'
import type { ConsumerMember, MemberState } from './consumer-member.ts'

/** Where a member shall arrive, and what stands in its way. */
export interface Goal {
  readonly epoch: number
  readonly target: Assignment
  readonly subscribedIds: ReadonlySet<string>
  /** Nobody has the partition, as far as the group knows. */
  readonly isFree: (topicId: string, partition: number) => boolean
  /** What the client says it has; null: it says nothing. */
  readonly owned: readonly TopicPartitions[] | null
  /** Its subscription has changed: topics it no longer wants are taken away at once. */
  readonly isResubscribed: boolean
}

/** What a member has and in which epoch; its next state. */
export interface Standing {
  readonly state: MemberState
  readonly epoch: number
  readonly assigned: DatedAssignment
  readonly revoking: DatedAssignment
}

const NONE: ReadonlySet<number> = new Set()
const NONE_DATED: ReadonlyMap<number, number> = new Map()

/**
 * The next step of a member towards its target; null: it stays as it is. It gives back first, then
 * takes over the epoch of the target with all that is free, then waits for the rest:
 *
 * ```
 * stable ──must give back──▶ unrevoked ──has given back──▶ unreleased ──others gave back──▶ stable
 * ```
 */
export function reconcile(member: ConsumerMember, goal: Goal): Standing | null {
  switch (member.state) {
    case 'stable':
      if (member.epoch !== goal.epoch) return nextStep(member, goal)
      return goal.isResubscribed ? withoutUnwanted(member, goal) : null
    case 'unrevoked':
      if (!stillOwns(goal.owned, member.revoking)) return nextStep(member, goal)
      return goal.isResubscribed ? withoutUnwanted(member, goal) : null
    case 'unreleased':
      return nextStep(member, goal)
  }
}

function nextStep(member: ConsumerMember, goal: Goal): Standing {
  const assigned = new Map<string, Map<number, number>>()
  const revoking = new Map<string, Map<number, number>>()
  const granted = new Map<string, number[]>()
  let isWaiting = false
  const topicIds = new Set([...goal.target.keys(), ...member.assigned.keys()])
  for (const topicId of topicIds) {
    const wanted = goal.subscribedIds.has(topicId) ? (goal.target.get(topicId) ?? NONE) : NONE
    const present = member.assigned.get(topicId) ?? NONE_DATED
    for (const [partition, epoch] of present) {
      put(wanted.has(partition) ? assigned : revoking, topicId, partition, epoch)
    }
    for (const partition of wanted) {
      if (present.has(partition)) continue
      const isOwnAgain = member.revoking.get(topicId)?.has(partition) ?? false
      if (!isOwnAgain && !goal.isFree(topicId, partition)) {
        isWaiting = true
        continue
      }
      const partitions = granted.get(topicId)
      if (partitions === undefined) granted.set(topicId, [partition])
      else partitions.push(partition)
    }
  }
  if (revoking.size > 0 && stillOwns(goal.owned, revoking)) {
    return { state: 'unrevoked', epoch: member.epoch, assigned, revoking }
  }
  for (const [topicId, partitions] of granted) {
    for (const partition of partitions) put(assigned, topicId, partition, goal.epoch)
  }
  return {
    state: isWaiting ? 'unreleased' : 'stable',
    epoch: goal.epoch,
    assigned,
    revoking: NO_PARTITIONS,
  }
}

/** Takes away topics that are no longer subscribed, without looking at the target. */
function withoutUnwanted(member: ConsumerMember, goal: Goal): Standing | null {
  const unwanted = [...member.assigned.keys()].filter((id) => !goal.subscribedIds.has(id))
  if (unwanted.length === 0) return null
  const assigned = new Map(member.assigned)
  const revoking = new Map(member.revoking)
  for (const topicId of unwanted) {
    const former = revoking.get(topicId) ?? NONE_DATED
    revoking.set(topicId, new Map([...former, ...assigned.get(topicId)!]))
    assigned.delete(topicId)
  }
  if (stillOwns(goal.owned, revoking)) {
    return { state: 'unrevoked', epoch: member.epoch, assigned, revoking }
  }
  return { state: member.state, epoch: member.epoch, assigned, revoking: member.revoking }
}

/** A client that says nothing is taken to own all it had. */
function stillOwns(owned: readonly TopicPartitions[] | null, revoking: DatedAssignment): boolean {
  if (owned === null) return true
  return owned.some(({ topicId, partitions }) => {
    const pending = revoking.get(topicId)
    return pending !== undefined && partitions.some((partition) => pending.has(partition))
  })
}

function put(
  assignment: Map<string, Map<number, number>>,
  topicId: string,
  partition: number,
  epoch: number,
): void {
  const partitions = assignment.get(topicId)
  if (partitions === undefined) assignment.set(topicId, new Map([[partition, epoch]]))
  else partitions.set(partition, epoch)
}
