import type { Partition } from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { LEADER_EPOCH } from '../limits.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { findTopic, mayDescribe } from '../topics.ts'
import { epochFault } from './offset-for-leader-epoch.ts'

type TopicAsked = Request<'ListOffsets'>['topics'][number]
type PartitionAsked = TopicAsked['partitions'][number]
type PartitionAnswer = Response<'ListOffsets'>['topics'][number]['partitions'][number]

/** Times that stand for places (protocol guide, ListOffsets). */
const LATEST = -1
const EARLIEST = -2
const MAX_TIMESTAMP = -3
const EARLIEST_LOCAL = -4
const LATEST_TIERED = -5
const EARLIEST_PENDING_UPLOAD = -6
const READ_COMMITTED = 1

export const handleListOffsets: Handler<'ListOffsets'> = (
  context,
  { topics, isolationLevel },
  respond,
) => {
  const answers = topics.map(async ({ name, partitions }) => ({
    name,
    partitions: await Promise.all(
      partitions.map((asked) => find(context, { name, asked, isolationLevel })),
    ),
  }))
  Promise.all(answers).then(
    (found) => respond({ topics: found }),
    (error: unknown) => context.connection.fail(`ListOffsets: ${String(error)}`),
  )
}

interface Question {
  readonly name: string
  readonly asked: PartitionAsked
  readonly isolationLevel: number
}

async function find(
  context: RequestContext,
  { name, asked, isolationLevel }: Question,
): Promise<PartitionAnswer> {
  const { partitionIndex, timestamp, currentLeaderEpoch } = asked
  const partition = findTopic(context.vhost, name)?.partitions[partitionIndex]
  const refuse = (errorCode: number): PartitionAnswer => ({ partitionIndex, errorCode })
  if (!mayDescribe(context, name)) return refuse(ERROR.TOPIC_AUTHORIZATION_FAILED)
  if (partition === undefined) return refuse(ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  const fault = epochFault(currentLeaderEpoch)
  if (fault !== ERROR.NONE) return refuse(fault)
  try {
    const place = await placeOf(partition, timestamp, isolationLevel === READ_COMMITTED)
    if (place === undefined) return refuse(ERROR.UNSUPPORTED_VERSION)
    if (place === null) return { partitionIndex, errorCode: ERROR.NONE, offset: -1, timestamp: -1 }
    return { partitionIndex, errorCode: ERROR.NONE, ...place, leaderEpoch: LEADER_EPOCH }
  } catch (error) {
    context.shared.log.error({ err: error, topic: name }, 'an offset could not be found')
    return refuse(ERROR.KAFKA_STORAGE_ERROR)
  }
}

interface Place {
  readonly offset: number
  readonly timestamp: number
}

/** Null: there is none; undefined: we do not know that time. */
async function placeOf(
  partition: Partition,
  timestamp: number,
  isCommitted: boolean,
): Promise<Place | null | undefined> {
  const end = isCommitted ? partition.stableOffset : partition.highWatermark
  if (timestamp === LATEST) return { offset: end, timestamp: -1 }
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) {
    return { offset: partition.startOffset, timestamp: -1 }
  }
  if (timestamp === LATEST_TIERED || timestamp === EARLIEST_PENDING_UPLOAD) return null
  if (timestamp < EARLIEST_PENDING_UPLOAD) return undefined
  const found =
    timestamp === MAX_TIMESTAMP
      ? await partition.maxTimestamp()
      : await partition.findTime(timestamp)
  if (found === null || found.offset >= end) return null
  return { offset: found.offset, timestamp: found.timestampMs }
}
