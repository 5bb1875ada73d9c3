import { auditRefusal } from '../audit.ts'
import type { Topic } from '../../../broker/index.ts'
import { ERROR, ZERO_UUID } from '../../../codec/kafka/index.ts'
import { clusterOperations, topicOperations } from '../acl-operations.ts'
import { endpointOf } from '../endpoint.ts'
import { refusalOf } from '../errors.ts'
import { LEADER_EPOCH, NODE_ID } from '../limits.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { createTopic, findTopic, mayDescribe, mayUse, topicNameFault, topicsOf } from '../topics.ts'

type TopicAnswer = Response<'Metadata'>['topics'][number]
type PartitionAnswer = TopicAnswer['partitions'][number]

const NO_CONFIG: ReadonlyMap<string, string> = new Map()
const ONE_NODE: number[] = [NODE_ID]

export const handleMetadata: Handler<'Metadata'> = (context, request, respond) => {
  const { apiVersion, shared } = context
  const { topics: asked } = request
  const finish = (topics: TopicAnswer[]): void => {
    respond({
      brokers: [{ nodeId: NODE_ID, ...endpointOf(context) }],
      clusterId: shared.ids.clusterId,
      controllerId: NODE_ID,
      topics,
      ...(request.includeClusterAuthorizedOperations
        ? { clusterAuthorizedOperations: clusterOperations(context) }
        : {}),
    })
  }
  // Version 0 says 'all' with an empty list, later ones with none.
  if (asked === null || (apiVersion === 0 && asked.length === 0)) {
    finish(allTopics(context, request))
    return
  }
  const answers = asked.map(({ name, topicId }) => answerOne(context, request, { name, topicId }))
  if (answers.every((answer) => !(answer instanceof Promise))) finish(answers as TopicAnswer[])
  else {
    Promise.all(answers.map((answer) => Promise.resolve(answer))).then(finish, (error: unknown) => {
      context.connection.fail(`metadata: ${String(error)}`)
    })
  }
}

function allTopics(context: RequestContext, request: Request<'Metadata'>): TopicAnswer[] {
  const answers: TopicAnswer[] = []
  for (const topic of topicsOf(context.vhost)) {
    if (mayDescribe(context, topic.name)) answers.push(known(context, request, topic))
  }
  return answers
}

function answerOne(
  context: RequestContext,
  request: Request<'Metadata'>,
  asked: { readonly name: string | null; readonly topicId: string },
): TopicAnswer | Promise<TopicAnswer> {
  const { vhost, shared } = context
  const { topicId } = asked
  // Who asks by id leaves the name out, or empty as the Java client does.
  if (topicId !== ZERO_UUID) {
    const topic = shared.ids.find(vhost, topicId)
    if (topic === null || !mayDescribe(context, topic.name)) {
      return { ...unknown(null, ERROR.UNKNOWN_TOPIC_ID), topicId }
    }
    return known(context, request, topic)
  }
  const name = asked.name ?? ''
  if (!mayDescribe(context, name)) {
    auditRefusal(context, 'describe', `'${name}'`)
    return unknown(name, ERROR.TOPIC_AUTHORIZATION_FAILED)
  }
  const topic = findTopic(vhost, name)
  if (topic !== null) return known(context, request, topic)
  if (topicNameFault(name) !== null) return unknown(name, ERROR.INVALID_TOPIC_EXCEPTION)
  const creates = shared.limits.autoCreateTopics && request.allowAutoTopicCreation
  if (!creates || vhost.destination(name) !== undefined || !mayUse(context, name, 'configure')) {
    return unknown(name, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  }
  const options = { partitionCount: shared.limits.partitionsDefault, config: NO_CONFIG }
  return createTopic(vhost, name, options).then(
    (created) => known(context, request, created),
    (error: unknown) => unknown(name, refusalOf(error).errorCode),
  )
}

function known(context: RequestContext, request: Request<'Metadata'>, topic: Topic): TopicAnswer {
  return {
    errorCode: ERROR.NONE,
    name: topic.name,
    topicId: context.shared.ids.topicId(topic),
    partitions: topic.partitions.map(partitionAnswer),
    ...(request.includeTopicAuthorizedOperations
      ? { topicAuthorizedOperations: topicOperations(context, topic.name) }
      : {}),
  }
}

function partitionAnswer({ index }: { readonly index: number }): PartitionAnswer {
  return {
    errorCode: ERROR.NONE,
    partitionIndex: index,
    leaderId: NODE_ID,
    leaderEpoch: LEADER_EPOCH,
    replicaNodes: ONE_NODE,
    isrNodes: ONE_NODE,
    offlineReplicas: [],
  }
}

function unknown(name: string | null, errorCode: number): TopicAnswer {
  return { errorCode, name, topicId: ZERO_UUID, partitions: [] }
}
