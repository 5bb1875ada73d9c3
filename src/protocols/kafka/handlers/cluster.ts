import { ERROR, ZERO_UUID } from '../../../codec/kafka/index.ts'
import { clusterOperations, requireAdministrator, topicOperations } from '../acl-operations.ts'
import { endpointOf } from '../endpoint.ts'
import { refusalOf } from '../errors.ts'
import { LEADER_EPOCH, NODE_ID } from '../limits.ts'
import type { Handler, RequestContext, Response } from '../request-context.ts'
import { findTopic, mayDescribe, mayUse, topicsOf } from '../topics.ts'

const ONE_NODE: number[] = [NODE_ID]
/** The kinds of coordinator: of groups, transactions and share groups. */
const KEY_TYPE: { readonly GROUP: 0; readonly TRANSACTION: 1; readonly SHARE: 2 } = {
  GROUP: 0,
  TRANSACTION: 1,
  SHARE: 2,
}

export const handleFindCoordinator: Handler<'FindCoordinator'> = (context, request, respond) => {
  const { keyType, coordinatorKeys, key } = request
  const answer = (one: string) => coordinatorOf(context, one, keyType)
  if (context.apiVersion >= 4) {
    respond({ coordinators: coordinatorKeys.map((one) => ({ key: one, ...answer(one) })) })
  } else respond(answer(key))
}

type Coordinator = Omit<NonNullable<Response<'FindCoordinator'>['coordinators']>[number], 'key'>

function coordinatorOf(context: RequestContext, key: string, keyType: number): Coordinator {
  const refuse = (errorCode: number, errorMessage: string): Coordinator => ({
    errorCode,
    errorMessage,
    nodeId: -1,
    host: '',
    port: -1,
  })
  const { GROUP, TRANSACTION, SHARE } = KEY_TYPE
  if (keyType !== GROUP && keyType !== TRANSACTION && keyType !== SHARE) {
    return refuse(ERROR.INVALID_REQUEST, `unknown coordinator key type ${keyType}`)
  }
  if (keyType === GROUP && !mayUse(context, key, 'read')) {
    return refuse(ERROR.GROUP_AUTHORIZATION_FAILED, `no read access to group '${key}'`)
  }
  if (keyType === TRANSACTION && !mayUse(context, key, 'write')) {
    return refuse(
      ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      `no write access to transactional id '${key}'`,
    )
  }
  return { errorCode: ERROR.NONE, errorMessage: null, nodeId: NODE_ID, ...endpointOf(context) }
}

export const handleDescribeCluster: Handler<'DescribeCluster'> = (context, request, respond) => {
  respond({
    errorCode: ERROR.NONE,
    errorMessage: null,
    endpointType: request.endpointType,
    clusterId: context.shared.ids.clusterId,
    controllerId: NODE_ID,
    brokers: [{ brokerId: NODE_ID, ...endpointOf(context), rack: null, isFenced: false }],
    ...(request.includeClusterAuthorizedOperations
      ? { clusterAuthorizedOperations: clusterOperations(context) }
      : {}),
  })
}

type TopicAnswer = Response<'DescribeTopicPartitions'>['topics'][number]

/** `max.request.partition.size.limit` */
const PARTITIONS_MAX = 2000

export const handleDescribeTopicPartitions: Handler<'DescribeTopicPartitions'> = (
  context,
  request,
  respond,
) => {
  const { cursor, topics: asked } = request
  const names =
    asked.length > 0
      ? [...new Set(asked.map(({ name }) => name))]
      : [...topicsOf(context.vhost)].map(({ name }) => name)
  let left = Math.min(request.responsePartitionLimit, PARTITIONS_MAX)
  const topics: TopicAnswer[] = []
  let nextCursor: Response<'DescribeTopicPartitions'>['nextCursor'] = null
  for (const name of names.toSorted()) {
    if (cursor !== null && name < cursor.topicName) continue
    const isListed = asked.length > 0 || mayDescribe(context, name)
    if (!isListed) continue
    const from = cursor !== null && cursor.topicName === name ? cursor.partitionIndex : 0
    if (left <= 0) {
      nextCursor = { topicName: name, partitionIndex: from }
      break
    }
    const answer = describeTopic(context, name, { from, count: left })
    topics.push(answer)
    left -= answer.partitions.length
    const next = from + answer.partitions.length
    if (next < (findTopic(context.vhost, name)?.partitions.length ?? 0)) {
      nextCursor = { topicName: name, partitionIndex: next }
      break
    }
  }
  respond({ topics, nextCursor })
}

function describeTopic(
  context: RequestContext,
  name: string,
  { from, count }: { readonly from: number; readonly count: number },
): TopicAnswer {
  const topic = findTopic(context.vhost, name)
  if (!mayDescribe(context, name)) {
    const errorCode = ERROR.TOPIC_AUTHORIZATION_FAILED
    return { errorCode, name, topicId: ZERO_UUID, partitions: [] }
  }
  if (topic === null) {
    const errorCode = ERROR.UNKNOWN_TOPIC_OR_PARTITION
    return { errorCode, name, topicId: ZERO_UUID, partitions: [] }
  }
  return {
    errorCode: ERROR.NONE,
    name,
    topicId: context.shared.ids.topicId(topic),
    partitions: topic.partitions.slice(from, from + count).map(({ index }) => ({
      errorCode: ERROR.NONE,
      partitionIndex: index,
      leaderId: NODE_ID,
      leaderEpoch: LEADER_EPOCH,
      replicaNodes: ONE_NODE,
      isrNodes: ONE_NODE,
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      offlineReplicas: [],
    })),
    topicAuthorizedOperations: topicOperations(context, name),
  }
}

/** Partitions are never moved: there is nowhere to move them to. */
export const handleListPartitionReassignments: Handler<'ListPartitionReassignments'> = (
  context,
  _request,
  respond,
) => {
  try {
    requireAdministrator(context)
    respond({ errorCode: ERROR.NONE, errorMessage: null, topics: [] })
  } catch (error) {
    respond({ ...refusalOf(error), topics: [] })
  }
}
