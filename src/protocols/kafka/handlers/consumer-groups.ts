import { ERROR } from '../../../codec/kafka/index.ts'
import { groupOperations } from '../acl-operations.ts'
import { groupFault, groupsOf, hostText, mayUseGroup, refusalFields } from '../group-requests.ts'
import type { TopicPartitions } from '../groups/assignment.ts'
import type { ConsumerMemberView } from '../groups/consumer-group.ts'
import type { Handler, RequestContext, Response } from '../request-context.ts'
import { mayDescribe } from '../topics.ts'

type DescribedGroup = Response<'ConsumerGroupDescribe'>['groups'][number]
type DescribedMember = DescribedGroup['members'][number]

/** The client makes its own member id from this version on (KIP-1082). */
const OWN_ID_VERSION = 1
const CONSUMER_MEMBER = 1

export const handleConsumerGroupHeartbeat: Handler<'ConsumerGroupHeartbeat'> = (
  context,
  request,
  respond,
) => {
  const { groupId, memberId, memberEpoch } = request
  const refuse = (refusal: { errorCode: number; errorMessage: string }): void => {
    respond({ ...refusal, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0 })
  }
  const fault = heartbeatFault(context, groupId, request.subscribedTopicNames)
  if (fault !== null) {
    refuse(fault)
    return
  }
  try {
    const answer = groupsOf(context).consumerHeartbeat(groupId, {
      memberId,
      memberEpoch,
      instanceId: request.instanceId,
      rackId: request.rackId,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      topicNames: request.subscribedTopicNames,
      pattern: request.subscribedTopicRegex,
      assignor: request.serverAssignor,
      owned: request.topicPartitions,
      clientId: context.clientId,
      clientHost: hostText(context.clientHost),
      makesOwnId: context.apiVersion >= OWN_ID_VERSION,
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

/** What is wrong with a heartbeat before its group is asked; null: nothing. */
export function heartbeatFault(
  context: RequestContext,
  groupId: string,
  topicNames: readonly string[] | null,
): { errorCode: number; errorMessage: string } | null {
  if (!mayUseGroup(context, groupId)) {
    const errorMessage = `no read access to group '${groupId}'`
    return { errorCode: ERROR.GROUP_AUTHORIZATION_FAILED, errorMessage }
  }
  if (groupId.trim() === '') {
    return { errorCode: ERROR.INVALID_REQUEST, errorMessage: "GroupId can't be empty." }
  }
  const hidden = topicNames?.find((name) => !mayDescribe(context, name))
  if (hidden === undefined) return null
  const errorMessage = `no access to topic '${hidden}'`
  return { errorCode: ERROR.TOPIC_AUTHORIZATION_FAILED, errorMessage }
}

export const handleConsumerGroupDescribe: Handler<'ConsumerGroupDescribe'> = (
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
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) return absent(groupId, { errorCode: fault })
  const group = groupsOf(context).find(groupId)
  if (group?.type !== 'consumer') {
    const reason = group === undefined ? 'not found' : 'is not a consumer group'
    return absent(groupId, {
      errorCode: ERROR.GROUP_ID_NOT_FOUND,
      errorMessage: `Group ${groupId} ${reason}.`,
    })
  }
  const { state, epoch, assignmentEpoch, assignor, members } = group.describe()
  const names = members.flatMap(({ topicNames }) => topicNames)
  if (!names.every((name) => mayDescribe(context, name))) return hiddenTopics(groupId)
  return {
    errorCode: ERROR.NONE,
    groupId,
    groupState: state,
    groupEpoch: epoch,
    assignmentEpoch,
    assignorName: assignor,
    members: members.map((member) => memberAnswer(context, member)),
  }
}

function memberAnswer(
  context: RequestContext,
  { topicNames, pattern, assignment, target, ...member }: ConsumerMemberView,
): DescribedMember {
  return {
    ...member,
    subscribedTopicNames: topicNames,
    subscribedTopicRegex: pattern === '' ? null : pattern,
    assignment: namedPartitions(context, assignment),
    targetAssignment: namedPartitions(context, target),
    memberType: CONSUMER_MEMBER,
  }
}

/** With the names of topics; those that are gone are left out. */
export function namedPartitions(
  { shared, vhost }: RequestContext,
  assignment: readonly TopicPartitions[],
): { readonly topicPartitions: (TopicPartitions & { readonly topicName: string })[] } {
  const topicPartitions = assignment.flatMap(({ topicId, partitions }) => {
    const topic = shared.ids.find(vhost, topicId)
    return topic === null ? [] : [{ topicId, topicName: topic.name, partitions }]
  })
  return { topicPartitions }
}

function hiddenTopics(groupId: string): DescribedGroup {
  return absent(groupId, {
    errorCode: ERROR.TOPIC_AUTHORIZATION_FAILED,
    errorMessage: 'The group has described topic(s) that the client is not authorized to describe.',
  })
}

function absent(
  groupId: string,
  fields: Pick<DescribedGroup, 'errorCode' | 'errorMessage'>,
): DescribedGroup {
  return {
    ...fields,
    groupId,
    groupState: '',
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: '',
    members: [],
  }
}
