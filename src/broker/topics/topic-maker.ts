import { BrokerError } from '../../model/errors.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { type DestinationSpec, isStored } from '../destination.ts'
import type { BrokerLimits } from '../limits.ts'
import type { StoredDestination } from '../metadata.ts'
import type { Shards } from '../shards.ts'
import type { VirtualHost } from '../virtual-host.ts'
import type { Partition } from './partition.ts'
import { openPartitions, openTopics } from './topic-opening.ts'
import { Topic } from './topic.ts'

interface MakerParts {
  readonly shards: Shards
  readonly forms: ReadonlyMap<number, NativeForm>
  readonly now: () => number
}

/** Makes the topics of a virtual host and what they are stored in, and deletes that. */
export class TopicMaker {
  readonly #vhost: VirtualHost
  readonly #parts: MakerParts
  /** Of all topics here, with those that are being opened. */
  #partitionCount = 0

  constructor(vhost: VirtualHost, parts: MakerParts) {
    this.#vhost = vhost
    this.#parts = parts
  }

  /** Throws `LIMIT_EXCEEDED` where there are as many partitions as there may be. */
  async openNew(id: number, spec: DestinationSpec): Promise<Topic> {
    this.#requireRoom(spec.name, spec.partitionCount ?? 1)
    return (await this.open([{ id, spec }])).get(id)!
  }

  /** Opened side by side, for each waits for the disk; by id. Nobody is told of them. */
  async open(stored: readonly StoredDestination[]): Promise<Map<number, Topic>> {
    const { shards, forms } = this.#parts
    const { limits, cycle } = shards
    for (const { spec } of stored) checkPartitionCount(spec, limits)
    const topics = new Map<number, Topic>()
    for (const { id, spec } of stored) {
      const state = isStored(spec) ? shards.state : null
      topics.set(id, new Topic(id, this.#vhost, spec, { limits, forms, cycle, state }))
    }
    const counts = stored.map(({ spec: { partitionCount = 1 } }) => partitionCount)
    const count = counts.reduce((sum, each) => sum + each, 0)
    await this.#counted(count, openTopics(topics.values(), this.#parts))
    return topics
  }

  /** What a topic needs to have so many; they are not added to it. Refused where it has as many. */
  async openMore(topic: Topic, partitionCount: number): Promise<readonly Partition[]> {
    const had = topic.partitions.length
    if (partitionCount <= had) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `topic '${topic.name}' has ${had} partitions, it cannot be given ${partitionCount}`,
      )
    }
    checkPartitionCount({ ...topic.spec, partitionCount }, this.#parts.shards.limits)
    const added = partitionCount - had
    this.#requireRoom(topic.name, added)
    return this.#counted(added, openPartitions(topic, partitionCount, this.#parts))
  }

  async delete(partitions: readonly Partition[]): Promise<void> {
    const { shards } = this.#parts
    this.#partitionCount -= partitions.length
    await Promise.all(partitions.map((each) => shards.deletePartitionLogs(each)))
  }

  #requireRoom(name: string, added: number): void {
    this.#vhost.bounds.requirePartitions(name, this.#partitionCount + added)
  }

  /** At once, since others are opened meanwhile. */
  async #counted<Value>(count: number, opening: Promise<Value>): Promise<Value> {
    this.#partitionCount += count
    try {
      return await opening
    } catch (error) {
      this.#partitionCount -= count
      throw error
    }
  }
}

function checkPartitionCount(
  { name, partitionCount = 1 }: DestinationSpec,
  { partitionCountMax }: BrokerLimits,
): void {
  const isWhole = Number.isInteger(partitionCount) && partitionCount >= 1
  if (isWhole && partitionCount <= partitionCountMax) return
  throw new BrokerError(
    'LIMIT_EXCEEDED',
    `topic '${name}' cannot have ${partitionCount} partitions, the limit is ${partitionCountMax}`,
  )
}
