import { type Assignment, give } from './assignment.ts'
import { type AssignorInput, type AssignorMember, inOrder, isHomogeneous } from './assignor.ts'

/**
 * For share groups, where several members may read one partition: every partition has a reader and
 * every member a partition, as evenly as that goes.
 */
export function assignShared(input: AssignorInput): Map<string, Assignment> {
  const members = inOrder(input.members)
  const assignments = new Map(
    members.map(({ memberId }) => [memberId, new Map<string, Set<number>>()]),
  )
  if (isHomogeneous(members)) {
    deal([...(members[0]?.topicIds ?? [])], members, { input, assignments })
  } else {
    for (const topicId of input.partitionCounts.keys()) {
      const subscribers = members.filter(({ topicIds }) => topicIds.has(topicId))
      deal([topicId], subscribers, { input, assignments })
    }
  }
  return assignments
}

function deal(
  topicIds: readonly string[],
  members: readonly AssignorMember[],
  {
    input,
    assignments,
  }: {
    readonly input: AssignorInput
    readonly assignments: ReadonlyMap<string, Map<string, Set<number>>>
  },
): void {
  const partitions = topicIds.flatMap((topicId) =>
    Array.from({ length: input.partitionCounts.get(topicId) ?? 0 }, (_, partition) => ({
      topicId,
      partition,
    })),
  )
  if (partitions.length === 0 || members.length === 0) return
  const turns = Math.max(partitions.length, members.length)
  for (let turn = 0; turn < turns; turn++) {
    const { topicId, partition } = partitions[turn % partitions.length]!
    give(assignments.get(members[turn % members.length]!.memberId)!, topicId, partition)
  }
}
