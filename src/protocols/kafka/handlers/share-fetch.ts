import type { SharedPartition, SharedSubscription, Topic } from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { BrokerError } from '../../../model/errors.ts'
import { type AcknowledgementBatch, settledRanges } from '../acknowledgements.ts'
import { afterCommit, mayUseGroup } from '../group-requests.ts'
import {
  FINAL_EPOCH,
  FIRST_EPOCH,
  type SharedPlace,
  type ShareSession,
} from '../groups/share-sessions.ts'
import { KEY_SHARED } from '../group-config.ts'
import { LEADER_EPOCH, NODE_ID } from '../limits.ts'
import {
  flowOf,
  type Handler,
  type Request,
  type RequestContext,
  type Response,
} from '../request-context.ts'
import { ShareRead, type ShareSlot } from '../share-read.ts'
import { mayUse } from '../topics.ts'

type FetchRequest = Request<'ShareFetch'>
type FetchResponse = Response<'ShareFetch'>
type FetchedPartition = FetchResponse['responses'][number]['partitions'][number]
type AcknowledgedPartition = Response<'ShareAcknowledge'>['responses'][number]['partitions'][number]

const RECORD_LIMIT_MODE = 1
const LEADER = { leaderId: NODE_ID, leaderEpoch: LEADER_EPOCH }
const NO_RECORDS = { size: 0, chunks: [] }

export const handleShareFetch: Handler<'ShareFetch'> = (context, request, respond) => {
  const refuse = (errorCode: number): void => {
    respond({ errorCode, acquisitionLockTimeoutMs: 0, responses: [], nodeEndpoints: [] })
  }
  const session = sessionOf(context, request)
  if (typeof session === 'number') {
    refuse(session)
    return
  }
  const { shareSessionEpoch: epoch } = request
  const hasAcknowledgements = request.topics.some(({ partitions }) =>
    partitions.some(({ acknowledgementBatches }) => acknowledgementBatches.length > 0),
  )
  if (epoch === FIRST_EPOCH && hasAcknowledgements) {
    closeSession(context, session)
    refuse(ERROR.INVALID_REQUEST)
    return
  }
  const answers = new Answers()
  for (const { topicId, partitions } of request.topics) {
    for (const { partitionIndex, acknowledgementBatches } of partitions) {
      const place = { topicId, partition: partitionIndex }
      session.add(place)
      if (acknowledgementBatches.length === 0) continue
      const code = settle(context, session, place, {
        batches: acknowledgementBatches,
        mayRenew: request.isRenewAck,
      })
      answers.of(place).acknowledgeErrorCode = code
    }
  }
  for (const { topicId, partitions } of request.forgottenTopicsData) {
    for (const partition of partitions) session.forget({ topicId, partition })
  }
  const send = (throttleTimeMs = 0): void =>
    respond({ ...answers.fetched(leaseMs(context, session)), throttleTimeMs })
  if (epoch === FINAL_EPOCH) closeSession(context, session)
  const isFetching = epoch !== FINAL_EPOCH && !request.isRenewAck
  const fetch = (): void => {
    const { clock, limits } = context.shared
    const endMs = clock.monotonicMs() + Math.min(request.maxWaitMs, limits.fetchWaitMsMax)
    if (isFetching) readAll(context, { request, session, answers, endMs }, send)
    else send()
  }
  if (!hasAcknowledgements) {
    fetch()
    return
  }
  afterCommit(context, (error) => {
    if (error === null) fetch()
    else refuse(ERROR.KAFKA_STORAGE_ERROR)
  })
}

export const handleShareAcknowledge: Handler<'ShareAcknowledge'> = (context, request, respond) => {
  const refuse = (errorCode: number): void =>
    respond({ errorCode, responses: [], nodeEndpoints: [] })
  const isFirst = request.shareSessionEpoch === FIRST_EPOCH
  const session = isFirst ? ERROR.INVALID_SHARE_SESSION_EPOCH : sessionOf(context, request)
  if (typeof session === 'number') {
    refuse(session)
    return
  }
  const responses = request.topics.map(({ topicId, partitions }) => ({
    topicId,
    partitions: partitions.map(
      ({ partitionIndex, acknowledgementBatches: batches }): AcknowledgedPartition => {
        const place = { topicId, partition: partitionIndex }
        const errorCode = settle(context, session, place, { batches, mayRenew: request.isRenewAck })
        return { partitionIndex, errorCode, currentLeader: LEADER }
      },
    ),
  }))
  const acquisitionLockTimeoutMs = leaseMs(context, session)
  if (request.shareSessionEpoch === FINAL_EPOCH) closeSession(context, session)
  afterCommit(context, (error) => {
    if (error !== null) refuse(ERROR.KAFKA_STORAGE_ERROR)
    else {
      respond({ errorCode: ERROR.NONE, acquisitionLockTimeoutMs, responses, nodeEndpoints: [] })
    }
  })
}

/** What is answered of each partition, in the order in which it came up. */
class Answers {
  readonly #topics: Map<string, Map<number, Answer>> = new Map()

  of({ topicId, partition }: SharedPlace): Answer {
    let partitions = this.#topics.get(topicId)
    if (partitions === undefined) {
      partitions = new Map()
      this.#topics.set(topicId, partitions)
    }
    let answer = partitions.get(partition)
    if (answer === undefined) {
      answer = new Answer(partition)
      partitions.set(partition, answer)
    }
    return answer
  }

  fetched(acquisitionLockTimeoutMs: number): FetchResponse {
    return {
      errorCode: ERROR.NONE,
      acquisitionLockTimeoutMs,
      responses: Array.from(this.#topics, ([topicId, partitions]) => ({
        topicId,
        partitions: Array.from(partitions.values(), (answer) => answer.fetched()),
      })),
      nodeEndpoints: [],
    }
  }
}

class Answer {
  readonly #partition: number
  errorCode: number = ERROR.NONE
  acknowledgeErrorCode: number = ERROR.NONE
  slot: ShareSlot | null = null

  constructor(partition: number) {
    this.#partition = partition
  }

  fetched(): FetchedPartition {
    const { slot } = this
    const errorCode =
      slot !== null && slot.errorCode !== ERROR.NONE ? slot.errorCode : this.errorCode
    return {
      partitionIndex: this.#partition,
      errorCode,
      acknowledgeErrorCode: this.acknowledgeErrorCode,
      currentLeader: LEADER,
      records: slot === null ? NO_RECORDS : { size: slot.bytes, chunks: slot.chunks },
      acquiredRecords: (slot?.leased ?? []).map(({ baseOffset, nextOffset, attempts }) => ({
        firstOffset: baseOffset,
        lastOffset: nextOffset - 1,
        deliveryCount: attempts,
      })),
    }
  }
}

interface ReadParts {
  readonly request: FetchRequest
  readonly session: ShareSession
  readonly answers: Answers
  /** When it is answered, whatever there is. */
  readonly endMs: number
}

/** `done` is told for how long the client must wait before it asks again. */
function readAll(
  context: RequestContext,
  parts: ReadParts,
  done: (throttleMs: number) => void,
): void {
  const { request, session, answers, endMs } = parts
  const { shared, vhost, connection } = context
  const { sharePace, clock } = shared
  const nowMs = clock.monotonicMs()
  const { groupId, memberId } = session
  const isolation = shared.groupConfigs.value(vhost, groupId, 'share.isolation.level')
  const lockMs = leaseMs(context, session)
  const opened: (OpenedPartition & { readonly place: SharedPlace })[] = []
  let isRefused = false
  /** Until more may be given of something whose rate is used up. */
  let pacedMs = Infinity
  for (const place of [...session.places()]) {
    const found = open(context, session, place)
    if (typeof found === 'number') {
      answers.of(place).errorCode = found
      isRefused = true
      continue
    }
    const waitMs = sharePace.waitMs(subscriptionOf(context, groupId)!, found.topic, nowMs)
    if (waitMs > 0) pacedMs = Math.min(pacedMs, waitMs)
    else opened.push({ ...found, place })
  }
  if (opened.length === 0 && pacedMs < Infinity && !isRefused && nowMs < endMs) {
    clock.setTimer(Math.min(pacedMs, endMs - nowMs), () => {
      if (connection.isClosed) done(0)
      else readAll(context, parts, done)
    })
    return
  }
  const read = new ShareRead(shared, {
    memberId,
    recordsMax: Math.max(request.maxRecords, 1),
    isExact: request.shareAcquireMode === RECORD_LIMIT_MODE,
    bytesMax: Math.min(request.maxBytes, shared.limits.fetchBytesMax),
    waitMs: Math.min(endMs - nowMs, pacedMs),
    isCommitted: isolation === 'read_committed',
    forms: vhost,
    isOver: () => connection.isClosed,
  })
  if (isRefused) read.hurry()
  const slots = opened.map(({ place, topic, partition, shared: leases }) => {
    return { place, topic, slot: read.add(partition, leases) }
  })
  const subscription = subscriptionOf(context, groupId)
  const keyShared = shared.groupConfigs.value(vhost, groupId, KEY_SHARED) === 'true'
  if (subscription !== undefined) {
    const { options } = subscription
    if (options.leaseMs !== lockMs || (options.keyShared ?? false) !== keyShared) {
      subscription.options = { ...options, leaseMs: lockMs, keyShared }
    }
  }
  read.run(() => {
    const isFirst = request.shareSessionEpoch === FIRST_EPOCH
    for (const { place, slot } of slots) {
      const hasSomething = slot.leased.length > 0 || slot.errorCode !== ERROR.NONE
      if (hasSomething || isFirst) answers.of(place).slot = slot
      if (hasSomething) session.rotate(place)
    }
    done(countGiven(context, subscription, slots))
  })
}

/** Counts what is given, for metrics and for the rates of topics, user and virtual host; returns how long to wait. */
function countGiven(
  context: RequestContext,
  group: SharedSubscription | undefined,
  slots: readonly { readonly topic: Topic; readonly slot: ShareSlot }[],
): number {
  const { shared, connection } = context
  const nowMs = shared.clock.monotonicMs()
  let all = 0
  let allBytes = 0
  for (const { topic, slot } of slots) {
    const { leased, bytes } = slot
    const count = leased.reduce(
      (sum, { baseOffset, nextOffset }) => sum + nextOffset - baseOffset,
      0,
    )
    if (count === 0) continue
    all += count
    allBytes += bytes
    topic.totals.delivered += count
    for (const { attempts, baseOffset, nextOffset } of leased) {
      if (attempts > 1) topic.totals.redelivered += nextOffset - baseOffset
    }
    if (group !== undefined) shared.sharePace.given(group, topic, { count, bytes, nowMs })
  }
  if (all === 0) return 0
  connection.deliveredCount += all
  const waitMs = flowOf(context).given(all, allBytes)
  connection.throttle(waitMs)
  return waitMs
}

interface OpenedPartition {
  readonly topic: Topic
  readonly partition: Topic['partitions'][number]
  readonly shared: SharedPartition
}

/** The partition as the group shares it, from where its configuration says if it is new. */
function open(
  context: RequestContext,
  { groupId }: ShareSession,
  place: SharedPlace,
): OpenedPartition | number {
  const { shared, vhost } = context
  const topic = shared.ids.find(vhost, place.topicId)
  if (topic === null) return ERROR.UNKNOWN_TOPIC_ID
  if (!mayUse(context, topic.name, 'read')) return ERROR.TOPIC_AUTHORIZATION_FAILED
  const partition = topic.partitions[place.partition]
  if (partition === undefined) return ERROR.UNKNOWN_TOPIC_OR_PARTITION
  const reset = shared.groupConfigs.value(vhost, groupId, 'share.auto.offset.reset')
  const startOffset = reset === 'earliest' ? partition.startOffset : partition.highWatermark
  const where = { topicId: topic.id, partition: place.partition }
  try {
    return { topic, partition, shared: vhost.shared.openPartition(groupId, where, startOffset) }
  } catch (error) {
    if (error instanceof BrokerError) return ERROR.INVALID_REQUEST
    throw error
  }
}

/** What a member says became of messages of one partition; the error code of that. */
function settle(
  context: RequestContext,
  { groupId, memberId }: ShareSession,
  { topicId, partition }: SharedPlace,
  {
    batches,
    mayRenew,
  }: { readonly batches: readonly AcknowledgementBatch[]; readonly mayRenew: boolean },
): number {
  const { shared, vhost } = context
  const topic = shared.ids.find(vhost, topicId)
  if (topic === null) return ERROR.UNKNOWN_TOPIC_ID
  if (!mayUse(context, topic.name, 'read')) return ERROR.TOPIC_AUTHORIZATION_FAILED
  const ranges = settledRanges(batches, { mayRenew })
  if (ranges === null) return ERROR.INVALID_REQUEST
  const place = { topicId: topic.id, partition }
  const sharedPartition = subscriptionOf(context, groupId)?.partition(place)
  if (sharedPartition === undefined) return ERROR.INVALID_RECORD_STATE
  return sharedPartition.settle(memberId, ranges) ? ERROR.NONE : ERROR.INVALID_RECORD_STATE
}

function subscriptionOf(
  { vhost }: RequestContext,
  groupId: string,
): SharedSubscription | undefined {
  return vhost.shared.find(groupId)
}

/** The session of the request, or the error why it has none. */
function sessionOf(
  context: RequestContext,
  {
    groupId,
    memberId,
    shareSessionEpoch: epoch,
  }: Pick<FetchRequest, 'groupId' | 'memberId' | 'shareSessionEpoch'>,
): ShareSession | number {
  const isNamed = groupId !== null && groupId !== '' && memberId !== null && memberId !== ''
  if (!isNamed) return ERROR.INVALID_REQUEST
  if (!mayUseGroup(context, groupId)) return ERROR.GROUP_AUTHORIZATION_FAILED
  const { shared, vhost, connection } = context
  const sessions = shared.groups.sessionsOf(vhost)
  const session =
    epoch === FIRST_EPOCH
      ? sessions.open(groupId, memberId, connection)
      : sessions.advance(groupId, memberId, epoch)
  return typeof session === 'string' ? ERROR[session] : session
}

/** What the member holds goes back at once. */
function closeSession(context: RequestContext, session: ShareSession): void {
  context.shared.groups.sessionsOf(context.vhost).close(session)
  const { groupId, memberId } = session
  for (const partition of subscriptionOf(context, groupId)?.partitions() ?? []) {
    partition.releaseMember(memberId)
  }
}

function leaseMs({ shared, vhost }: RequestContext, { groupId }: ShareSession): number {
  return Number(shared.groupConfigs.value(vhost, groupId, 'share.record.lock.duration.ms'))
}
