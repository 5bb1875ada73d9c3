/** Groups over a thousand topics of four partitions, and with a hundred members. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClassicMember } from '../../support/kafka-members.ts'
import type { KafkaPeer } from '../../support/kafka-peer.ts'
import { KafkaWorld, produce } from '../../support/kafka-world.ts'

const NONE = 0
const TOPIC_COUNT = 1_000
const PARTITION_COUNT = 4
const TOPICS_PER_REQUEST = 200
const MEMBER_COUNT = 100
const ROUNDS_MAX = 10

const NAMES = Array.from({ length: TOPIC_COUNT }, (_, index) => `topic-${index}`)

async function createTopics(peer: KafkaPeer): Promise<void> {
  for (let from = 0; from < TOPIC_COUNT; from += TOPICS_PER_REQUEST) {
    const topics = NAMES.slice(from, from + TOPICS_PER_REQUEST).map((name) => ({
      name,
      numPartitions: PARTITION_COUNT,
      replicationFactor: -1,
      assignments: [],
      configs: [],
    }))
    const answer = await peer.call('CreateTopics', 7, { topics, timeoutMs: 30_000 })
    assert.ok(answer.topics.every(({ errorCode }) => errorCode === NONE))
  }
}

interface Owned {
  epoch: number
  partitions: { readonly topicId: unknown; readonly partitions: readonly number[] }[]
}

/** Heartbeats in turn until nothing changes; the members' partitions. */
async function balance(peer: KafkaPeer, memberIds: readonly string[]): Promise<Owned[]> {
  const members = memberIds.map((): Owned => ({ epoch: 0, partitions: [] }))
  for (let round = 0; round < ROUNDS_MAX; round++) {
    let hasChanged = false
    for (const [index, member] of members.entries()) {
      const answer = await peer.call('ConsumerGroupHeartbeat', 1, {
        groupId: 'consumers',
        memberId: memberIds[index],
        memberEpoch: member.epoch,
        rebalanceTimeoutMs: member.epoch === 0 ? 60_000 : -1,
        subscribedTopicNames: member.epoch === 0 ? NAMES : null,
        topicPartitions: member.partitions,
      })
      assert.equal(answer.errorCode, NONE)
      hasChanged ||= answer.memberEpoch !== member.epoch
      member.epoch = answer.memberEpoch
      // The schema says that an assignment may be absent; the type does not.
      const assignment = answer.assignment as typeof answer.assignment | null
      if (assignment === null) continue
      member.partitions = [...assignment.topicPartitions]
      hasChanged = true
    }
    if (!hasChanged) return members
  }
  throw new Error(`the group is not balanced after ${ROUNDS_MAX} rounds`)
}

function countOf({ partitions }: Owned): number {
  return partitions.reduce((sum, topic) => sum + topic.partitions.length, 0)
}

test('a group over a thousand topics is balanced, and its lag is exact', async (t) => {
  const world = await KafkaWorld.open(t, { http: 0 })
  const peer = await world.connect()
  await createTopics(peer)
  const members = await balance(peer, ['a', 'b', 'c'])
  const counts = members.map(countOf)
  assert.equal(counts[0]! + counts[1]! + counts[2]!, TOPIC_COUNT * PARTITION_COUNT)
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)

  for (const name of ['topic-7', 'topic-999']) await produce(peer, name, ['1', '2', '3'])
  for (const [index, { epoch, partitions }] of members.entries()) {
    const answer = await peer.call('OffsetCommit', 10, {
      groupId: 'consumers',
      memberId: 'abc'[index],
      generationIdOrMemberEpoch: epoch,
      topics: partitions.map(({ topicId, partitions: indexes }) => ({
        topicId,
        partitions: indexes.map((partitionIndex) => ({ partitionIndex, committedOffset: 0 })),
      })),
    })
    const codes = answer.topics.flatMap((topic) => topic.partitions.map((one) => one.errorCode))
    assert.ok(codes.every((code) => code === NONE))
  }
  const response = await fetch(`${world.broker.url('http')}/v1/subscriptions`, {
    headers: { authorization: `Basic ${btoa('guest:guest')}` },
  })
  const views = (await response.json()) as {
    readonly topic: string
    readonly lag: number
    readonly members: number
    readonly partitions: readonly unknown[]
  }[]
  assert.equal(views.length, TOPIC_COUNT)
  assert.ok(views.every((view) => view.partitions.length === PARTITION_COUNT && view.members === 3))
  const lagging = views.filter(({ lag }) => lag > 0).map(({ topic, lag }) => `${topic} ${lag}`)
  assert.deepEqual(lagging, ['topic-7 3', 'topic-999 3'])
})

test('a hundred members of a classic group are balanced again when one comes', async (t) => {
  const world = await KafkaWorld.open(t)
  const members = await Promise.all(
    Array.from({ length: MEMBER_COUNT + 1 }, async () => new ClassicMember(await world.connect())),
  )
  const late = members.pop()!
  await Promise.all(members.map(async (member) => member.enter()))
  const first = members.map(async (member) => member.join())
  await world.broker.clock.advance('5s')
  const joined = await Promise.all(first)
  const leader = joined[0]!.leader
  const plan = Object.fromEntries(members.map(({ memberId }) => [memberId, 'x'.repeat(1_000)]))
  await Promise.all(
    members.map(async (member) => member.sync(member.memberId === leader ? plan : {})),
  )

  await late.enter()
  const again = await Promise.all([...members, late].map(async (member) => member.join()))
  assert.ok(again.every(({ errorCode, generationId }) => errorCode === NONE && generationId === 2))
  const known = again.find(({ members: all }) => all.length > 0)!
  assert.equal(known.members.length, MEMBER_COUNT + 1)
})
