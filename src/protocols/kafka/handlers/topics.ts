import type { Topic } from '../../../broker/index.ts'
import { ERROR, ZERO_UUID } from '../../../codec/kafka/index.ts'
import { type Refusal, refusalOf, Refused } from '../errors.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { stored } from '../stored.ts'
import { TOPIC_CONFIG } from '../topic-config.ts'
import { auditChange } from '../audit.ts'
import { createTopic, deleteTopic, findTopic, mayUse, topicNameFault } from '../topics.ts'

type TopicAsked = Request<'CreateTopics'>['topics'][number]
type TopicCreated = Response<'CreateTopics'>['topics'][number]

/** Ends a request whose parts are answered one by one; what they throw is the server's fault. */
function answerAll<T, R>(
  context: RequestContext,
  { work, respond }: { readonly work: Promise<T>[]; readonly respond: (done: T[]) => R },
): void {
  Promise.all(work).then(respond, (error: unknown) => {
    context.shared.log.error({ err: error }, 'an administrative request failed')
    context.connection.fail('an administrative request failed')
  })
}

async function orRefusal<T>(work: () => Promise<T>, refuse: (refusal: Refusal) => T): Promise<T> {
  try {
    return await work()
  } catch (error) {
    return refuse(refusalOf(error))
  }
}

// --- CreateTopics ---

export const handleCreateTopics: Handler<'CreateTopics'> = (
  context,
  { topics, validateOnly },
  respond,
) => {
  const counts = new Map<string, number>()
  for (const { name } of topics) counts.set(name, (counts.get(name) ?? 0) + 1)
  const work = [...new Map(topics.map((asked) => [asked.name, asked])).values()].map((asked) =>
    orRefusal(
      () => createOne(context, asked, { validateOnly, isRepeated: counts.get(asked.name)! > 1 }),
      (refusal): TopicCreated => ({
        name: asked.name,
        topicId: ZERO_UUID,
        ...refusal,
        configs: null,
      }),
    ),
  )
  answerAll(context, { work, respond: (done) => respond({ topics: done }) })
}

async function createOne(
  context: RequestContext,
  asked: TopicAsked,
  options: { readonly validateOnly: boolean; readonly isRepeated: boolean },
): Promise<TopicCreated> {
  const { vhost, shared } = context
  const { name } = asked
  if (options.isRepeated) {
    throw new Refused(ERROR.INVALID_REQUEST, `Duplicate topic name: ${name}`)
  }
  if (!mayUse(context, name, 'configure')) {
    throw new Refused(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Authorization failed.')
  }
  const nameFault = topicNameFault(name)
  if (nameFault !== null) throw new Refused(ERROR.INVALID_TOPIC_EXCEPTION, nameFault)
  if (vhost.destination(name) !== undefined) {
    throw new Refused(ERROR.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const partitionCount = partitionCountOf(context, asked)
  const config = new Map<string, string>()
  for (const { name: key, value } of asked.configs) {
    const fault = TOPIC_CONFIG.fault(key, value)
    if (fault !== null) throw new Refused(ERROR.INVALID_CONFIG, fault)
    config.set(key, value!)
  }
  const described = {
    name,
    errorCode: ERROR.NONE,
    errorMessage: null,
    numPartitions: partitionCount,
    replicationFactor: 1,
    configs: TOPIC_CONFIG.specs.map((spec) => ({
      name: spec.name,
      value: TOPIC_CONFIG.value(config, spec.name),
      readOnly: false,
      configSource: config.has(spec.name) ? 1 : 5,
      isSensitive: false,
    })),
  }
  if (options.validateOnly) return { ...described, topicId: ZERO_UUID }
  const topic = await createTopic(vhost, name, { partitionCount, config })
  auditChange(context, 'CreateTopics', `topic '${name}'`)
  return { ...described, topicId: shared.ids.topicId(topic) }
}

function partitionCountOf({ shared }: RequestContext, asked: TopicAsked): number {
  const { numPartitions, replicationFactor, assignments } = asked
  const { partitionsDefault, partitionsMax } = shared.limits
  if (assignments.length > 0) {
    if (numPartitions !== -1 || replicationFactor !== -1) {
      throw new Refused(
        ERROR.INVALID_REQUEST,
        'Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.',
      )
    }
    const indexes = assignments
      .map(({ partitionIndex }) => partitionIndex)
      .toSorted((a, b) => a - b)
    const isWhole = indexes.every((index, at) => index === at)
    if (!isWhole || assignments.some(({ brokerIds }) => brokerIds.join() !== '0')) {
      throw new Refused(
        ERROR.INVALID_REPLICA_ASSIGNMENT,
        'partitions must be numbered from 0 on, each on broker 0 alone',
      )
    }
    return assignments.length
  }
  if (replicationFactor !== 1 && replicationFactor !== -1) {
    throw new Refused(
      ERROR.INVALID_REPLICATION_FACTOR,
      replicationFactor < 1
        ? 'Replication factor must be larger than 0, or -1 to use the default value.'
        : `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ${replicationFactor} cannot be reached because only 1 broker(s) are registered.`,
    )
  }
  if (numPartitions === -1) return partitionsDefault
  if (numPartitions < 1) {
    throw new Refused(
      ERROR.INVALID_PARTITIONS,
      'Number of partitions was set to an invalid non-positive value.',
    )
  }
  checkPartitionCount(numPartitions, partitionsMax)
  return numPartitions
}

function checkPartitionCount(count: number, limit: number): void {
  if (count <= limit) return
  throw new Refused(ERROR.POLICY_VIOLATION, `a topic of ${count} partitions, limit is ${limit}`)
}

// --- DeleteTopics ---

type TopicDeleted = Response<'DeleteTopics'>['responses'][number]

export const handleDeleteTopics: Handler<'DeleteTopics'> = (context, request, respond) => {
  const { vhost, shared, apiVersion } = context
  const asked =
    apiVersion >= 6
      ? request.topics
      : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
  const work = asked.map(({ name, topicId }) => {
    const topic = name === null ? shared.ids.find(vhost, topicId) : findTopic(vhost, name)
    const unknown = name === null ? ERROR.UNKNOWN_TOPIC_ID : ERROR.UNKNOWN_TOPIC_OR_PARTITION
    return orRefusal(
      () => deleteOne(context, topic, { unknown, name }),
      (refusal): TopicDeleted => ({ name, topicId, ...refusal }),
    )
  })
  answerAll(context, { work, respond: (done) => respond({ responses: done }) })
}

async function deleteOne(
  context: RequestContext,
  topic: Topic | null,
  { unknown, name }: { readonly unknown: number; readonly name: string | null },
): Promise<TopicDeleted> {
  const known = topic?.name ?? name
  if (known !== null && !mayUse(context, known, 'configure')) {
    throw new Refused(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Authorization failed.')
  }
  if (topic === null) {
    throw new Refused(unknown, 'This server does not host this topic-partition.')
  }
  const topicId = context.shared.ids.topicId(topic)
  await deleteTopic(context.vhost, topic)
  auditChange(context, 'DeleteTopics', `topic '${topic.name}'`)
  return { name: topic.name, topicId, errorCode: ERROR.NONE, errorMessage: null }
}

// --- CreatePartitions ---

export const handleCreatePartitions: Handler<'CreatePartitions'> = (
  context,
  { topics, validateOnly },
  respond,
) => {
  const work = topics.map((asked) =>
    orRefusal(
      async () => {
        await growOne(context, asked, validateOnly)
        return { name: asked.name, errorCode: ERROR.NONE as number, errorMessage: null }
      },
      (refusal): Response<'CreatePartitions'>['results'][number] => ({
        name: asked.name,
        ...refusal,
      }),
    ),
  )
  answerAll(context, { work, respond: (done) => respond({ results: done }) })
}

async function growOne(
  context: RequestContext,
  { name, count, assignments }: Request<'CreatePartitions'>['topics'][number],
  validateOnly: boolean,
): Promise<void> {
  if (!mayUse(context, name, 'configure')) {
    throw new Refused(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Authorization failed.')
  }
  const topic = findTopic(context.vhost, name)
  if (topic === null) {
    throw new Refused(
      ERROR.UNKNOWN_TOPIC_OR_PARTITION,
      'This server does not host this topic-partition.',
    )
  }
  const there = topic.partitions.length
  if (count <= there) {
    throw new Refused(
      ERROR.INVALID_PARTITIONS,
      count === there
        ? `Topic already has ${there} partition(s).`
        : `The topic ${name} currently has ${there} partition(s); ${count} would not be an increase.`,
    )
  }
  if (assignments !== null && assignments.length !== count - there) {
    throw new Refused(
      ERROR.INVALID_REPLICA_ASSIGNMENT,
      `Increasing the number of partitions by ${count - there} but ${assignments.length} assignments provided.`,
    )
  }
  checkPartitionCount(count, context.shared.limits.partitionsMax)
  if (validateOnly) return
  await context.vhost.growTopic(topic, count)
  auditChange(context, 'CreatePartitions', `topic '${name}'`)
}

// --- DeleteRecords ---

type RecordsDeleted = Response<'DeleteRecords'>['topics'][number]['partitions'][number]

/** Stands for the end of what is committed. */
const HIGH_WATERMARK = -1

export const handleDeleteRecords: Handler<'DeleteRecords'> = (context, { topics }, respond) => {
  const work = topics.map(async ({ name, partitions }) => ({
    name,
    partitions: await Promise.all(
      partitions.map(({ partitionIndex, offset }) =>
        orRefusal(
          () => deleteRecords(context, { name, partitionIndex, offset }),
          ({ errorCode }): RecordsDeleted => ({ partitionIndex, errorCode, lowWatermark: -1 }),
        ),
      ),
    ),
  }))
  answerAll(context, { work, respond: (done) => respond({ topics: done }) })
}

async function deleteRecords(
  context: RequestContext,
  asked: { readonly name: string; readonly partitionIndex: number; readonly offset: number },
): Promise<RecordsDeleted> {
  const { name, partitionIndex } = asked
  if (!mayUse(context, name, 'configure')) {
    throw new Refused(ERROR.TOPIC_AUTHORIZATION_FAILED, 'Authorization failed.')
  }
  const topic = findTopic(context.vhost, name)
  const partition = topic?.partitions[partitionIndex]
  if (topic === null || partition === undefined) {
    throw new Refused(ERROR.UNKNOWN_TOPIC_OR_PARTITION, 'unknown partition')
  }
  if (TOPIC_CONFIG.value(topic.spec.arguments, 'cleanup.policy') === 'compact') {
    throw new Refused(ERROR.POLICY_VIOLATION, 'the topic is compacted only')
  }
  const offset = asked.offset === HIGH_WATERMARK ? partition.highWatermark : asked.offset
  if (offset < 0 || offset > partition.highWatermark) {
    throw new Refused(ERROR.OFFSET_OUT_OF_RANGE, `offset ${offset} is out of range`)
  }
  partition.deleteBefore(offset)
  auditChange(context, 'DeleteRecords', `topic '${name}' partition ${partitionIndex}`)
  await stored(context.shared.broker)
  return { partitionIndex, errorCode: ERROR.NONE, lowWatermark: partition.startOffset }
}
