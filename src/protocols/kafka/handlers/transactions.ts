import type {
  NewPosition,
  PartitionPlace,
  ProducerIdentity,
  Topic,
  Transaction,
  TransactionResult,
} from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { BrokerError } from '../../../model/errors.ts'
import { NATIVE_FORM } from '../../../model/native-form.ts'
import { afterCommit, errorCode, groupFault, groupsOf } from '../group-requests.ts'
import { GroupRefusal } from '../groups/group-refusal.ts'
import { TopicPattern } from '../groups/topic-pattern.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { findTopic, mayUse, topicsOf } from '../topics.ts'

type AddedTopic = Request<'AddPartitionsToTxn'>['v3AndBelowTopics'][number]
type TopicResult = NonNullable<Response<'AddPartitionsToTxn'>['resultsByTopicV3AndBelow']>[number]
type OffsetTopic = Request<'TxnOffsetCommit'>['topics'][number]
type DescribedTransaction = Response<'DescribeTransactions'>['transactionStates'][number]
type ProducersTopic = Response<'DescribeProducers'>['topics'][number]
type ProducersPartition = ProducersTopic['partitions'][number]

/** From these versions on clients know PRODUCER_FENCED (KIP-588). */
const FENCED_VERSION = {
  InitProducerId: 4,
  AddPartitionsToTxn: 2,
  AddOffsetsToTxn: 2,
  EndTxn: 2,
} as const
/** Each transaction has an epoch of its own, from these versions on (KIP-890). */
const END_BUMPS_VERSION = 5
const OFFSETS_ADD_VERSION = 5
/** Several transactions in one request, which brokers send, from this version on. */
const BATCH_VERSION = 4

/** As Kafka's coordinator writes transaction markers; ours is never replaced. */
const COORDINATOR_EPOCH = 0
const NO_PRODUCER: ProducerIdentity = { producerId: -1, producerEpoch: -1 }
/** Kafka's `offset.metadata.max.bytes`. */
const METADATA_LENGTH_MAX = 4096

/** What became of a call, in Kafka's codes; `fenced` depends on the version of the request. */
const RESULTS: Readonly<Record<Exclude<TransactionResult, 'fenced'>, number>> = {
  ok: ERROR.NONE,
  'unknown-producer': ERROR.INVALID_PRODUCER_ID_MAPPING,
  'invalid-state': ERROR.INVALID_TXN_STATE,
  'not-added': ERROR.INVALID_TXN_STATE,
  'invalid-timeout': ERROR.INVALID_TRANSACTION_TIMEOUT,
  'limit-exceeded': ERROR.COORDINATOR_NOT_AVAILABLE,
}

function resultCode(
  { apiVersion }: RequestContext,
  api: keyof typeof FENCED_VERSION,
  result: TransactionResult,
): number {
  if (result !== 'fenced') return RESULTS[result]
  const isKnown = apiVersion >= FENCED_VERSION[api]
  return isKnown ? ERROR.PRODUCER_FENCED : ERROR.INVALID_PRODUCER_EPOCH
}

/** Whether the user may run transactions of this name: the permission is to write to it. */
function mayTransact(context: RequestContext, transactionalId: string): boolean {
  return mayUse(context, transactionalId, 'write')
}

export const handleInitProducerId: Handler<'InitProducerId'> = (context, request, respond) => {
  const { transactionalId, transactionTimeoutMs, producerId, producerEpoch } = request
  const { transactions } = context.vhost
  const refuse = (code: number): void => {
    respond({ errorCode: code, producerId: -1, producerEpoch: -1 })
  }
  const answer = (code: number, identity: ProducerIdentity): void => {
    if (code !== ERROR.NONE) {
      refuse(code)
      return
    }
    afterCommit(context, (error) => {
      if (error !== null) refuse(ERROR.COORDINATOR_NOT_AVAILABLE)
      else respond({ errorCode: ERROR.NONE, ...identity })
    })
  }
  if (transactionalId === null) {
    // Whoever has an id and lost its place gets a new one: nothing is known of the old.
    answer(ERROR.NONE, { producerId: transactions.newProducerId(), producerEpoch: 0 })
  } else if (transactionalId === '') {
    refuse(ERROR.INVALID_REQUEST)
  } else if (!mayTransact(context, transactionalId)) {
    refuse(ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  } else if (request.enable2Pc || request.keepPreparedTxn) {
    refuse(ERROR.UNSUPPORTED_VERSION)
  } else if (producerId < 0 !== producerEpoch < 0) {
    refuse(ERROR.INVALID_REQUEST)
  } else {
    const { result, ...identity } = transactions.init(transactionalId, {
      timeoutMs: transactionTimeoutMs,
      form: NATIVE_FORM.KAFKA,
      expected: producerId < 0 ? null : { producerId, producerEpoch },
    })
    answer(resultCode(context, 'InitProducerId', result), identity)
  }
}

interface Addition extends ProducerIdentity {
  readonly transactionalId: string
  readonly topics: readonly AddedTopic[]
  /** Nothing is added: it is asked whether the partitions are part of the transaction. */
  readonly verifyOnly: boolean
}

export const handleAddPartitionsToTxn: Handler<'AddPartitionsToTxn'> = (
  context,
  request,
  respond,
) => {
  const isBatch = context.apiVersion >= BATCH_VERSION
  const additions: readonly Addition[] = isBatch
    ? request.transactions
    : [
        {
          transactionalId: request.v3AndBelowTransactionalId,
          producerId: request.v3AndBelowProducerId,
          producerEpoch: request.v3AndBelowProducerEpoch,
          topics: request.v3AndBelowTopics,
          verifyOnly: false,
        },
      ]
  const results = additions.map((addition) => ({
    transactionalId: addition.transactionalId,
    topicResults: addPartitions(context, addition),
  }))
  const send = (): void => {
    if (isBatch) respond({ errorCode: ERROR.NONE, resultsByTransaction: results })
    else respond({ resultsByTopicV3AndBelow: results[0]!.topicResults })
  }
  afterCommit(context, (error) => {
    if (error === null) send()
    else context.connection.fail('a transaction could not be stored')
  })
}

function addPartitions(context: RequestContext, addition: Addition): TopicResult[] {
  const { transactionalId, topics, verifyOnly } = addition
  const all = (code: number): TopicResult[] => topicResults(topics, () => code)
  if (!mayTransact(context, transactionalId)) {
    return all(ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
  }
  const codes = new Map<string, number>()
  const places: PartitionPlace[] = []
  for (const { name, partitions } of topics) {
    const topic = findTopic(context.vhost, name)
    for (const partition of partitions) {
      const code = partitionFault(context, { name, topic, partition })
      if (code === ERROR.NONE) places.push({ topicId: topic!.id, partition })
      else codes.set(`${name}/${partition}`, code)
    }
  }
  if (codes.size > 0) {
    // One that cannot be added keeps all others out.
    return topicResults(
      topics,
      (name, partition) => codes.get(`${name}/${partition}`) ?? ERROR.OPERATION_NOT_ATTEMPTED,
    )
  }
  const { transactions } = context.vhost
  if (verifyOnly) {
    return topicResults(topics, (name, partition) => {
      const place = { topicId: findTopic(context.vhost, name)!.id, partition }
      const result = transactions.checkPartition(transactionalId, addition, place)
      return resultCode(context, 'AddPartitionsToTxn', result)
    })
  }
  const result = transactions.addPartitions(transactionalId, addition, places)
  return all(resultCode(context, 'AddPartitionsToTxn', result))
}

function partitionFault(
  context: RequestContext,
  {
    name,
    topic,
    partition,
  }: { readonly name: string; readonly topic: Topic | null; readonly partition: number },
): number {
  if (!mayUse(context, name, 'write')) return ERROR.TOPIC_AUTHORIZATION_FAILED
  const isKnown = topic?.partitions[partition] !== undefined
  return isKnown ? ERROR.NONE : ERROR.UNKNOWN_TOPIC_OR_PARTITION
}

function topicResults(
  topics: readonly AddedTopic[],
  codeOf: (name: string, partition: number) => number,
): TopicResult[] {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partition) => ({
      partitionIndex: partition,
      partitionErrorCode: codeOf(name, partition),
    })),
  }))
}

export const handleAddOffsetsToTxn: Handler<'AddOffsetsToTxn'> = (context, request, respond) => {
  const { transactionalId, groupId } = request
  const fault = mayTransact(context, transactionalId)
    ? groupFault(context, groupId)
    : ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  if (fault !== ERROR.NONE) {
    respond({ errorCode: fault })
    return
  }
  const result = context.vhost.transactions.addSubscription(transactionalId, request, groupId)
  const code = resultCode(context, 'AddOffsetsToTxn', result)
  if (code !== ERROR.NONE) {
    respond({ errorCode: code })
    return
  }
  afterCommit(context, (error) => {
    respond({ errorCode: error === null ? ERROR.NONE : ERROR.COORDINATOR_NOT_AVAILABLE })
  })
}

export const handleTxnOffsetCommit: Handler<'TxnOffsetCommit'> = (context, request, respond) => {
  const { transactionalId, groupId, topics } = request
  const positions: NewPosition[] = []
  const codes = new Map<string, number>()
  for (const { name, partitions } of topics) {
    const topic = findTopic(context.vhost, name)
    for (const given of partitions) {
      const { partitionIndex: partition, committedMetadata } = given
      const code = offsetFault(context, { name, topic, partition, metadata: committedMetadata })
      codes.set(`${name}/${partition}`, code)
      if (code !== ERROR.NONE) continue
      positions.push({
        topicId: topic!.id,
        partition,
        offset: given.committedOffset,
        leaderEpoch: given.committedLeaderEpoch,
        metadata: committedMetadata ?? '',
      })
    }
  }
  const fault = mayTransact(context, transactionalId)
    ? groupFault(context, groupId) || holdPositions(context, request, positions)
    : ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  const answer = (failure: number): Response<'TxnOffsetCommit'> => ({
    topics: offsetResults(topics, (name, partition) => {
      const code = codes.get(`${name}/${partition}`)!
      return code === ERROR.NONE ? failure : code
    }),
  })
  if (fault !== ERROR.NONE || positions.length === 0) {
    respond(answer(fault))
    return
  }
  afterCommit(context, (error) => {
    respond(answer(error === null ? ERROR.NONE : ERROR.COORDINATOR_NOT_AVAILABLE))
  })
}

function holdPositions(
  context: RequestContext,
  request: Request<'TxnOffsetCommit'>,
  positions: readonly NewPosition[],
): number {
  const { transactionalId, groupId, memberId, groupInstanceId, generationId } = request
  const { apiVersion, shared, vhost } = context
  const claim = { memberId, instanceId: groupInstanceId, generation: generationId }
  const error = groupsOf(context).commitFault(groupId, claim, {
    isTransactional: true,
    apiVersion,
    partitions: request.topics.flatMap(({ name, partitions }) => {
      const topic = findTopic(vhost, name)
      if (topic === null) return []
      const topicId = shared.ids.topicId(topic)
      return [{ topicId, partitions: partitions.map(({ partitionIndex }) => partitionIndex) }]
    }),
  })
  // The protocol has no word for a stale member here.
  if (error === 'STALE_MEMBER_EPOCH') return ERROR.ILLEGAL_GENERATION
  if (error !== 'NONE') return errorCode(error)
  if (positions.length === 0) return ERROR.NONE
  try {
    const result = vhost.transactions.commitPositions(transactionalId, request, {
      subscription: groupId,
      positions,
      adds: apiVersion >= OFFSETS_ADD_VERSION,
    })
    return result === 'fenced' ? ERROR.INVALID_PRODUCER_EPOCH : RESULTS[result]
  } catch (failure) {
    if (!(failure instanceof BrokerError)) throw failure
    return ERROR.INVALID_COMMIT_OFFSET_SIZE
  }
}

function offsetFault(
  context: RequestContext,
  {
    name,
    topic,
    partition,
    metadata,
  }: {
    readonly name: string
    readonly topic: Topic | null
    readonly partition: number
    readonly metadata: string | null
  },
): number {
  if (!mayUse(context, name, 'read')) return ERROR.TOPIC_AUTHORIZATION_FAILED
  if (topic?.partitions[partition] === undefined) return ERROR.UNKNOWN_TOPIC_OR_PARTITION
  const isTooLong = metadata !== null && metadata.length > METADATA_LENGTH_MAX
  return isTooLong ? ERROR.OFFSET_METADATA_TOO_LARGE : ERROR.NONE
}

function offsetResults(
  topics: readonly OffsetTopic[],
  codeOf: (name: string, partition: number) => number,
): Response<'TxnOffsetCommit'>['topics'] {
  return topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({
      partitionIndex,
      errorCode: codeOf(name, partitionIndex),
    })),
  }))
}

export const handleEndTxn: Handler<'EndTxn'> = (context, request, respond) => {
  const { transactionalId, committed } = request
  const { apiVersion, vhost } = context
  if (!mayTransact(context, transactionalId)) {
    respond({ errorCode: ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED })
    return
  }
  const { result, ...identity } = vhost.transactions.end(transactionalId, request, {
    isCommit: committed,
    bumps: apiVersion >= END_BUMPS_VERSION,
  })
  const code = resultCode(context, 'EndTxn', result)
  if (code !== ERROR.NONE) {
    respond({ errorCode: code, ...NO_PRODUCER })
    return
  }
  afterCommit(context, (error) => {
    if (error === null) respond({ errorCode: ERROR.NONE, ...identity })
    else respond({ errorCode: ERROR.COORDINATOR_NOT_AVAILABLE, ...NO_PRODUCER })
  })
}

/** Kafka's names of what a transaction is, for tools. */
const STATE_NAMES: Readonly<Record<Transaction['state'], string>> = {
  empty: 'Empty',
  ongoing: 'Ongoing',
  committed: 'CompleteCommit',
  aborted: 'CompleteAbort',
}
/** Those that Kafka has beside, which are never seen here: an end is one step. */
const PASSING_STATES = ['PrepareCommit', 'PrepareAbort', 'Dead', 'PrepareEpochFence']

export const handleDescribeTransactions: Handler<'DescribeTransactions'> = (
  context,
  request,
  respond,
) => {
  const names = new Map<number, string>()
  for (const topic of topicsOf(context.vhost)) names.set(topic.id, topic.name)
  respond({
    transactionStates: request.transactionalIds.map((transactionalId) =>
      describeTransaction(context, transactionalId, names),
    ),
  })
}

function describeTransaction(
  context: RequestContext,
  transactionalId: string,
  names: ReadonlyMap<number, string>,
): DescribedTransaction {
  const transaction = context.vhost.transactions.find(transactionalId)
  const isAllowed = mayTransact(context, transactionalId)
  if (!isAllowed || transaction === undefined) {
    return {
      errorCode: isAllowed
        ? ERROR.TRANSACTIONAL_ID_NOT_FOUND
        : ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      transactionalId,
      transactionState: '',
      transactionTimeoutMs: 0,
      transactionStartTimeMs: 0,
      producerId: 0,
      producerEpoch: 0,
      topics: [],
    }
  }
  const byTopic = Map.groupBy(transaction.partitions.values(), ({ topicId }) => topicId)
  const topics = Array.from(byTopic, ([topicId, places]) => ({
    topic: names.get(topicId) ?? '',
    partitions: places.map(({ partition }) => partition),
  }))
  return {
    errorCode: ERROR.NONE,
    transactionalId,
    transactionState: STATE_NAMES[transaction.state],
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStartTimeMs: transaction.startMs,
    producerId: transaction.producerId,
    producerEpoch: transaction.producerEpoch,
    topics: topics.filter(({ topic }) => topic !== ''),
  }
}

export const handleListTransactions: Handler<'ListTransactions'> = (context, request, respond) => {
  const { stateFilters, producerIdFilters, durationFilter, transactionalIdPattern } = request
  const { shared, vhost } = context
  const known = [...Object.values(STATE_NAMES), ...PASSING_STATES]
  let pattern: TopicPattern | null = null
  try {
    if (transactionalIdPattern !== null && transactionalIdPattern !== '') {
      pattern = new TopicPattern(transactionalIdPattern, shared.groups.limits.patternLengthMax)
    }
  } catch (error) {
    if (!(error instanceof GroupRefusal)) throw error
    const code = ERROR.INVALID_REGULAR_EXPRESSION
    respond({ errorCode: code, unknownStateFilters: [], transactionStates: [] })
    return
  }
  const nowMs = shared.broker.clock.now()
  const isAsked = (transaction: Transaction): boolean => {
    const { name, producerId, state, startMs } = transaction
    if (stateFilters.length > 0 && !stateFilters.includes(STATE_NAMES[state])) return false
    if (producerIdFilters.length > 0 && !producerIdFilters.includes(producerId)) return false
    if (durationFilter >= 0 && !(state === 'ongoing' && nowMs - startMs > durationFilter)) {
      return false
    }
    return (pattern?.matches(name) ?? true) && mayTransact(context, name)
  }
  respond({
    errorCode: ERROR.NONE,
    unknownStateFilters: stateFilters.filter((state) => !known.includes(state)),
    transactionStates: [...vhost.transactions.list()].filter(isAsked).map((transaction) => ({
      transactionalId: transaction.name,
      producerId: transaction.producerId,
      transactionState: STATE_NAMES[transaction.state],
    })),
  })
}

export const handleDescribeProducers: Handler<'DescribeProducers'> = (
  context,
  { topics },
  respond,
) => {
  respond({
    topics: topics.map(({ name, partitionIndexes }) => {
      const topic = findTopic(context.vhost, name)
      const isAllowed = mayUse(context, name, 'read')
      return {
        name,
        partitions: partitionIndexes.map((partition) =>
          isAllowed
            ? describeProducers(topic, partition)
            : noProducers(partition, ERROR.TOPIC_AUTHORIZATION_FAILED),
        ),
      }
    }),
  })
}

function describeProducers(topic: Topic | null, index: number): ProducersPartition {
  const partition = topic?.partitions[index]
  if (partition === undefined) return noProducers(index, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
  return {
    partitionIndex: index,
    errorCode: ERROR.NONE,
    activeProducers: Array.from(partition.producerList(), (producer) => ({
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      lastSequence: producer.lastSequence,
      lastTimestamp: producer.lastMs,
      coordinatorEpoch: COORDINATOR_EPOCH,
      currentTxnStartOffset: producer.transactionOffset,
    })),
  }
}

function noProducers(partitionIndex: number, code: number): ProducersPartition {
  return { partitionIndex, errorCode: code, activeProducers: [] }
}
