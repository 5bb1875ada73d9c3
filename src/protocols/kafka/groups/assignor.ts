import type { Assignment } from './assignment.ts'

/** A member as an assignor sees it. */
export interface AssignorMember {
  readonly memberId: string
  readonly instanceId: string | null
  /** Topics that exist and that it subscribes to. */
  readonly topicIds: ReadonlySet<string>
  /** What it was to have until now. */
  readonly current: Assignment
}

export interface AssignorInput {
  readonly members: readonly AssignorMember[]
  /** Partitions of each subscribed topic, by id. */
  readonly partitionCounts: ReadonlyMap<string, number>
}

/** Says who shall have which partitions; the same input gives the same answer. */
export type Assignor = (input: AssignorInput) => Map<string, Assignment>

/** In an order that does not depend on who came when, static members by their name. */
export function inOrder(members: readonly AssignorMember[]): AssignorMember[] {
  const keyed = members.map((member) => ({ member, key: member.instanceId ?? member.memberId }))
  keyed.sort((left, right) => (left.key < right.key ? -1 : left.key > right.key ? 1 : 0))
  return keyed.map(({ member }) => member)
}

/** All members subscribe to the same topics. */
export function isHomogeneous(members: readonly AssignorMember[]): boolean {
  const first = members[0]?.topicIds
  if (first === undefined) return true
  return members.every(({ topicIds }) => {
    if (topicIds === first) return true
    if (topicIds.size !== first.size) return false
    for (const topicId of topicIds) if (!first.has(topicId)) return false
    return true
  })
}
