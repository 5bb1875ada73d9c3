/** Groups of Kafka's consumer protocol (KIP-848), whose partitions the broker assigns. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, KafkaPeer } from '../../support/kafka-peer.ts'
import { createTopic, KafkaWorld } from '../../support/kafka-world.ts'

const NONE = 0
const UNKNOWN_MEMBER_ID = 25
const INVALID_REQUEST = 42
const GROUP_ID_NOT_FOUND = 69
const FENCED_MEMBER_EPOCH = 110
const STALE_MEMBER_EPOCH = 113
const INVALID_REGULAR_EXPRESSION = 128

type Beat = Answer<'ConsumerGroupHeartbeat'>

/** A member that says in each heartbeat what it has, and takes what it is told. */
class Member {
  readonly #peer: KafkaPeer
  readonly id: string
  readonly #subscription: object
  epoch = 0
  owned: unknown = []

  constructor(peer: KafkaPeer, id: string, subscription: object = { subscribedTopicNames: ['t'] }) {
    this.#peer = peer
    this.id = id
    this.#subscription = subscription
  }

  async beat(changes: object = {}): Promise<Beat> {
    const isJoin = this.epoch === 0
    const answer = await this.#peer.call('ConsumerGroupHeartbeat', 1, {
      groupId: 'g',
      memberId: this.id,
      memberEpoch: this.epoch,
      rebalanceTimeoutMs: isJoin ? 60_000 : -1,
      topicPartitions: this.owned,
      subscribedTopicNames: null,
      ...(isJoin ? this.#subscription : {}),
      ...changes,
    })
    if (answer.errorCode !== NONE) return answer
    this.epoch = answer.memberEpoch
    // The schema says that an assignment may be absent; the type does not.
    const assignment = answer.assignment as Beat['assignment'] | null
    if (assignment !== null) this.owned = assignment.topicPartitions
    return answer
  }

  get partitions(): number[] {
    const owned = this.owned as { readonly partitions: number[] }[]
    return owned.flatMap(({ partitions }) => partitions)
  }
}

async function commit(peer: KafkaPeer, version: number, epoch: number): Promise<number> {
  const partitions = [{ partitionIndex: 0, committedOffset: 4, committedMetadata: null }]
  const answer = await peer.call('OffsetCommit', version, {
    groupId: 'g',
    memberId: 'a',
    generationIdOrMemberEpoch: epoch,
    groupInstanceId: null,
    topics: [{ name: 't', partitions }],
  })
  return answer.topics[0]!.partitions[0]!.errorCode
}

test('partitions go from one member to another without two ever having one', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't', 4)
  const a = new Member(peer, 'a')
  const b = new Member(peer, 'b')
  await a.beat()
  assert.deepEqual(a.partitions, [0, 1, 2, 3])
  await b.beat()
  assert.deepEqual(b.partitions, [])
  await a.beat()
  assert.equal(a.partitions.length, 2)
  await b.beat()
  assert.deepEqual(b.partitions, [])
  await a.beat()
  await b.beat()
  assert.deepEqual(
    [...a.partitions, ...b.partitions].toSorted((left, right) => left - right),
    [0, 1, 2, 3],
  )

  await a.beat({ memberEpoch: -1 })
  await b.beat()
  assert.equal(b.partitions.length, 4)
})

test('a pattern follows topics that come, and partitions that are added', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't-1')
  await createTopic(peer, 'other')
  const a = new Member(peer, 'a', { subscribedTopicRegex: 't-.*' })
  await a.beat()
  assert.equal(a.partitions.length, 1)
  await createTopic(peer, 't-2', 2)
  await a.beat()
  assert.equal(a.partitions.length, 3)
  const topics = [{ name: 't-1', count: 3, assignments: null }]
  const grown = await peer.call('CreatePartitions', 3, { topics, timeoutMs: 1000 })
  assert.equal(grown.results[0]!.errorCode, NONE)
  await a.beat()
  assert.equal(a.partitions.length, 5)
  const bad = await new Member(peer, 'b', { subscribedTopicRegex: '(' }).beat()
  assert.equal(bad.errorCode, INVALID_REGULAR_EXPRESSION)
  assert.match(bad.errorMessage!, /missing closing/)
})

test('members commit by their epoch, and are unknown after a restart', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const a = new Member(peer, 'a')
  await a.beat()
  assert.equal(await commit(peer, 9, a.epoch), NONE)
  assert.equal(await commit(peer, 9, a.epoch + 1), STALE_MEMBER_EPOCH)
  const fetch = async (memberEpoch: number) => {
    const topics = [{ name: 't', partitionIndexes: [0] }]
    const groups = [{ groupId: 'g', memberId: 'a', memberEpoch, topics }]
    return (await peer.call('OffsetFetch', 9, { groups })).groups[0]!
  }
  assert.equal((await fetch(a.epoch)).topics[0]!.partitions[0]!.committedOffset, 4)
  assert.equal((await fetch(a.epoch + 1)).errorCode, STALE_MEMBER_EPOCH)
  assert.equal((await a.beat({ memberEpoch: 9 })).errorCode, FENCED_MEMBER_EPOCH)

  await world.broker.restart()
  const other = await world.connect()
  assert.equal(await commit(other, 9, a.epoch), UNKNOWN_MEMBER_ID)
  const orphan = new Member(other, 'a')
  orphan.epoch = a.epoch
  assert.equal((await orphan.beat()).errorCode, UNKNOWN_MEMBER_ID)
  orphan.epoch = 0
  await orphan.beat()
  assert.deepEqual(orphan.partitions, [0])
})

test('a silent member is out after its session', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const a = new Member(peer, 'a')
  assert.equal((await a.beat()).heartbeatIntervalMs, 1_000)
  await world.broker.clock.advance('45s')
  assert.equal((await a.beat()).errorCode, UNKNOWN_MEMBER_ID)
})

test('what is configured for a group holds for its members', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const set = (name: string, value: string): object => ({ name, configOperation: 0, value })
  const configs = [
    set('consumer.heartbeat.interval.ms', '7000'),
    set('consumer.session.timeout.ms', '20000'),
  ]
  const resources = [{ resourceType: 32, resourceName: 'g', configs }]
  const altered = await peer.call('IncrementalAlterConfigs', 1, { resources })
  assert.equal(altered.responses[0]!.errorCode, NONE)
  const a = new Member(peer, 'a')
  assert.equal((await a.beat()).heartbeatIntervalMs, 7_000)
  await world.broker.clock.advance('20s')
  assert.equal((await a.beat()).errorCode, UNKNOWN_MEMBER_ID)
})

test('groups are described as they are, and only as what they are', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  const topicId = await createTopic(peer, 't', 2)
  await new Member(peer, 'a').beat()
  const groupIds = ['g', 'nobody']
  const { groups } = await peer.call('ConsumerGroupDescribe', 1, { groupIds })
  const [known, unknown] = groups
  assert.equal(known!.groupState, 'Stable')
  assert.equal(known!.assignorName, 'uniform')
  const [member] = known!.members
  assert.deepEqual(member!.subscribedTopicNames, ['t'])
  assert.deepEqual(member!.assignment, {
    topicPartitions: [{ topicId, topicName: 't', partitions: [0, 1] }],
  })
  assert.deepEqual(member!.targetAssignment, member!.assignment)
  assert.equal(member!.memberType, 1)
  assert.equal(unknown!.errorCode, GROUP_ID_NOT_FOUND)
  const classic = await peer.call('DescribeGroups', 6, { groups: ['g'] })
  assert.equal(classic.groups[0]!.errorCode, GROUP_ID_NOT_FOUND)
})

test('heartbeats that make no sense are refused with the reason', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const refused = await new Member(peer, '').beat()
  assert.equal(refused.errorCode, INVALID_REQUEST)
  assert.equal(refused.errorMessage, "MemberId can't be empty.")
  const nameless = await new Member(peer, 'a').beat({ groupId: '' })
  assert.equal(nameless.errorMessage, "GroupId can't be empty.")
})
