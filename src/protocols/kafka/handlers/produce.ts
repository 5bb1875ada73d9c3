import {
  BatchDraft,
  type CommitListener,
  INTAKE,
  type Partition,
  type Topic,
  traceBatch,
} from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { NATIVE_FORM } from '../../../model/native-form.ts'
import { type BatchFacts, type BatchRules, checkBatch, stampAppendTime } from '../batch-check.ts'
import {
  flowOf,
  type Handler,
  type Request,
  type RequestContext,
  type Response,
  throttled,
} from '../request-context.ts'
import { batchRules } from '../topic-config.ts'
import { findTopic, mayUse } from '../topics.ts'

type TopicAnswer = Response<'Produce'>['responses'][number]
type PartitionAnswer = TopicAnswer['partitionResponses'][number]
type TopicData = Request<'Produce'>['topicData'][number]

const ACKS_ALL = -1

/** From this version on a batch makes its partition part of the transaction. */
const ADDS_PARTITIONS_VERSION = 12

/** What became of a batch, and of a transaction that it should be part of, in Kafka's codes. */
const PRODUCE_ERRORS = {
  'out-of-order': ERROR.OUT_OF_ORDER_SEQUENCE_NUMBER,
  fenced: ERROR.INVALID_PRODUCER_EPOCH,
  'in-transaction': ERROR.INVALID_TXN_STATE,
} as const
/** Filled anew for each batch: producing is one thing at a time. */
const draft = new BatchDraft()
const rulesOf = new WeakMap<Topic, { readonly config: unknown; readonly rules: BatchRules }>()

export const handleProduce: Handler<'Produce'> = (context, request, respond) => {
  const { acks } = request
  const isValid = acks === 0 || acks === 1 || acks === ACKS_ALL
  const throttleTimeMs = throttled(context, 'producer_byte_rate', bytesOf(request))
  const isSilent = isValid && acks === 0
  const produced = new Produced(context, { isSilent, throttleTimeMs }, respond)
  const flow = flowOf(context)
  flow.begin()
  for (const data of request.topicData) {
    produced.responses.push(
      isValid
        ? produceToTopic(context, request, data, produced)
        : refuseTopic(data, ERROR.INVALID_REQUIRED_ACKS),
    )
  }
  produced.throttleTimeMs = Math.max(throttleTimeMs, flow.end())
  produced.finish()
}

function bytesOf({ topicData }: Request<'Produce'>): number {
  let bytes = 0
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) bytes += records?.length ?? 0
  }
  return bytes
}

/** One Produce: what is to be answered once all that it appended is on disk. */
class Produced implements CommitListener {
  readonly responses: TopicAnswer[] = []
  /** Something was appended, or had been before: its commit must be waited for. */
  waits = false
  throttleTimeMs: number
  readonly #context: RequestContext
  readonly #isSilent: boolean
  readonly #respond: (response: Response<'Produce'> | null) => void

  constructor(
    context: RequestContext,
    options: { readonly isSilent: boolean; readonly throttleTimeMs: number },
    respond: (response: Response<'Produce'> | null) => void,
  ) {
    this.#context = context
    this.#isSilent = options.isSilent
    this.throttleTimeMs = options.throttleTimeMs
    this.#respond = respond
  }

  finish(): void {
    if (this.#isSilent) {
      // With acks=0 a close is all that Kafka has to say of a fault.
      const failed = this.responses.some(({ partitionResponses }) =>
        partitionResponses.some(({ errorCode }) => errorCode !== ERROR.NONE),
      )
      this.#respond(null)
      if (failed) this.#context.connection.fail('a Produce with acks=0 was refused')
      return
    }
    if (!this.waits) {
      this.#answer(this.responses)
      return
    }
    const { broker } = this.#context.shared
    broker.requireSync()
    broker.onCommit(this)
  }

  committed(_ticket: number, error: Error | null): void {
    if (error === null) {
      this.#answer(this.responses)
      return
    }
    const failed = this.responses.map((topic) => ({
      ...topic,
      partitionResponses: topic.partitionResponses.map((partition) =>
        partition.errorCode === ERROR.NONE
          ? refusal(partition.index, ERROR.KAFKA_STORAGE_ERROR, 'the store failed')
          : partition,
      ),
    }))
    this.#answer(failed)
  }

  #answer(responses: TopicAnswer[]): void {
    this.#respond({ responses, throttleTimeMs: this.throttleTimeMs })
  }
}

function produceToTopic(
  context: RequestContext,
  { transactionalId }: Request<'Produce'>,
  data: TopicData,
  produced: Produced,
): TopicAnswer {
  const { shared, vhost, apiVersion } = context
  const usesId = apiVersion >= 13
  const topic = usesId ? shared.ids.find(vhost, data.topicId) : findTopic(vhost, data.name)
  if (topic !== null && !mayUse(context, topic.name, 'write')) {
    return refuseTopic(data, ERROR.TOPIC_AUTHORIZATION_FAILED)
  }
  if (topic === null) {
    if (usesId) return refuseTopic(data, ERROR.UNKNOWN_TOPIC_ID)
    return refuseTopic(
      data,
      mayUse(context, data.name, 'write')
        ? ERROR.UNKNOWN_TOPIC_OR_PARTITION
        : ERROR.TOPIC_AUTHORIZATION_FAILED,
    )
  }
  const rules = rulesFor(topic, context)
  const partitionResponses = data.partitionData.map(({ index, records }) => {
    const partition = topic.partitions[index]
    if (partition === undefined) return refusal(index, ERROR.UNKNOWN_TOPIC_OR_PARTITION)
    return produceBatch(context, { topic, partition, records, rules, transactionalId }, produced)
  })
  return { name: data.name, topicId: data.topicId, partitionResponses }
}

interface Offer {
  readonly topic: Topic
  readonly partition: Partition
  readonly records: Buffer | null
  readonly rules: BatchRules
  readonly transactionalId: string | null
}

function produceBatch(
  context: RequestContext,
  { topic, partition, records, rules, transactionalId }: Offer,
  produced: Produced,
): PartitionAnswer {
  const { index } = partition
  const { apiVersion, shared } = context
  const { clock, limits } = shared
  const nowMs = clock.now()
  const checked = checkBatch(records, { rules, nowMs, apiVersion, limits })
  if (checked.errorCode !== ERROR.NONE) {
    return refusal(index, checked.errorCode, checked.errorMessage, checked.recordErrors)
  }
  const facts: BatchFacts = checked.facts
  if (facts.isTransactional) {
    const code = transactionFault(context, { partition, transactionalId, facts })
    if (code !== ERROR.NONE) return refusal(index, code)
  }
  const held = limitFault(context, topic, { count: facts.count, bytes: records!.length })
  if (held !== null) return refusal(index, ERROR.THROTTLING_QUOTA_EXCEEDED, held)
  const bytes = rules.isLogAppendTime ? stampAppendTime(records!, nowMs) : records!
  draft.form = NATIVE_FORM.KAFKA
  draft.setBytes(bytes, 0, bytes.length)
  draft.count = facts.count
  draft.maxTimestampMs = rules.isLogAppendTime ? nowMs : facts.maxTimestampMs
  draft.isTransactional = facts.isTransactional
  draft.producerId = facts.producerId
  draft.producerEpoch = facts.producerEpoch
  draft.baseSequence = facts.baseSequence
  const outcome = partition.produce(draft)
  if (outcome.kind !== 'appended' && outcome.kind !== 'duplicate') {
    return refusal(index, PRODUCE_ERRORS[outcome.kind])
  }
  produced.waits = true
  context.connection.publishedCount += facts.count
  if (context.vhost.tracer.isOn && outcome.kind === 'appended') {
    const { baseOffset } = outcome
    traceBatch(topic, partition, draft, { baseOffset, actor: context.connection.actor })
  }
  return {
    index,
    errorCode: ERROR.NONE,
    baseOffset: outcome.baseOffset,
    logAppendTimeMs: rules.isLogAppendTime ? nowMs : -1,
    logStartOffset: partition.startOffset,
  }
}

/** Why a batch is one too many now, and when to come again; null: it is not. */
function limitFault(
  context: RequestContext,
  { intake }: Topic,
  { count, bytes }: { readonly count: number; readonly bytes: number },
): string | null {
  const flow = flowOf(context)
  const { flows } = context.shared.broker
  if (flow.isMetered && !flow.admits(bytes, count)) return flows.takeRefusal() ?? 'full'
  if (!intake.isLimited || intake.takes(flow, bytes, count) === INTAKE.TAKE) return null
  return intake.heldBackBy ?? 'the publish rate is reached'
}

/**
 * Transactional batches are taken only where the coordinator knows of them; from version 12 on,
 * which clients use where `transaction.version` is 2, they say so themselves (KIP-890).
 */
function transactionFault(
  context: RequestContext,
  {
    partition,
    transactionalId,
    facts: { producerId, producerEpoch },
  }: {
    readonly partition: Partition
    readonly transactionalId: string | null
    readonly facts: BatchFacts
  },
): number {
  if (transactionalId === null || !mayUse(context, transactionalId, 'write')) {
    return ERROR.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  }
  const { transactions } = context.vhost
  const identity = { producerId, producerEpoch }
  const place = { topicId: partition.topicId, partition: partition.index }
  const result =
    context.apiVersion >= ADDS_PARTITIONS_VERSION
      ? transactions.addPartitions(transactionalId, identity, [place])
      : transactions.checkPartition(transactionalId, identity, place)
  if (result === 'ok') return ERROR.NONE
  if (result === 'unknown-producer') return ERROR.INVALID_PRODUCER_ID_MAPPING
  return result === 'fenced' ? ERROR.INVALID_PRODUCER_EPOCH : ERROR.INVALID_TXN_STATE
}

/** Those of the topic, and the size that its user and its virtual host may send. */
function rulesFor(topic: Topic, context: RequestContext): BatchRules {
  const rules = topicRules(topic, context)
  const sizeMax = flowOf(context).messageSizeMax
  return sizeMax < rules.bytesMax ? { ...rules, bytesMax: sizeMax } : rules
}

function topicRules(topic: Topic, { shared }: RequestContext): BatchRules {
  const known = rulesOf.get(topic)
  const config = topic.spec.arguments
  if (known !== undefined && known.config === config) return known.rules
  const rules = batchRules(config, shared.limits)
  rulesOf.set(topic, { config, rules })
  return rules
}

function refuseTopic({ name, topicId, partitionData }: TopicData, errorCode: number): TopicAnswer {
  const partitionResponses = partitionData.map(({ index }) => refusal(index, errorCode))
  return { name, topicId, partitionResponses }
}

function refusal(
  index: number,
  errorCode: number,
  errorMessage: string | null = null,
  recordErrors: PartitionAnswer['recordErrors'] = [],
): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, errorMessage, recordErrors: recordErrors ?? [] }
}
