import { type Assignment, give } from './assignment.ts'
import { type AssignorInput, type AssignorMember, inOrder } from './assignor.ts'

/**
 * Each topic by itself: consecutive partitions to members in order, the first ones get one more
 * when they cannot be divided. Members with the same subscriptions have the same partition numbers
 * of all their topics, which is what joins of topics need.
 */
export function assignRanges({ members, partitionCounts }: AssignorInput): Map<string, Assignment> {
  const assignments = new Map<string, Map<string, Set<number>>>()
  const subscribers = new Map<string, AssignorMember[]>()
  for (const member of inOrder(members)) {
    assignments.set(member.memberId, new Map())
    for (const topicId of member.topicIds) {
      const known = subscribers.get(topicId)
      if (known === undefined) subscribers.set(topicId, [member])
      else known.push(member)
    }
  }
  for (const [topicId, topicMembers] of subscribers) {
    const partitionCount = partitionCounts.get(topicId) ?? 0
    const share = Math.floor(partitionCount / topicMembers.length)
    const rest = partitionCount % topicMembers.length
    let next = 0
    topicMembers.forEach(({ memberId }, index) => {
      const end = next + share + (index < rest ? 1 : 0)
      for (; next < end; next++) give(assignments.get(memberId)!, topicId, next)
    })
  }
  return assignments
}
