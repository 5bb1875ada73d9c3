import type { PartitionPlace, SharedPartition, Topic } from '../../../broker/index.ts'
import { ERROR, ZERO_UUID } from '../../../codec/kafka/index.ts'
import { groupOperations } from '../acl-operations.ts'
import { afterCommit, groupFault, groupsOf, hostText, refusalFields } from '../group-requests.ts'
import { LEADER_EPOCH } from '../limits.ts'
import type { Handler, Request, RequestContext, Response } from '../request-context.ts'
import { findTopic, mayDescribe, mayUse, topicsOf } from '../topics.ts'
import { heartbeatFault, namedPartitions } from './consumer-groups.ts'

type DescribedGroup = Response<'ShareGroupDescribe'>['groups'][number]
type OffsetsGroup = Response<'DescribeShareGroupOffsets'>['groups'][number]
type OffsetsTopic = OffsetsGroup['topics'][number]
type AlteredTopic = Response<'AlterShareGroupOffsets'>['responses'][number]
type DeletedTopic = Response<'DeleteShareGroupOffsets'>['responses'][number]

/** A partition that was never shared has no start. */
const NO_OFFSET = -1

export const handleShareGroupHeartbeat: Handler<'ShareGroupHeartbeat'> = (
  context,
  request,
  respond,
) => {
  const { groupId, memberId, memberEpoch, rackId, subscribedTopicNames } = request
  const refuse = (refusal: { errorCode: number; errorMessage: string }): void => {
    respond({ ...refusal, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0 })
  }
  const fault = heartbeatFault(context, groupId, subscribedTopicNames)
  if (fault !== null) {
    refuse(fault)
    return
  }
  try {
    const answer = groupsOf(context).shareHeartbeat(groupId, {
      memberId,
      memberEpoch,
      rackId,
      topicNames: subscribedTopicNames,
      clientId: context.clientId,
      clientHost: hostText(context.clientHost),
    })
    const { assignment } = answer
    respond({
      ...answer,
      errorCode: ERROR.NONE,
      assignment: assignment === null ? null : { topicPartitions: assignment },
    })
  } catch (error) {
    refuse(refusalFields(error))
  }
}

export const handleShareGroupDescribe: Handler<'ShareGroupDescribe'> = (
  context,
  request,
  respond,
) => {
  const groups = request.groupIds.map((groupId) => {
    const described = describe(context, groupId)
    if (!request.includeAuthorizedOperations || described.errorCode !== ERROR.NONE) return described
    return { ...described, authorizedOperations: groupOperations(context, groupId) }
  })
  respond({ groups })
}

function describe(context: RequestContext, groupId: string): DescribedGroup {
  const empty = { groupId, groupEpoch: 0, assignmentEpoch: 0, assignorName: '', members: [] }
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) return { ...empty, errorCode: fault, groupState: '' }
  const group = groupsOf(context).find(groupId)
  if (group === undefined && context.vhost.shared.find(groupId) !== undefined) {
    return { ...empty, errorCode: ERROR.NONE, groupState: 'Empty' }
  }
  if (group?.type !== 'share') {
    const reason = group === undefined ? 'not found' : 'is not a share group'
    const errorMessage = `Group ${groupId} ${reason}.`
    return { ...empty, errorCode: ERROR.GROUP_ID_NOT_FOUND, errorMessage, groupState: '' }
  }
  const { state, epoch, assignmentEpoch, assignor, members } = group.describe()
  return {
    errorCode: ERROR.NONE,
    groupId,
    groupState: state,
    groupEpoch: epoch,
    assignmentEpoch,
    assignorName: assignor,
    members: members.map(({ topicNames, assignment, ...member }) => ({
      ...member,
      subscribedTopicNames: topicNames,
      assignment: namedPartitions(context, assignment),
    })),
  }
}

export const handleDescribeShareGroupOffsets: Handler<'DescribeShareGroupOffsets'> = (
  context,
  { groups },
  respond,
) => {
  respond({ groups: groups.map((group) => describeOffsets(context, group)) })
}

function describeOffsets(
  context: RequestContext,
  { groupId, topics }: Request<'DescribeShareGroupOffsets'>['groups'][number],
): OffsetsGroup {
  const fault = offsetsFault(context, groupId)
  if (fault !== null) return { groupId, topics: [], ...fault }
  const asked =
    topics ??
    sharedTopics(context, groupId).map(({ name, partitions }) => ({ topicName: name, partitions }))
  return {
    groupId,
    errorCode: ERROR.NONE,
    topics: asked.map((one) => topicOffsets(context, groupId, one)),
  }
}

function topicOffsets(
  context: RequestContext,
  groupId: string,
  { topicName, partitions }: { readonly topicName: string; readonly partitions: readonly number[] },
): OffsetsTopic {
  const { shared, vhost } = context
  const topic = findTopic(vhost, topicName)
  const code = topicFault(topic, mayDescribe(context, topicName))
  return {
    topicName,
    topicId: topic === null ? ZERO_UUID : shared.ids.topicId(topic),
    partitions: partitions.map((index) => {
      const partition = topic?.partitions[index]
      const isMissing = code === ERROR.NONE && partition === undefined
      if (code !== ERROR.NONE || partition === undefined) {
        return {
          partitionIndex: index,
          startOffset: NO_OFFSET,
          leaderEpoch: LEADER_EPOCH,
          errorCode: isMissing ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : code,
        }
      }
      const read = vhost.shared
        .find(groupId)
        ?.partition({ topicId: partition.topicId, partition: index })
      return {
        partitionIndex: index,
        startOffset: read?.startOffset ?? NO_OFFSET,
        leaderEpoch: LEADER_EPOCH,
        lag: read === undefined ? NO_OFFSET : lagOf(read, partition.highWatermark),
        errorCode: ERROR.NONE,
      }
    }),
  }
}

function lagOf({ startOffset, settledCount }: SharedPartition, highWatermark: number): number {
  return Math.max(highWatermark - startOffset - settledCount, 0)
}

export const handleAlterShareGroupOffsets: Handler<'AlterShareGroupOffsets'> = (
  context,
  { groupId, topics },
  respond,
) => {
  const fault = offsetsFault(context, groupId) ?? membersFault(context, groupId)
  if (fault !== null) {
    respond({ ...fault, responses: [] })
    return
  }
  const { shared, vhost } = context
  const responses = topics.map(({ topicName, partitions }): AlteredTopic => {
    const topic = findTopic(vhost, topicName)
    const code = topicFault(topic, mayUse(context, topicName, 'read'))
    return {
      topicName,
      topicId: topic === null ? ZERO_UUID : shared.ids.topicId(topic),
      partitions: partitions.map(({ partitionIndex, startOffset }) => {
        if (code !== ERROR.NONE) return { partitionIndex, errorCode: code }
        const partition = topic!.partitions[partitionIndex]
        if (partition === undefined) {
          return { partitionIndex, errorCode: ERROR.UNKNOWN_TOPIC_OR_PARTITION }
        }
        const place = { topicId: partition.topicId, partition: partitionIndex }
        vhost.shared.openPartition(groupId, place, startOffset).reset(startOffset)
        return { partitionIndex, errorCode: ERROR.NONE }
      }),
    }
  })
  afterCommit(context, (error) => {
    if (error === null) respond({ errorCode: ERROR.NONE, responses })
    else respond({ errorCode: ERROR.KAFKA_STORAGE_ERROR, responses: [] })
  })
}

export const handleDeleteShareGroupOffsets: Handler<'DeleteShareGroupOffsets'> = (
  context,
  { groupId, topics },
  respond,
) => {
  const fault = offsetsFault(context, groupId) ?? membersFault(context, groupId)
  if (fault !== null) {
    respond({ ...fault, responses: [] })
    return
  }
  const { shared, vhost } = context
  const places: PartitionPlace[] = []
  const responses = topics.map(({ topicName }): DeletedTopic => {
    const topic = findTopic(vhost, topicName)
    const code = topicFault(topic, mayUse(context, topicName, 'read'))
    if (code !== ERROR.NONE || topic === null) {
      return { topicName, topicId: ZERO_UUID, errorCode: code }
    }
    for (const partition of topic.partitions.keys()) places.push({ topicId: topic.id, partition })
    return { topicName, topicId: shared.ids.topicId(topic), errorCode: ERROR.NONE }
  })
  vhost.shared.deletePartitions(groupId, places)
  afterCommit(context, (error) => {
    if (error === null) respond({ errorCode: ERROR.NONE, responses })
    else respond({ errorCode: ERROR.KAFKA_STORAGE_ERROR, responses: [] })
  })
}

interface Fault {
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Why the offsets of a share group cannot be had; null: they can. */
function offsetsFault(context: RequestContext, groupId: string): Fault | null {
  const code = groupFault(context, groupId)
  if (code !== ERROR.NONE) return { errorCode: code, errorMessage: null }
  const group = groupsOf(context).find(groupId)
  const isShare = group === undefined ? isShared(context, groupId) : group.type === 'share'
  if (isShare) return null
  const errorMessage = `Group ${groupId} not found.`
  return { errorCode: ERROR.GROUP_ID_NOT_FOUND, errorMessage }
}

function isShared({ vhost }: RequestContext, groupId: string): boolean {
  return vhost.shared.find(groupId) !== undefined
}

function membersFault(context: RequestContext, groupId: string): Fault | null {
  const group = groupsOf(context).find(groupId)
  if (group === undefined || group.isEmpty) return null
  return { errorCode: ERROR.NON_EMPTY_GROUP, errorMessage: 'The group is not empty.' }
}

function topicFault(topic: Topic | null, isAllowed: boolean): number {
  if (!isAllowed) return ERROR.TOPIC_AUTHORIZATION_FAILED
  return topic === null ? ERROR.UNKNOWN_TOPIC_OR_PARTITION : ERROR.NONE
}

/** What the group shares, of topics that the user may know of. */
function sharedTopics(
  context: RequestContext,
  groupId: string,
): { readonly name: string; readonly partitions: number[] }[] {
  const { vhost } = context
  const byTopic = Map.groupBy(
    vhost.shared.find(groupId)?.partitions() ?? [],
    ({ topicId }) => topicId,
  )
  const topics: { name: string; partitions: number[] }[] = []
  for (const { id, name } of topicsOf(vhost)) {
    const shared = byTopic.get(id)
    if (shared === undefined || !mayDescribe(context, name)) continue
    topics.push({ name, partitions: shared.map(({ index }) => index) })
  }
  return topics
}
