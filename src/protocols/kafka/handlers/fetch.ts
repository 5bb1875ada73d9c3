import { Meter, type Topic, traceRange } from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { FetchRead, type FetchSlot, type PartitionAsked } from '../fetch-read.ts'
import {
  flowOf,
  type Handler,
  type Request,
  type RequestContext,
  type Response,
  throttled,
} from '../request-context.ts'
import { epochFault } from './offset-for-leader-epoch.ts'
import { findTopic, mayUse } from '../topics.ts'

type TopicAnswer = Response<'Fetch'>['responses'][number]
type PartitionAnswer = TopicAnswer['partitions'][number]
type TopicAsked = Request<'Fetch'>['topics'][number]

/** Fetch sessions are never opened: clients then go on with full requests (KIP-227). */
const NO_SESSION = 0
const READ_COMMITTED = 1
/** zstd is known to clients from this version on (KIP-110). */
const ZSTD_VERSION = 10

export const handleFetch: Handler<'Fetch'> = (context, request, respond) => {
  if (request.sessionId !== NO_SESSION) {
    respond({ errorCode: ERROR.FETCH_SESSION_ID_NOT_FOUND, responses: [] })
    return
  }
  const { limits } = context.shared
  const read = new FetchRead(context.shared, {
    isCommitted: request.isolationLevel === READ_COMMITTED,
    bytesMin: request.minBytes,
    bytesMax: Math.min(request.maxBytes, limits.fetchBytesMax),
    waitMs: Math.min(request.maxWaitMs, limits.fetchWaitMsMax),
    forms: context.vhost,
    zstd: context.apiVersion >= ZSTD_VERSION,
    isOver: () => context.connection.isClosed,
  })
  const given: Given[] = []
  const topics = request.topics.map((asked) => openTopic(context, asked, { read, given }))
  read.run(() => {
    const quotaMs = throttled(context, 'consumer_byte_rate', read.bytes)
    const response = {
      throttleTimeMs: Math.max(quotaMs, paced(context, given)),
      sessionId: NO_SESSION,
      responses: topics.map((topic) => topic()),
    }
    respond(response, () => read.release())
  })
}

/** What was read of a topic for this answer. */
interface Given {
  readonly topic: Topic
  readonly slot: FetchSlot
}

/**
 * Counts what is given, for metrics and for the rates of the user, the virtual host and each topic; returns for how
 * long the client must wait, which is not read meanwhile. Batches go whole, so that one answer may
 * be ahead of a rate, and the next comes so much later.
 */
function paced(context: RequestContext, given: readonly Given[]): number {
  const { connection, shared } = context
  const nowMs = shared.broker.clock.monotonicMs()
  let waitMs = 0
  let all = 0
  let allBytes = 0
  for (const { topic, slot } of given) {
    const count = slot.nextOffset - slot.firstOffset
    if (count === 0) continue
    all += count
    allBytes += slot.bytes
    topic.totals.delivered += count
    const before = connection.readerMeters.get(topic) ?? null
    const about = `consume rate of topic '${topic.name}'`
    const meter = Meter.for(before, about, topic.readerRates, nowMs)
    if (meter === null) continue
    connection.readerMeters.set(topic, meter)
    meter.use(count, slot.bytes, nowMs)
    waitMs = Math.max(waitMs, meter.waitMs(nowMs))
  }
  connection.deliveredCount += all
  if (all > 0) waitMs = Math.max(waitMs, flowOf(context).given(all, allBytes))
  connection.throttle(waitMs)
  return waitMs
}

/** Returns how to make the answer for a topic once everything was read. */
function openTopic(
  context: RequestContext,
  asked: TopicAsked,
  { read, given }: { readonly read: FetchRead; readonly given: Given[] },
): () => TopicAnswer {
  const { shared, vhost, apiVersion } = context
  const usesId = apiVersion >= 13
  const topic = usesId ? shared.ids.find(vhost, asked.topicId) : findTopic(vhost, asked.topic)
  const name = topic?.name ?? asked.topic
  const code = topicFault(context, { topic, name, usesId })
  const partitions = asked.partitions.map((one): (() => PartitionAnswer) => {
    const partition = topic?.partitions[one.partition]
    const fault =
      code !== ERROR.NONE
        ? code
        : partition === undefined
          ? ERROR.UNKNOWN_TOPIC_OR_PARTITION
          : epochFault(one.currentLeaderEpoch)
    if (fault !== ERROR.NONE || partition === undefined) {
      read.failed()
      return () => refusal(one.partition, fault)
    }
    const wanted: PartitionAsked = {
      partition,
      offset: one.fetchOffset,
      bytesMax: one.partitionMaxBytes,
    }
    const slot = read.add(wanted)
    given.push({ topic: topic!, slot })
    return () => {
      if (slot.errorCode !== ERROR.NONE) return refusal(one.partition, slot.errorCode)
      if (partition.traced !== null) {
        const range = { from: slot.firstOffset, to: slot.nextOffset }
        traceRange(topic!, partition, range, { step: 'fetched', by: context.connection.actor })
      }
      return {
        partitionIndex: one.partition,
        errorCode: ERROR.NONE,
        highWatermark: partition.highWatermark,
        lastStableOffset: partition.stableOffset,
        logStartOffset: partition.startOffset,
        abortedTransactions: slot.aborted,
        records: { size: slot.bytes, chunks: slot.chunks },
      }
    }
  })
  return () => ({
    topic: name,
    topicId: asked.topicId,
    partitions: partitions.map((answer) => answer()),
  })
}

function topicFault(
  context: RequestContext,
  {
    topic,
    name,
    usesId,
  }: { readonly topic: Topic | null; readonly name: string; readonly usesId: boolean },
): number {
  if (topic === null && usesId) return ERROR.UNKNOWN_TOPIC_ID
  if (!mayUse(context, name, 'read')) return ERROR.TOPIC_AUTHORIZATION_FAILED
  return topic === null ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : ERROR.NONE
}

function refusal(partitionIndex: number, errorCode: number): PartitionAnswer {
  return {
    partitionIndex,
    errorCode,
    highWatermark: -1,
    abortedTransactions: null,
    records: NO_RECORDS,
  }
}

const NO_RECORDS = { size: 0, chunks: [] }
