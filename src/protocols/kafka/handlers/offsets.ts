import type { NewPosition, PartitionPlace, Topic } from '../../../broker/index.ts'
import { ERROR } from '../../../codec/kafka/index.ts'
import { BrokerError } from '../../../model/errors.ts'
import { subscribedTopics } from '../consumer-protocol.ts'
import { afterCommit, errorCode, groupFault, groupsOf } from '../group-requests.ts'
import type { Group } from '../groups/group-table.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { findTopic, mayDescribe, mayUse, topicsOf } from '../topics.ts'

type CommittedTopic = Response<'OffsetCommit'>['topics'][number]
type FetchedGroup = NonNullable<Response<'OffsetFetch'>['groups']>[number]
type FetchedTopic = FetchedGroup['topics'][number]
type FetchedPartition = FetchedTopic['partitions'][number]

/** Topics are named by their ids from this version on, in OffsetCommit and in OffsetFetch. */
const TOPIC_ID_VERSION = 10
/** OffsetFetch asks for several groups from this version on. */
const GROUPS_VERSION = 8
/** OffsetFetch has an error of its own from this version on; before, each partition has it. */
const GROUP_ERROR_VERSION = 2
/** Kafka's `offset.metadata.max.bytes`. */
const METADATA_LENGTH_MAX = 4096

/** A topic as a request names it, and as its answer must. */
interface NamedTopic {
  readonly name: string
  readonly topicId: string
}

export const handleOffsetCommit: Handler<'OffsetCommit'> = (context, request, respond) => {
  const { groupId, topics } = request
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) {
    respond({ topics: topics.map((topic) => refused(topic, fault)) })
    return
  }
  const expiresAtMs =
    request.retentionTimeMs < 0 ? -1 : context.shared.broker.clock.now() + request.retentionTimeMs
  const positions: NewPosition[] = []
  const answers = topics.map((topic) => {
    const found = topicOf(context, topic, 'read')
    return {
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map((given) => {
        const { partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata } = given
        const code = commitFault(found, partitionIndex, committedMetadata)
        if (code === ERROR.NONE) {
          positions.push({
            topicId: (found as Topic).id,
            partition: partitionIndex,
            offset: committedOffset,
            leaderEpoch: committedLeaderEpoch,
            metadata: committedMetadata ?? '',
            expiresAtMs,
          })
        }
        return { partitionIndex, errorCode: code }
      }),
    }
  })
  const failed = commit(context, request, positions)
  if (failed !== ERROR.NONE || positions.length === 0) {
    respond({ topics: withFailure(answers, failed) })
    return
  }
  afterCommit(context, (error) => {
    respond({
      topics: error === null ? answers : withFailure(answers, ERROR.COORDINATOR_NOT_AVAILABLE),
    })
  })
}

/** Keeps the positions if the member may commit; the error for all of them otherwise. */
function commit(
  context: RequestContext,
  request: Request<'OffsetCommit'>,
  positions: readonly NewPosition[],
): number {
  const { groupId, memberId, groupInstanceId, generationIdOrMemberEpoch } = request
  const { shared, vhost, apiVersion } = context
  const claim = { memberId, instanceId: groupInstanceId, generation: generationIdOrMemberEpoch }
  const error = groupsOf(context).commitFault(groupId, claim, {
    isTransactional: false,
    apiVersion,
    partitions: request.topics.map((topic) => {
      const found = topicOf(context, topic, 'read')
      return {
        topicId: typeof found === 'number' ? '' : shared.ids.topicId(found),
        partitions: topic.partitions.map(({ partitionIndex }) => partitionIndex),
      }
    }),
  })
  if (error !== 'NONE') return errorCode(error)
  try {
    vhost.subscriptions.commit(groupId, positions)
    return ERROR.NONE
  } catch (failure) {
    if (!(failure instanceof BrokerError)) throw failure
    return ERROR.INVALID_COMMIT_OFFSET_SIZE
  }
}

export const handleOffsetFetch: Handler<'OffsetFetch'> = (context, request, respond) => {
  const { apiVersion } = context
  if (apiVersion >= GROUPS_VERSION) {
    respond({ groups: request.groups.map((asked) => fetchGroup(context, asked, request)) })
    return
  }
  const topics =
    request.topics === null ? null : request.topics.map((topic) => ({ ...topic, topicId: '' }))
  const asked = { groupId: request.groupId, memberId: null, memberEpoch: -1, topics }
  const { errorCode: code = ERROR.NONE, topics: fetched } = fetchGroup(context, asked, request)
  const isOld = apiVersion < GROUP_ERROR_VERSION && code !== ERROR.NONE
  const answers = isOld ? (topics ?? []).map((topic) => unknownTopic(topic, code)) : fetched
  respond({
    errorCode: code,
    topics: answers.map(({ name = '', partitions }) => ({ name, partitions })),
  })
}

function fetchGroup(
  context: RequestContext,
  asked: Request<'OffsetFetch'>['groups'][number],
  { requireStable }: Request<'OffsetFetch'>,
): FetchedGroup {
  const { groupId, memberId, memberEpoch, topics } = asked
  const fault =
    groupFault(context, groupId) ||
    errorCode(groupsOf(context).fetchFault(groupId, memberId, memberEpoch))
  if (fault !== ERROR.NONE) return { groupId, errorCode: fault, topics: [] }
  const wanted = topics ?? committedTopics(context, groupId)
  return {
    groupId,
    errorCode: ERROR.NONE,
    topics: wanted.map((topic) => {
      const found = topicOf(context, topic, 'describe')
      if (typeof found === 'number') {
        // Whoever asks for a topic that is not there gets "no offset", unless it asks by id.
        const isError = found !== ERROR.UNKNOWN_TOPIC_OR_PARTITION
        return unknownTopic(topic, isError ? found : ERROR.NONE)
      }
      return {
        name: topic.name,
        topicId: topic.topicId,
        partitions: topic.partitionIndexes.map((partition) =>
          fetched(context, { groupId, topicId: found.id, partition, requireStable }),
        ),
      }
    }),
  }
}

function fetched(
  { vhost }: RequestContext,
  {
    groupId,
    requireStable,
    ...place
  }: PartitionPlace & { readonly groupId: string; readonly requireStable: boolean },
): FetchedPartition {
  const { topicId, partition } = place
  if (requireStable && vhost.transactions.isPending({ ...place, subscription: groupId })) {
    return noOffset(partition, ERROR.UNSTABLE_OFFSET_COMMIT)
  }
  const position = vhost.subscriptions.position(groupId, topicId, partition)
  if (position === undefined) return noOffset(partition, ERROR.NONE)
  return {
    partitionIndex: partition,
    committedOffset: position.offset,
    committedLeaderEpoch: position.leaderEpoch,
    metadata: position.metadata,
    errorCode: ERROR.NONE,
  }
}

/** Every partition with an offset, of topics that the user may know of. */
function committedTopics(
  context: RequestContext,
  groupId: string,
): (NamedTopic & { readonly partitionIndexes: number[] })[] {
  const { shared, vhost } = context
  const partitions = new Map<number, number[]>()
  for (const { topicId, partition } of vhost.subscriptions.find(groupId)?.positions() ?? []) {
    const known = partitions.get(topicId)
    if (known === undefined) partitions.set(topicId, [partition])
    else known.push(partition)
  }
  const topics: (NamedTopic & { readonly partitionIndexes: number[] })[] = []
  if (partitions.size === 0) return topics
  for (const topic of topicsOf(vhost)) {
    const partitionIndexes = partitions.get(topic.id)
    if (partitionIndexes === undefined || !mayDescribe(context, topic.name)) continue
    topics.push({ name: topic.name, topicId: shared.ids.topicId(topic), partitionIndexes })
  }
  return topics
}

export const handleOffsetDelete: Handler<'OffsetDelete'> = (context, request, respond) => {
  const { groupId, topics } = request
  const { vhost } = context
  const group = groupsOf(context).find(groupId)
  const fault = groupFault(context, groupId) || deleteFault(context, groupId, group)
  if (fault !== ERROR.NONE) {
    respond({ errorCode: fault, topics: [] })
    return
  }
  const places: PartitionPlace[] = []
  const answers = topics.map(({ name, partitions }) => {
    const found = topicOf(context, { name, topicId: '' }, 'read')
    const isInUse = group !== undefined && isSubscribed(group, name)
    return {
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        if (typeof found === 'number') return { partitionIndex, errorCode: found }
        if (isInUse) return { partitionIndex, errorCode: ERROR.GROUP_SUBSCRIBED_TO_TOPIC }
        if (found.partitions[partitionIndex] === undefined) {
          return { partitionIndex, errorCode: ERROR.UNKNOWN_TOPIC_OR_PARTITION }
        }
        places.push({ topicId: found.id, partition: partitionIndex })
        return { partitionIndex, errorCode: ERROR.NONE }
      }),
    }
  })
  if (vhost.subscriptions.deletePositions(groupId, places) === 0) {
    respond({ errorCode: ERROR.NONE, topics: answers })
    return
  }
  afterCommit(context, (error) => {
    if (error === null) respond({ errorCode: ERROR.NONE, topics: answers })
    else respond({ errorCode: ERROR.COORDINATOR_NOT_AVAILABLE, topics: [] })
  })
}

function deleteFault({ vhost }: RequestContext, groupId: string, group: Group | undefined): number {
  if (group === undefined) {
    const isKnown = vhost.subscriptions.find(groupId) !== undefined
    return isKnown ? ERROR.NONE : ERROR.GROUP_ID_NOT_FOUND
  }
  if (group.type === 'share') return ERROR.GROUP_ID_NOT_FOUND
  // What members of another protocol read is not known.
  const isOpaque = group.type === 'classic' && group.protocolType !== 'consumer'
  return isOpaque && group.memberCount > 0 ? ERROR.NON_EMPTY_GROUP : ERROR.NONE
}

function isSubscribed(group: Group, name: string): boolean {
  if (group.type !== 'classic') return group.isSubscribedTo(name)
  for (const metadata of group.subscriptions() ?? []) {
    // What cannot be read may be anything.
    if (subscribedTopics(metadata)?.includes(name) ?? true) return true
  }
  return false
}

/** The topic, or why it cannot be had. */
function topicOf(
  context: RequestContext,
  { name, topicId }: NamedTopic,
  access: 'read' | 'describe',
): Topic | number {
  const { shared, vhost, apiVersion } = context
  const isById = apiVersion >= TOPIC_ID_VERSION
  const topic = isById ? shared.ids.find(vhost, topicId) : findTopic(vhost, name)
  if (isById && topic === null) return ERROR.UNKNOWN_TOPIC_ID
  const topicName = topic?.name ?? name
  const may =
    access === 'read' ? mayUse(context, topicName, 'read') : mayDescribe(context, topicName)
  if (!may) return ERROR.TOPIC_AUTHORIZATION_FAILED
  return topic ?? ERROR.UNKNOWN_TOPIC_OR_PARTITION
}

function commitFault(found: Topic | number, partition: number, metadata: string | null): number {
  if (typeof found === 'number') return found
  if (found.partitions[partition] === undefined) return ERROR.UNKNOWN_TOPIC_OR_PARTITION
  const isTooLong = metadata !== null && metadata.length > METADATA_LENGTH_MAX
  return isTooLong ? ERROR.OFFSET_METADATA_TOO_LARGE : ERROR.NONE
}

function refused(
  { name, topicId, partitions }: Request<'OffsetCommit'>['topics'][number],
  code: number,
): CommittedTopic {
  return {
    name,
    topicId,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: code })),
  }
}

/** What would have been kept has this error; the rest keeps its own. */
function withFailure(topics: readonly CommittedTopic[], code: number): CommittedTopic[] {
  return topics.map(({ partitions, ...topic }) => ({
    ...topic,
    partitions: partitions.map((partition) =>
      partition.errorCode === ERROR.NONE ? { ...partition, errorCode: code } : partition,
    ),
  }))
}

function unknownTopic(
  {
    name,
    topicId,
    partitionIndexes,
  }: NamedTopic & { readonly partitionIndexes: readonly number[] },
  code: number,
): FetchedTopic {
  return {
    name,
    topicId,
    partitions: partitionIndexes.map((partition) => noOffset(partition, code)),
  }
}

function noOffset(partitionIndex: number, code: number): FetchedPartition {
  return {
    partitionIndex,
    committedOffset: -1,
    committedLeaderEpoch: -1,
    metadata: '',
    errorCode: code,
  }
}
