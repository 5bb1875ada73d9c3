/** Partitions by topic id. */
export type Assignment = ReadonlyMap<string, ReadonlySet<number>>

/** Partitions by topic id, each with the member epoch it was given in. */
export type DatedAssignment = ReadonlyMap<string, ReadonlyMap<number, number>>

/** The same in the shape of requests and answers. */
export interface TopicPartitions {
  readonly topicId: string
  readonly partitions: readonly number[]
}

export const NO_PARTITIONS: DatedAssignment = new Map()

export function toTopicPartitions(
  assignment: ReadonlyMap<string, { keys(): Iterable<number> }>,
): TopicPartitions[] {
  return Array.from(assignment, ([topicId, partitions]) => ({
    topicId,
    partitions: [...partitions.keys()].toSorted((left, right) => left - right),
  }))
}

/** Both hold the same partitions, whatever their epochs. */
export function holdsSame(left: DatedAssignment, right: DatedAssignment): boolean {
  if (left === right) return true
  if (left.size !== right.size) return false
  for (const [topicId, partitions] of left) {
    const others = right.get(topicId)
    if (others === undefined || others.size !== partitions.size) return false
    for (const partition of partitions.keys()) if (!others.has(partition)) return false
  }
  return true
}

/** Whether a client that says it owns these owns nothing beside `assignment`. */
export function isWithin(
  owned: readonly TopicPartitions[] | null,
  assignment: DatedAssignment,
): boolean {
  if (owned === null) return false
  return owned.every(({ topicId, partitions }) => {
    const assigned = assignment.get(topicId)
    return assigned !== undefined && partitions.every((partition) => assigned.has(partition))
  })
}

/** Puts a partition into an assignment that is being made. */
export function give(
  assignment: Map<string, Set<number>>,
  topicId: string,
  partition: number,
): void {
  const partitions = assignment.get(topicId)
  if (partitions === undefined) assignment.set(topicId, new Set([partition]))
  else partitions.add(partition)
}
