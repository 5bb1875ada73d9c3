import { ERROR } from '../../../codec/kafka/index.ts'
import { groupOperations } from '../acl-operations.ts'
import {
  afterCommit,
  errorCode,
  groupFault,
  groupsOf,
  hostText,
  mayUseGroup,
} from '../group-requests.ts'
import type { ClassicGroup } from '../groups/classic-group.ts'
import type { JoinResult } from '../groups/classic-member.ts'
import type { Handler, RequestContext, Response } from '../request-context.ts'

type DescribedGroup = Response<'DescribeGroups'>['groups'][number]
type ListedGroup = Response<'ListGroups'>['groups'][number]

/** Members are given an id and join again with it, from this version on (KIP-394). */
const KNOWN_ID_VERSION = 4
/** The leader may be told not to assign, from this version on (KIP-814). */
const SKIP_ASSIGNMENT_VERSION = 9
/** A sync must name the protocol, from this version on (KIP-559). */
const NAMED_PROTOCOL_VERSION = 5
/** Several members may leave at once, from this version on (KIP-345). */
const BATCH_LEAVE_VERSION = 3
/** A group that is not there is an error, from this version on (KIP-1043). */
const NOT_FOUND_VERSION = 6

/** What a group is taken for that is known by its offsets only. */
const CONSUMER_PROTOCOL = 'consumer'
const NO_BYTES = Buffer.alloc(0)

export const handleJoinGroup: Handler<'JoinGroup'> = (context, request, respond) => {
  const { groupId, memberId, groupInstanceId, sessionTimeoutMs } = request
  const { sessionTimeoutMsMin, sessionTimeoutMsMax } = context.shared.groups.limits
  const fault = groupFault(context, groupId)
  const isTimeoutValid =
    sessionTimeoutMs >= sessionTimeoutMsMin && sessionTimeoutMs <= sessionTimeoutMsMax
  if (fault !== ERROR.NONE || !isTimeoutValid) {
    const code = fault === ERROR.NONE ? ERROR.INVALID_SESSION_TIMEOUT : fault
    respond({ errorCode: code, protocolName: '', leader: '', memberId: '', members: [] })
    return
  }
  groupsOf(context).join(
    groupId,
    {
      memberId,
      instanceId: groupInstanceId,
      clientId: context.clientId,
      clientHost: hostText(context.clientHost),
      sessionTimeoutMs,
      // Version 0 has one timeout for both.
      rebalanceTimeoutMs:
        request.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      protocols: request.protocols,
      isIdRequired: context.apiVersion >= KNOWN_ID_VERSION,
      canSkipAssignment: context.apiVersion >= SKIP_ASSIGNMENT_VERSION,
    },
    (result) => respond(joinAnswer(result)),
  )
}

function joinAnswer(result: JoinResult): Response<'JoinGroup'> {
  return {
    errorCode: errorCode(result.error),
    generationId: result.generation,
    protocolType: result.protocolType,
    protocolName: result.protocolName,
    leader: result.leader,
    skipAssignment: result.skipAssignment,
    memberId: result.memberId,
    members: result.members.map(({ memberId, instanceId, metadata }) => ({
      memberId,
      groupInstanceId: instanceId,
      metadata,
    })),
  }
}

export const handleSyncGroup: Handler<'SyncGroup'> = (context, request, respond) => {
  const { groupId, protocolType, protocolName } = request
  const isUnnamed =
    context.apiVersion >= NAMED_PROTOCOL_VERSION && (protocolType === null || protocolName === null)
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE || isUnnamed) {
    const code = fault === ERROR.NONE ? ERROR.INCONSISTENT_GROUP_PROTOCOL : fault
    respond({ errorCode: code, assignment: NO_BYTES })
    return
  }
  groupsOf(context).sync(
    groupId,
    {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType,
      protocolName,
      assignments: request.assignments,
    },
    (result) =>
      respond({
        errorCode: errorCode(result.error),
        protocolType: result.protocolType,
        protocolName: result.protocolName,
        assignment: result.assignment,
      }),
  )
}

export const handleHeartbeat: Handler<'Heartbeat'> = (context, request, respond) => {
  const { groupId, memberId, groupInstanceId, generationId } = request
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) {
    respond({ errorCode: fault })
    return
  }
  const claim = { memberId, instanceId: groupInstanceId, generation: generationId }
  respond({ errorCode: errorCode(groupsOf(context).heartbeat(groupId, claim)) })
}

export const handleLeaveGroup: Handler<'LeaveGroup'> = (context, request, respond) => {
  const { groupId } = request
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) {
    respond({ errorCode: fault, members: [] })
    return
  }
  const isBatch = context.apiVersion >= BATCH_LEAVE_VERSION
  const members = isBatch
    ? request.members.map(({ memberId, groupInstanceId }) => ({
        memberId,
        instanceId: groupInstanceId,
      }))
    : [{ memberId: request.memberId, instanceId: null }]
  const errors = groupsOf(context).leave(groupId, members)
  respond({
    errorCode: isBatch ? ERROR.NONE : errorCode(errors[0]!),
    members: members.map(({ memberId, instanceId }, index) => ({
      memberId,
      groupInstanceId: instanceId,
      errorCode: errorCode(errors[index]!),
    })),
  })
}

export const handleDescribeGroups: Handler<'DescribeGroups'> = (context, request, respond) => {
  const groups = request.groups.map((groupId) => {
    const described = describe(context, groupId)
    if (!request.includeAuthorizedOperations || described.errorCode !== ERROR.NONE) return described
    return { ...described, authorizedOperations: groupOperations(context, groupId) }
  })
  respond({ groups })
}

function describe(context: RequestContext, groupId: string): DescribedGroup {
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) return absent(groupId, { errorCode: fault, groupState: '' })
  const group = groupsOf(context).find(groupId)
  if (group === undefined && context.vhost.subscriptions.find(groupId) !== undefined) {
    return { ...absent(groupId, { groupState: 'Empty' }), protocolType: CONSUMER_PROTOCOL }
  }
  if (group?.type === 'classic') return describeClassic(group)
  if (context.apiVersion < NOT_FOUND_VERSION) return absent(groupId, { groupState: 'Dead' })
  const reason = group === undefined ? 'not found' : 'is not a classic group'
  return absent(groupId, {
    groupState: 'Dead',
    errorCode: ERROR.GROUP_ID_NOT_FOUND,
    errorMessage: `Group ${groupId} ${reason}.`,
  })
}

function absent(
  groupId: string,
  fields: Pick<DescribedGroup, 'groupState'> & Partial<DescribedGroup>,
): DescribedGroup {
  return {
    errorCode: ERROR.NONE,
    groupId,
    protocolType: '',
    protocolData: '',
    members: [],
    ...fields,
  }
}

function describeClassic(group: ClassicGroup): DescribedGroup {
  const { state, protocolType, protocolName, members } = group.describe()
  return {
    errorCode: ERROR.NONE,
    groupId: group.id,
    groupState: state,
    protocolType,
    protocolData: protocolName,
    members: members.map(({ instanceId, metadata, assignment, ...member }) => ({
      ...member,
      groupInstanceId: instanceId,
      memberMetadata: metadata,
      memberAssignment: assignment,
    })),
  }
}

export const handleListGroups: Handler<'ListGroups'> = (context, request, respond) => {
  const states = new Set(request.statesFilter.map((state) => state.toLowerCase()))
  const types = new Set(request.typesFilter.map((type) => type.toLowerCase()))
  const isListed = ({ groupId, groupState = '', groupType = '' }: ListedGroup): boolean =>
    (states.size === 0 || states.has(groupState.toLowerCase())) &&
    (types.size === 0 || types.has(groupType.toLowerCase())) &&
    mayUseGroup(context, groupId)
  respond({ errorCode: ERROR.NONE, groups: [...allGroups(context)].filter(isListed) })
}

/** Groups with members or without, and those of which there are offsets only. */
function* allGroups(context: RequestContext): Generator<ListedGroup> {
  const { vhost } = context
  const table = groupsOf(context)
  for (const { id, type, state, protocolType } of table.list()) {
    yield { groupId: id, protocolType, groupState: state, groupType: type }
  }
  for (const { name } of vhost.subscriptions.list()) {
    if (table.find(name) !== undefined) continue
    yield {
      groupId: name,
      protocolType: CONSUMER_PROTOCOL,
      groupState: 'Empty',
      groupType: 'classic',
    }
  }
  for (const { name } of vhost.shared.list()) {
    const isListed = table.find(name) !== undefined || vhost.subscriptions.find(name) !== undefined
    if (isListed) continue
    yield { groupId: name, protocolType: 'share', groupState: 'Empty', groupType: 'share' }
  }
}

export const handleDeleteGroups: Handler<'DeleteGroups'> = (context, request, respond) => {
  const results = [...new Set(request.groupsNames)].map((groupId) => ({
    groupId,
    errorCode: deleteGroup(context, groupId),
  }))
  if (results.every((result) => result.errorCode !== ERROR.NONE)) {
    respond({ results })
    return
  }
  afterCommit(context, (error) => {
    const failed = ({ groupId, errorCode: code }: (typeof results)[number]) => ({
      groupId,
      errorCode: code === ERROR.NONE ? ERROR.COORDINATOR_NOT_AVAILABLE : code,
    })
    respond({ results: error === null ? results : results.map(failed) })
  })
}

function deleteGroup(context: RequestContext, groupId: string): number {
  const fault = groupFault(context, groupId)
  if (fault !== ERROR.NONE) return fault
  const { vhost } = context
  const table = groupsOf(context)
  const group = table.find(groupId)
  if (group !== undefined && !group.isEmpty) return ERROR.NON_EMPTY_GROUP
  table.delete(groupId)
  const hadOffsets = vhost.subscriptions.delete(groupId)
  const hadShared = vhost.shared.delete(groupId)
  const isKnown = group !== undefined || hadOffsets || hadShared
  return isKnown ? ERROR.NONE : ERROR.GROUP_ID_NOT_FOUND
}
