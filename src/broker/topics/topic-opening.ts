import type { NativeForm } from '../../model/native-form.ts'
import { isStored } from '../destination.ts'
import type { Shards } from '../shards.ts'
import { Partition } from './partition.ts'
import type { Topic } from './topic.ts'

/** So many logs are opened side by side; more only queue up for the disk. */
const OPENED_AT_ONCE = 64

interface OpeningParts {
  readonly shards: Shards
  readonly forms: ReadonlyMap<number, NativeForm>
  readonly now: () => number
}

/** Opens those partitions of topics that they should have and have not, and reads them. */
export async function openPartitions(topics: Iterable<Topic>, parts: OpeningParts): Promise<void> {
  const missing: { readonly topic: Topic; readonly index: number }[] = []
  for (const topic of topics) {
    const { partitionCount = 1 } = topic.spec
    for (let index = topic.partitions.length; index < partitionCount; index++) {
      missing.push({ topic, index })
    }
  }
  const opened: Partition[] = []
  let next = 0
  const openSome = async (): Promise<void> => {
    while (next < missing.length) {
      const at = next++
      const { topic, index } = missing[at]!
      opened[at] = await openPartition(topic, index, parts)
    }
  }
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, openSome))
  for (const [at, { topic }] of missing.entries()) topic.addPartition(opened[at]!)
}

async function openPartition(
  topic: Topic,
  index: number,
  { shards, forms, now }: OpeningParts,
): Promise<Partition> {
  const { cycle, writer, limits, state } = shards
  const durable = isStored(topic.spec)
  const log = await shards.openPartitionLog(topic.id, index, !durable)
  const partition = new Partition(topic.id, index, {
    log,
    cycle,
    writer,
    limits,
    forms,
    isDurable: durable,
    state: durable ? state : null,
    now,
  })
  await partition.recover()
  return partition
}
