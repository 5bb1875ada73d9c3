/** Groups of Kafka's classic protocol and their offsets, on the wire and on virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClassicMember } from '../../support/kafka-members.ts'
import type { Answer, KafkaPeer } from '../../support/kafka-peer.ts'
import { createTopic, KafkaWorld } from '../../support/kafka-world.ts'

const NONE = 0
const UNKNOWN_TOPIC_OR_PARTITION = 3
const OFFSET_METADATA_TOO_LARGE = 12
const INVALID_GROUP_ID = 24
const UNKNOWN_MEMBER_ID = 25
const INVALID_SESSION_TIMEOUT = 26
const REBALANCE_IN_PROGRESS = 27
const NON_EMPTY_GROUP = 68
const GROUP_ID_NOT_FOUND = 69
const GROUP_SUBSCRIBED_TO_TOPIC = 86

type FetchedPartition =
  Answer<'OffsetFetch'>['groups'][number]['topics'][number]['partitions'][number]

/** Joins, assigns `text` to everybody, and is the only member of a stable group. */
async function stable(world: KafkaWorld, text = 'all'): Promise<ClassicMember> {
  const member = new ClassicMember(await world.connect())
  await member.enter()
  const joined = member.join()
  await world.broker.clock.advance('1s')
  assert.equal((await joined).errorCode, NONE)
  const synced = await member.sync({ [member.memberId]: text })
  assert.equal(synced.assignment.toString(), text)
  return member
}

async function commit(
  peer: KafkaPeer,
  version: number,
  { offset = 5, member = null as ClassicMember | null, topic = 't', partition = 0, metadata = 'x' },
): Promise<number> {
  const answer = await peer.call('OffsetCommit', version, {
    groupId: 'g',
    generationIdOrMemberEpoch: member?.generation ?? -1,
    memberId: member?.memberId ?? '',
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: [
      {
        name: topic,
        partitions: [
          {
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: 0,
            committedMetadata: metadata,
          },
        ],
      },
    ],
  })
  return answer.topics[0]!.partitions[0]!.errorCode
}

async function fetchOffset(peer: KafkaPeer, groupId = 'g'): Promise<FetchedPartition> {
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const groups = [{ groupId, memberId: null, memberEpoch: -1, topics }]
  const answer = await peer.call('OffsetFetch', 9, { groups, requireStable: false })
  return answer.groups[0]!.topics[0]!.partitions[0]!
}

test('members find each other, and the leader assigns', async (t) => {
  const world = await KafkaWorld.open(t)
  const first = new ClassicMember(await world.connect())
  const second = new ClassicMember(await world.connect())
  await first.enter()
  await second.enter()
  const joins = [first.join(), second.join()]
  await world.broker.clock.advance('1s')
  const [one, two] = await Promise.all(joins)
  assert.equal(one!.members.length + two!.members.length, 2)
  const [leader, follower] = one!.members.length === 2 ? [first, second] : [second, first]
  const waiting = follower.sync()
  await leader.sync({ [follower.memberId]: 'f', [leader.memberId]: 'l' })
  assert.equal((await waiting).assignment.toString(), 'f')
  assert.equal(await follower.beat(), NONE)

  const third = new ClassicMember(await world.connect())
  await third.enter()
  const late = third.join()
  await world.broker.settle()
  assert.equal(await follower.beat(), REBALANCE_IN_PROGRESS)
  const again = await Promise.all([leader.join(), follower.join(), late])
  assert.deepEqual(
    again.map(({ generationId }) => generationId),
    [2, 2, 2],
  )
})

test('a member that is silent for its session is out', async (t) => {
  const world = await KafkaWorld.open(t)
  const member = await stable(world)
  await world.broker.clock.advance('9s')
  assert.equal(await member.beat(), NONE)
  await world.broker.clock.advance('10s')
  assert.equal(await member.beat(), UNKNOWN_MEMBER_ID)
})

test('after a restart members join anew, and offsets are where they were', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const member = await stable(world)
  assert.equal(await commit(peer, 8, { member, offset: 7, metadata: 'seven' }), NONE)
  await world.broker.crash('power-cut')
  const other = await world.connect()
  const orphan = new ClassicMember(other)
  orphan.memberId = member.memberId
  orphan.generation = member.generation
  assert.equal(await orphan.beat(), UNKNOWN_MEMBER_ID)
  assert.equal(await commit(other, 8, { member }), UNKNOWN_MEMBER_ID)
  assert.equal(await commit(other, 9, { member }), UNKNOWN_MEMBER_ID)
  const found = await fetchOffset(other)
  assert.equal(found.committedOffset, 7)
  assert.equal(found.committedLeaderEpoch, 0)
  assert.equal(found.metadata, 'seven')
})

test('every version of commit and fetch keeps and finds an offset', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  for (let version = 2; version <= 9; version++) {
    assert.equal(await commit(peer, version, { offset: version }), NONE)
  }
  assert.equal((await fetchOffset(peer)).committedOffset, 9)
  const topics = [{ name: 't', partitionIndexes: [0, 7] }]
  for (let version = 1; version <= 7; version++) {
    const answer = await peer.call('OffsetFetch', version, { groupId: 'g', topics })
    const [known, unknown] = answer.topics[0]!.partitions
    assert.equal(known!.committedOffset, 9)
    assert.equal(known!.metadata, 'x')
    assert.deepEqual([unknown!.committedOffset, unknown!.errorCode], [-1, NONE])
  }
  const all = await peer.call('OffsetFetch', 7, { groupId: 'g', topics: null })
  assert.deepEqual(all.topics[0]!.partitions.length, 1)
})

test('topics are named by their ids in the newest versions', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  const topicId = await createTopic(peer, 't')
  const committed = await peer.call('OffsetCommit', 10, {
    groupId: 'g',
    generationIdOrMemberEpoch: -1,
    memberId: '',
    groupInstanceId: null,
    topics: [
      { topicId, partitions: [{ partitionIndex: 0, committedOffset: 3, committedMetadata: null }] },
      { topicId: Buffer.alloc(16, 9), partitions: [{ partitionIndex: 0, committedOffset: 3 }] },
    ],
  })
  assert.equal(committed.topics[0]!.partitions[0]!.errorCode, NONE)
  assert.equal(committed.topics[1]!.partitions[0]!.errorCode, 100)
  const groups = [
    {
      groupId: 'g',
      memberId: null,
      memberEpoch: -1,
      topics: [{ topicId, partitionIndexes: [0] }],
    },
  ]
  const fetched = await peer.call('OffsetFetch', 10, { groups })
  assert.deepEqual(fetched.groups[0]!.topics[0]!.topicId, topicId)
  assert.equal(fetched.groups[0]!.topics[0]!.partitions[0]!.committedOffset, 3)
})

test('commits that may not be are refused, each with its own error', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  assert.equal(await commit(peer, 8, { topic: 'nowhere' }), UNKNOWN_TOPIC_OR_PARTITION)
  assert.equal(await commit(peer, 8, { partition: 1 }), UNKNOWN_TOPIC_OR_PARTITION)
  const metadata = 'x'.repeat(4097)
  assert.equal(await commit(peer, 8, { metadata }), OFFSET_METADATA_TOO_LARGE)
  const member = await stable(world)
  assert.equal(await commit(peer, 8, {}), UNKNOWN_MEMBER_ID)
  assert.equal(await commit(peer, 8, { member }), NONE)
})

test('groups are listed, described and deleted', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const member = await stable(world)
  const list = async (statesFilter: string[] = [], typesFilter: string[] = []) => {
    const { groups } = await peer.call('ListGroups', 5, { statesFilter, typesFilter })
    return groups
  }
  assert.deepEqual(await list(), [
    { groupId: 'g', protocolType: 'consumer', groupState: 'Stable', groupType: 'classic' },
  ])
  assert.equal((await list(['stable'], ['Classic'])).length, 1)
  assert.equal((await list(['Empty'])).length, 0)
  assert.equal((await list([], ['consumer'])).length, 0)

  const describe = async (version: number) => {
    const body = { groups: ['g', 'nobody'], includeAuthorizedOperations: true }
    return (await peer.call('DescribeGroups', version, body)).groups
  }
  const [known, unknown] = await describe(6)
  assert.equal(known!.groupState, 'Stable')
  assert.equal(known!.protocolData, 'range')
  assert.equal(known!.members[0]!.memberId, member.memberId)
  assert.equal(known!.members[0]!.clientHost, '/127.0.0.1')
  assert.equal(known!.members[0]!.memberAssignment.toString(), 'all')
  assert.equal(unknown!.errorCode, GROUP_ID_NOT_FOUND)
  const [, dead] = await describe(5)
  assert.deepEqual([dead!.errorCode, dead!.groupState], [NONE, 'Dead'])

  const remove = async (): Promise<number[]> => {
    const answer = await peer.call('DeleteGroups', 2, { groupsNames: ['g', 'nobody', ''] })
    return answer.results.map((result) => result.errorCode)
  }
  assert.deepEqual(await remove(), [NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND, INVALID_GROUP_ID])
  assert.equal(await commit(peer, 8, { member }), NONE)
  await peer.call('LeaveGroup', 5, {
    groupId: 'g',
    members: [{ memberId: member.memberId, groupInstanceId: null, reason: null }],
  })
  assert.equal((await list(['Empty'])).length, 1)
  assert.equal((await remove())[0], NONE)
  assert.equal((await fetchOffset(peer)).committedOffset, -1)
  assert.equal((await list()).length, 0)
})

test('one member may leave in the old form', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  const member = await stable(world)
  const leave = async (memberId: string): Promise<number> => {
    return (await peer.call('LeaveGroup', 1, { groupId: 'g', memberId })).errorCode
  }
  assert.equal(await leave('nobody'), UNKNOWN_MEMBER_ID)
  assert.equal(await leave(member.memberId), NONE)
})

test('offsets are deleted, but not of topics that somebody reads', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  await createTopic(peer, 'u')
  assert.equal(await commit(peer, 8, {}), NONE)
  const remove = async (name: string) => {
    const topics = [{ name, partitions: [{ partitionIndex: 0 }] }]
    return peer.call('OffsetDelete', 0, { groupId: 'g', topics })
  }
  assert.equal((await remove('nowhere')).topics[0]!.partitions[0]!.errorCode, 3)
  assert.equal((await remove('t')).topics[0]!.partitions[0]!.errorCode, NONE)
  assert.equal((await fetchOffset(peer)).committedOffset, -1)
  assert.equal((await remove('t')).errorCode, GROUP_ID_NOT_FOUND)

  // Version 0, one topic 't', no user data: as consumers tell each other.
  const metadata = Buffer.from([0, 0, 0, 0, 0, 1, 0, 1, 0x74, 0xff, 0xff, 0xff, 0xff])
  const member = new ClassicMember(await world.connect(), { metadata })
  await member.enter()
  const joined = member.join()
  await world.broker.clock.advance('1s')
  await joined
  await member.sync()
  assert.equal((await remove('t')).topics[0]!.partitions[0]!.errorCode, GROUP_SUBSCRIBED_TO_TOPIC)
  assert.equal((await remove('u')).topics[0]!.partitions[0]!.errorCode, NONE)
})

test('requests that make no sense have their own errors', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  const tooShort = new ClassicMember(peer, { sessionTimeoutMs: 5_999 })
  assert.equal((await tooShort.join()).errorCode, INVALID_SESSION_TIMEOUT)
  const nameless = new ClassicMember(peer, { groupId: '' })
  assert.equal((await nameless.join()).errorCode, INVALID_GROUP_ID)
  const unknown = new ClassicMember(peer)
  unknown.memberId = 'x'
  assert.equal((await unknown.join()).errorCode, UNKNOWN_MEMBER_ID)
  assert.equal((await unknown.sync()).errorCode, UNKNOWN_MEMBER_ID)
})
