import { ERROR } from '../../../codec/kafka/index.ts'
import { LEADER_EPOCH } from '../limits.ts'
import type { Handler } from '../request-context.ts'
import { findTopic, mayDescribe } from '../topics.ts'

const UNKNOWN_EPOCH = -1

/** What is wrong with the epoch a client believes in; -1 asks for no check (KIP-320). */
export function epochFault(currentLeaderEpoch: number): number {
  if (currentLeaderEpoch === UNKNOWN_EPOCH || currentLeaderEpoch === LEADER_EPOCH) return ERROR.NONE
  return currentLeaderEpoch < LEADER_EPOCH ? ERROR.FENCED_LEADER_EPOCH : ERROR.UNKNOWN_LEADER_EPOCH
}

export const handleOffsetForLeaderEpoch: Handler<'OffsetForLeaderEpoch'> = (
  context,
  { topics },
  respond,
) => {
  respond({
    topics: topics.map(({ topic: name, partitions }) => ({
      topic: name,
      partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
        const partition = findTopic(context.vhost, name)?.partitions[index]
        const refuse = (errorCode: number) => ({ errorCode, partition: index })
        if (!mayDescribe(context, name)) return refuse(ERROR.TOPIC_AUTHORIZATION_FAILED)
        if (partition === undefined) return refuse(ERROR.UNKNOWN_TOPIC_OR_PARTITION)
        const fault = epochFault(currentLeaderEpoch)
        if (fault !== ERROR.NONE) return refuse(fault)
        // All that there is was written in the one epoch there ever was.
        if (leaderEpoch !== LEADER_EPOCH) return refuse(ERROR.NONE)
        const endOffset = partition.highWatermark
        return { errorCode: ERROR.NONE, partition: index, leaderEpoch: LEADER_EPOCH, endOffset }
      }),
    })),
  })
}
