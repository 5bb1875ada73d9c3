/** Share groups (KIP-932): members read the same partitions and settle each record by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Answer, KafkaPeer } from '../../support/kafka-peer.ts'
import { createTopic, KafkaWorld, produce } from '../../support/kafka-world.ts'

const NONE = 0
const NON_EMPTY_GROUP = 68
const GROUP_ID_NOT_FOUND = 69
const INVALID_RECORD_STATE = 121
const SHARE_SESSION_NOT_FOUND = 122
const INVALID_SHARE_SESSION_EPOCH = 123

const TYPE = { GAP: 0, ACCEPT: 1, RELEASE: 2, REJECT: 3, RENEW: 4 } as const

type Fetched = Answer<'ShareFetch'>['responses'][number]['partitions'][number]

/** A share consumer of one partition. */
class Member {
  readonly #peer: KafkaPeer
  readonly #topicId: Buffer
  readonly id: string
  #epoch = 0

  constructor(peer: KafkaPeer, topicId: Buffer, id: string) {
    this.#peer = peer
    this.#topicId = topicId
    this.id = id
  }

  async join(): Promise<void> {
    const body = { groupId: 'g', memberId: this.id, memberEpoch: 0, subscribedTopicNames: ['t'] }
    const answer = await this.#peer.call('ShareGroupHeartbeat', 1, body)
    assert.equal(answer.errorCode, NONE)
  }

  async leave(): Promise<void> {
    const body = { groupId: 'g', memberId: this.id, memberEpoch: -1 }
    await this.#peer.call('ShareGroupHeartbeat', 1, body)
  }

  /** What came, as [first, last, delivery count]. */
  async fetch(maxRecords = 100, changes: object = {}): Promise<number[][]> {
    const answer = await this.fetchWhole(maxRecords, changes)
    assert.equal(answer.errorCode, NONE)
    const partition: Fetched | undefined = answer.responses[0]?.partitions[0]
    assert.equal(partition?.errorCode ?? NONE, NONE)
    const acquired = partition?.acquiredRecords ?? []
    return acquired.map(({ firstOffset, lastOffset, deliveryCount }) => [
      firstOffset,
      lastOffset,
      deliveryCount,
    ])
  }

  async fetchWhole(maxRecords = 100, changes: object = {}): Promise<Answer<'ShareFetch'>> {
    const partitions = [{ partitionIndex: 0, acknowledgementBatches: [] }]
    return this.#peer.call('ShareFetch', 2, {
      groupId: 'g',
      memberId: this.id,
      shareSessionEpoch: this.#epoch++,
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      maxRecords,
      batchSize: maxRecords,
      shareAcquireMode: 1,
      topics: [{ topicId: this.#topicId, partitions }],
      ...changes,
    })
  }

  /** The error code of the partition, or of the whole request. */
  async acknowledge(batches: readonly number[][], changes: object = {}): Promise<number> {
    const acknowledgementBatches = batches.map(
      ([firstOffset, lastOffset, ...acknowledgeTypes]) => ({
        firstOffset,
        lastOffset,
        acknowledgeTypes,
      }),
    )
    const answer = await this.#peer.call('ShareAcknowledge', 2, {
      groupId: 'g',
      memberId: this.id,
      shareSessionEpoch: this.#epoch++,
      isRenewAck: batches.some((batch) => batch.slice(2).includes(TYPE.RENEW)),
      topics: [
        { topicId: this.#topicId, partitions: [{ partitionIndex: 0, acknowledgementBatches }] },
      ],
      ...changes,
    })
    if (answer.errorCode !== NONE) return answer.errorCode
    return answer.responses[0]!.partitions[0]!.errorCode
  }
}

interface Shared {
  readonly world: KafkaWorld
  readonly peer: KafkaPeer
  readonly topicId: Buffer
  readonly member: (id: string) => Promise<Member>
}

/** A topic with ten records that a group reads from its beginning. */
async function open(world: KafkaWorld): Promise<Shared> {
  const peer = await world.connect()
  const topicId = await createTopic(peer, 't')
  await produce(
    peer,
    't',
    Array.from({ length: 10 }, (_, index) => `v${index}`),
  )
  const configs = [{ name: 'share.auto.offset.reset', configOperation: 0, value: 'earliest' }]
  const resources = [{ resourceType: 32, resourceName: 'g', configs }]
  await peer.call('IncrementalAlterConfigs', 1, { resources })
  const member = async (id: string): Promise<Member> => {
    const one = new Member(await world.connect(), topicId, id)
    await one.join()
    return one
  }
  return { world, peer, topicId, member }
}

test('records go to one member each, and again to another when they are released', async (t) => {
  const { member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  const b = await member('b')
  assert.deepEqual(await a.fetch(4), [[0, 3, 1]])
  assert.deepEqual(await b.fetch(4), [[4, 7, 1]])
  assert.equal(
    await a.acknowledge([[0, 3, TYPE.ACCEPT, TYPE.RELEASE, TYPE.REJECT, TYPE.GAP]]),
    NONE,
  )
  assert.deepEqual(await b.fetch(2), [
    [1, 1, 2],
    [8, 8, 1],
  ])
  assert.equal(await a.acknowledge([[4, 4, TYPE.ACCEPT]]), INVALID_RECORD_STATE)
})

test('what is not settled in time goes to others, and is given up in the end', async (t) => {
  const { world, member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  for (let attempt = 1; attempt <= 5; attempt++) {
    assert.deepEqual(await a.fetch(1), [[0, 0, attempt]])
    await world.broker.clock.advance('20s')
    await a.join()
    await world.broker.clock.advance('10s')
  }
  assert.deepEqual(await a.fetch(1), [[1, 1, 1]])
})

test('a group that is configured so keeps the order of each key, also over a power cut', async (t) => {
  const { world, peer, topicId, member } = await open(await KafkaWorld.open(t))
  const configs = [{ name: 'waystation.key.shared', configOperation: 0, value: 'true' }]
  const resources = [{ resourceType: 32, resourceName: 'g', configs }]
  const answer = await peer.call('IncrementalAlterConfigs', 1, { resources })
  assert.equal(answer.responses[0]!.errorCode, NONE)
  // Behind the ten without a key: 10 to 15.
  await produce(peer, 't', ['a1', 'a2', 'b1', 'a3', 'b2', 'c1'], (value) => value[0]!)
  const a = await member('a')
  assert.deepEqual(await a.fetch(11), [
    [0, 9, 1],
    [10, 10, 1],
  ])
  const b = await member('b')
  assert.deepEqual(await b.fetch(), [
    [12, 12, 1],
    [14, 15, 1],
  ])
  // The first of its key comes back, and may be had by anybody, with its followers behind it.
  assert.equal(await a.acknowledge([[10, 10, TYPE.RELEASE]]), NONE)
  assert.deepEqual(await b.fetch(1), [[10, 10, 2]])
  assert.deepEqual(await a.fetch(), [], 'the others of its key are for b now')
  assert.equal(await b.acknowledge([[12, 12, TYPE.RELEASE]]), NONE)
  assert.deepEqual(await b.fetch(1), [[11, 11, 1]], '12 waits for 14, which b has still')
  await world.broker.crash('power-cut')
  const c = new Member(await world.connect(), topicId, 'c')
  assert.deepEqual(await c.fetch(11), [
    [0, 9, 2],
    [10, 10, 3],
  ])
  const d = new Member(await world.connect(), topicId, 'd')
  assert.deepEqual(await d.fetch(), [
    [12, 12, 2],
    [14, 15, 2],
  ])
})

test('a member that needs more time renews what it has', async (t) => {
  const { world, member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  await a.fetch(1)
  await world.broker.clock.advance('20s')
  assert.equal(await a.acknowledge([[0, 0, TYPE.RENEW]]), NONE)
  await world.broker.clock.advance('20s')
  assert.equal(await a.acknowledge([[0, 0, TYPE.ACCEPT]]), NONE)
})

test('how long a record is locked is configured for the group', async (t) => {
  const { world, peer, member } = await open(await KafkaWorld.open(t))
  const configs = [{ name: 'share.record.lock.duration.ms', configOperation: 0, value: '15000' }]
  const resources = [{ resourceType: 32, resourceName: 'g', configs }]
  await peer.call('IncrementalAlterConfigs', 1, { resources })
  const a = await member('a')
  assert.equal((await a.fetchWhole(1)).acquisitionLockTimeoutMs, 15_000)
  await world.broker.clock.advance('15s')
  assert.deepEqual(await a.fetch(1), [[0, 0, 2]])
})

test('a session that ends, or a client that goes, gives back at once', async (t) => {
  const { world, topicId, member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  await a.fetch(2)
  assert.equal(await a.acknowledge([[0, 0, TYPE.ACCEPT]], { shareSessionEpoch: -1 }), NONE)
  const socket = await world.connect()
  const b = new Member(socket, topicId, 'b')
  assert.deepEqual(await b.fetch(1), [[1, 1, 1]])
  socket.close()
  const c = await member('c')
  await world.broker.waitFor(async () => (await c.fetch(1))[0]![0] === 1, { what: 'record 1' })
})

test('what was settled stays settled over a power cut', async (t) => {
  const { world, topicId, member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  await a.fetch(4)
  assert.equal(await a.acknowledge([[0, 2, TYPE.ACCEPT]]), NONE)
  await world.broker.crash('power-cut')
  const b = new Member(await world.connect(), topicId, 'b')
  // Who had a record is forgotten, how often it was tried is not.
  assert.deepEqual(await b.fetch(2), [
    [3, 3, 2],
    [4, 4, 1],
  ])
})

test('requests must fit to their session', async (t) => {
  const { topicId, peer, member } = await open(await KafkaWorld.open(t))
  const stranger = new Member(peer, topicId, 'x')
  const refused = async (changes: object): Promise<number> => {
    return (await stranger.fetchWhole(1, changes)).errorCode
  }
  assert.equal(await refused({ shareSessionEpoch: 3 }), SHARE_SESSION_NOT_FOUND)
  const a = await member('a')
  await a.fetch(1)
  const late = (await a.fetchWhole(1, { shareSessionEpoch: 9 })).errorCode
  assert.equal(late, INVALID_SHARE_SESSION_EPOCH)
  assert.equal(await a.acknowledge([], { shareSessionEpoch: 0 }), INVALID_SHARE_SESSION_EPOCH)
})

test('offsets of a share group are described, set and deleted', async (t) => {
  const { peer, member } = await open(await KafkaWorld.open(t))
  const a = await member('a')
  await a.fetch(4)
  await a.acknowledge([[0, 1, TYPE.ACCEPT]])
  const describe = async () => {
    const groups = [{ groupId: 'g', topics: null }]
    const answer = await peer.call('DescribeShareGroupOffsets', 1, { groups })
    const { startOffset, lag } = answer.groups[0]!.topics[0]!.partitions[0]!
    return [startOffset, lag]
  }
  assert.deepEqual(await describe(), [2, 8])
  const alter = async (): Promise<number> => {
    const partitions = [{ partitionIndex: 0, startOffset: 5 }]
    const topics = [{ topicName: 't', partitions }]
    return (await peer.call('AlterShareGroupOffsets', 0, { groupId: 'g', topics })).errorCode
  }
  assert.equal(await alter(), NON_EMPTY_GROUP)
  await a.leave()
  assert.equal(await alter(), NONE)
  assert.deepEqual(await describe(), [5, 5])
  const list = await peer.call('ListGroups', 5, { typesFilter: ['share'] })
  assert.deepEqual(list.groups, [
    { groupId: 'g', protocolType: 'share', groupState: 'Empty', groupType: 'share' },
  ])
  const topics = [{ topicName: 't' }]
  const deleted = await peer.call('DeleteShareGroupOffsets', 0, { groupId: 'g', topics })
  assert.equal(deleted.responses[0]!.errorCode, NONE)
  const groups = [{ groupId: 'nobody', topics: null }]
  const unknown = await peer.call('DescribeShareGroupOffsets', 0, { groups })
  assert.equal(unknown.groups[0]!.errorCode, GROUP_ID_NOT_FOUND)
})

test('all members of a group together are given what the rate of the topic allows', async (t) => {
  const world = await KafkaWorld.open(t, { http: 0 })
  const { member } = await open(world)
  const put = async (path: string, body: object): Promise<void> => {
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const answer = await fetch(`http://127.0.0.1:${world.broker.port('http')}/v1/${path}`, {
      method: 'PUT',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    assert.ok(answer.ok, await answer.text())
  }
  await put('policies/%2F/p', { pattern: '^t$', definition: { 'consume-rate': 10 } })
  const a = await member('a')
  const b = await member('b')
  assert.deepEqual(await a.fetch(4), [[0, 3, 1]])
  assert.deepEqual(await b.fetch(4), [], 'whoever does not wait gets nothing')
  assert.equal(await a.acknowledge([[0, 3, TYPE.ACCEPT]]), NONE, 'what it has it may settle')
  let isAnswered = false
  const next = b.fetch(4, { maxWaitMs: 10_000 }).finally(() => (isAnswered = true))
  await world.broker.clock.advance(290)
  assert.equal(isAnswered, false)
  await world.broker.clock.advance(110)
  assert.deepEqual(await next, [[4, 7, 1]])

  await put('policies/%2F/p', { pattern: '^t$', definition: { 'consume-rate': 100_000 } })
  await put('users/guest/limits', { 'consume-rate': 10, 'rate-burst': 100 })
  const { throttleTimeMs } = await a.fetchWhole(2)
  assert.equal(throttleTimeMs, 200)
})
