import { someAtOnce } from '../../lib/some-at-once.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { isStored } from '../destination.ts'
import type { Shards } from '../shards.ts'
import { Partition } from './partition.ts'
import type { Topic } from './topic.ts'

/** So many logs are opened side by side; more only queue up for the disk. */
const OPENED_AT_ONCE = 64

/** A partition that is not open yet. */
interface Missing {
  readonly topic: Topic
  readonly index: number
}

interface OpeningParts {
  readonly shards: Shards
  readonly forms: ReadonlyMap<number, NativeForm>
  readonly now: () => number
}

/** Opens the partitions that topics should have by `spec` and have not, and reads them. */
export async function openTopics(topics: Iterable<Topic>, parts: OpeningParts): Promise<void> {
  const missing: Missing[] = []
  for (const topic of topics) missing.push(...missingOf(topic, topic.spec.partitionCount ?? 1))
  const opened = await openAll(missing, parts)
  for (const [at, { topic }] of missing.entries()) topic.addPartition(opened[at]!)
}

/** Opens the partitions that a topic needs to have `partitionCount`; they are not added to it. */
export function openPartitions(
  topic: Topic,
  partitionCount: number,
  parts: OpeningParts,
): Promise<readonly Partition[]> {
  return openAll([...missingOf(topic, partitionCount)], parts)
}

function* missingOf(topic: Topic, partitionCount: number): Iterable<Missing> {
  for (let index = topic.partitions.length; index < partitionCount; index++) {
    yield { topic, index }
  }
}

async function openAll(
  missing: readonly Missing[],
  parts: OpeningParts,
): Promise<readonly Partition[]> {
  const opened: Partition[] = []
  await someAtOnce(missing, OPENED_AT_ONCE, async ({ topic, index }, at) => {
    opened[at] = await openPartition(topic, index, parts)
  })
  return opened
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
  await partition.recover((name) => shards.openLog(name))
  return partition
}
