import type { Topic } from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { isAdministrator } from '../acl-operations.ts'
import type { Handler } from '../request-context.ts'
import { findTopic, topicsOf } from '../topics.ts'

/** Clients group by directory; ours has no name that would help them. */
const LOG_DIR = 'waystation'

export const handleDescribeLogDirs: Handler<'DescribeLogDirs'> = (context, { topics }, respond) => {
  if (!isAdministrator(context)) {
    respond({ errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, results: [] })
    return
  }
  const { vhost } = context
  const asked: (readonly [Topic, readonly number[] | null])[] =
    topics === null
      ? [...topicsOf(vhost)].map((topic) => [topic, null] as const)
      : topics.flatMap(({ topic: name, partitions }) => {
          const topic = findTopic(vhost, name)
          return topic === null ? [] : [[topic, partitions] as const]
        })
  const described = asked.map(([topic, indexes]) => ({
    name: topic.name,
    partitions: topic.partitions
      .filter(({ index }) => indexes === null || indexes.includes(index))
      .map(({ index, storedBytes }) => ({
        partitionIndex: index,
        partitionSize: storedBytes,
        offsetLag: 0,
        isFutureKey: false,
      })),
  }))
  respond({ results: [{ errorCode: ERROR.NONE, logDir: LOG_DIR, topics: described }] })
}
