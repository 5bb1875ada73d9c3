import type { DatedAssignment } from './assignment.ts'

/** Which partitions of a group have an owner, of assigned ones and of those not yet given back. */
export class PartitionOwners {
  /** Partitions that are owned, by topic id. */
  readonly #owned: Map<string, Set<number>> = new Map()

  isFree(topicId: string, partition: number): boolean {
    return !(this.#owned.get(topicId)?.has(partition) ?? false)
  }

  add(assignment: DatedAssignment): void {
    for (const [topicId, partitions] of assignment) {
      const owned = this.#owned.get(topicId)
      if (owned === undefined) this.#owned.set(topicId, new Set(partitions.keys()))
      else for (const partition of partitions.keys()) owned.add(partition)
    }
  }

  remove(assignment: DatedAssignment): void {
    for (const [topicId, partitions] of assignment) {
      const owned = this.#owned.get(topicId)
      if (owned === undefined) continue
      for (const partition of partitions.keys()) owned.delete(partition)
      if (owned.size === 0) this.#owned.delete(topicId)
    }
  }
}
