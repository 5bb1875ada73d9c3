/** Kafka's transactions: who may do what, in the codes that each version knows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KafkaPeer } from '../../support/kafka-peer.ts'
import { createTopic, KafkaWorld } from '../../support/kafka-world.ts'

const NONE = 0
const UNKNOWN_TOPIC_OR_PARTITION = 3
const INVALID_PRODUCER_EPOCH = 47
const INVALID_TXN_STATE = 48
const INVALID_PRODUCER_ID_MAPPING = 49
const INVALID_TRANSACTION_TIMEOUT = 50
const OPERATION_NOT_ATTEMPTED = 55
const UNSTABLE_OFFSET_COMMIT = 88
const PRODUCER_FENCED = 90
const TRANSACTIONAL_ID_NOT_FOUND = 105

interface Producer {
  readonly producerId: number
  readonly producerEpoch: number
}

async function init(
  peer: KafkaPeer,
  version = 4,
  changes: object = {},
): Promise<Producer & { errorCode: number }> {
  return peer.call('InitProducerId', version, {
    transactionalId: 'tx',
    transactionTimeoutMs: 60_000,
    producerId: -1,
    producerEpoch: -1,
    ...changes,
  })
}

/** The codes of the partitions, in order. */
async function addPartitions(
  peer: KafkaPeer,
  version: number,
  { producerId, producerEpoch }: Producer,
  partitions: readonly number[] = [0],
): Promise<number[]> {
  const answer = await peer.call('AddPartitionsToTxn', version, {
    v3AndBelowTransactionalId: 'tx',
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: 't', partitions }],
  })
  return answer.resultsByTopicV3AndBelow[0]!.resultsByPartition.map(
    ({ partitionErrorCode }) => partitionErrorCode,
  )
}

async function addOffsets(peer: KafkaPeer, version: number, producer: Producer): Promise<number> {
  const { producerId, producerEpoch } = producer
  const body = { transactionalId: 'tx', producerId, producerEpoch, groupId: 'g' }
  return (await peer.call('AddOffsetsToTxn', version, body)).errorCode
}

async function commitOffset(peer: KafkaPeer, producer: Producer, offset: number): Promise<number> {
  const { producerId, producerEpoch } = producer
  const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: null }]
  const answer = await peer.call('TxnOffsetCommit', 3, {
    transactionalId: 'tx',
    groupId: 'g',
    producerId,
    producerEpoch,
    generationId: -1,
    memberId: '',
    groupInstanceId: null,
    topics: [{ name: 't', partitions }],
  })
  return answer.topics[0]!.partitions[0]!.errorCode
}

async function end(
  peer: KafkaPeer,
  version: number,
  { producerId, producerEpoch }: Producer,
  committed = true,
): Promise<number> {
  const body = { transactionalId: 'tx', producerId, producerEpoch, committed }
  return (await peer.call('EndTxn', version, body)).errorCode
}

async function offsetOf(peer: KafkaPeer, requireStable = true): Promise<number[]> {
  const topics = [{ name: 't', partitionIndexes: [0] }]
  const answer = await peer.call('OffsetFetch', 7, { groupId: 'g', topics, requireStable })
  const { committedOffset, errorCode } = answer.topics[0]!.partitions[0]!
  return [committedOffset, errorCode]
}

test('producers without transactions have ids of their own', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  const ids = new Set<number>()
  for (let version = 0; version <= 5; version++) {
    const { errorCode, producerId, producerEpoch } = await init(peer, version, {
      transactionalId: null,
    })
    assert.deepEqual([errorCode, producerEpoch], [NONE, 0])
    ids.add(producerId)
  }
  await world.broker.crash('power-cut')
  const other = await world.connect()
  ids.add((await init(other, 4, { transactionalId: null })).producerId)
  assert.equal(ids.size, 7)
})

test('a producer is fenced by the next of its name, in words its version knows', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const first = await init(peer)
  assert.deepEqual(await addPartitions(peer, 3, first), [NONE])
  const second = await init(peer)
  assert.equal(second.producerId, first.producerId)
  assert.ok(second.producerEpoch > first.producerEpoch)
  assert.deepEqual(await addPartitions(peer, 1, first), [INVALID_PRODUCER_EPOCH])
  assert.deepEqual(await addPartitions(peer, 2, first), [PRODUCER_FENCED])
  assert.equal(await addOffsets(peer, 1, first), INVALID_PRODUCER_EPOCH)
  assert.equal(await addOffsets(peer, 2, first), PRODUCER_FENCED)
  assert.equal(await end(peer, 1, first), INVALID_PRODUCER_EPOCH)
  assert.equal(await end(peer, 2, first), PRODUCER_FENCED)
  assert.equal(await commitOffset(peer, first, 1), INVALID_PRODUCER_EPOCH)
  const { producerId, producerEpoch } = first
  assert.equal(
    (await init(peer, 3, { producerId, producerEpoch })).errorCode,
    INVALID_PRODUCER_EPOCH,
  )
  assert.equal((await init(peer, 4, { producerId, producerEpoch })).errorCode, PRODUCER_FENCED)
  const stranger = { producerId: first.producerId + 999, producerEpoch: 0 }
  assert.deepEqual(await addPartitions(peer, 3, stranger), [INVALID_PRODUCER_ID_MAPPING])
})

test('one partition that cannot be added keeps the others out', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const producer = await init(peer)
  assert.deepEqual(await addPartitions(peer, 3, producer, [0, 7]), [
    OPERATION_NOT_ATTEMPTED,
    UNKNOWN_TOPIC_OR_PARTITION,
  ])
  assert.equal(await end(peer, 3, producer), INVALID_TXN_STATE)
})

test('offsets count when the transaction is committed, and not before', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const producer = await init(peer)
  assert.equal(await commitOffset(peer, producer, 3), INVALID_TXN_STATE)
  assert.equal(await addOffsets(peer, 3, producer), NONE)
  assert.equal(await commitOffset(peer, producer, 3), NONE)
  assert.deepEqual(await offsetOf(peer), [-1, UNSTABLE_OFFSET_COMMIT])
  assert.deepEqual(await offsetOf(peer, false), [-1, NONE])
  await world.broker.crash('power-cut')
  const other = await world.connect()
  assert.deepEqual(await offsetOf(other), [-1, UNSTABLE_OFFSET_COMMIT])
  assert.equal(await end(other, 3, producer), NONE)
  assert.deepEqual(await offsetOf(other), [3, NONE])
  assert.equal(await end(other, 3, producer), NONE)
  assert.equal(await end(other, 3, producer, false), INVALID_TXN_STATE)

  assert.equal(await addOffsets(other, 3, producer), NONE)
  assert.equal(await commitOffset(other, producer, 9), NONE)
  assert.equal(await end(other, 3, producer, false), NONE)
  assert.deepEqual(await offsetOf(other), [3, NONE])
})

test('a transaction that takes too long is aborted, and its producer fenced', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const tooLong = await init(peer, 4, { transactionTimeoutMs: 900_001 })
  assert.equal(tooLong.errorCode, INVALID_TRANSACTION_TIMEOUT)
  const producer = await init(peer)
  assert.deepEqual(await addPartitions(peer, 3, producer), [NONE])
  await world.broker.clock.advance('61s')
  assert.equal(await end(peer, 3, producer), PRODUCER_FENCED)
})

test('transactions are listed and described', async (t) => {
  const world = await KafkaWorld.open(t)
  const peer = await world.connect()
  await createTopic(peer, 't')
  const { producerId, producerEpoch } = await init(peer)
  await addPartitions(peer, 3, { producerId, producerEpoch })
  await world.broker.clock.advance('10s')
  const list = async (filters: object): Promise<string[]> => {
    const answer = await peer.call('ListTransactions', 2, { durationFilter: -1, ...filters })
    return answer.transactionStates.map(({ transactionalId }) => transactionalId)
  }
  assert.deepEqual(await list({}), ['tx'])
  assert.deepEqual(await list({ stateFilters: ['Ongoing'], producerIdFilters: [producerId] }), [
    'tx',
  ])
  assert.deepEqual(await list({ stateFilters: ['Empty'] }), [])
  assert.deepEqual(await list({ durationFilter: 9_000 }), ['tx'])
  assert.deepEqual(await list({ durationFilter: 11_000 }), [])
  assert.deepEqual(await list({ transactionalIdPattern: 't.' }), ['tx'])
  assert.deepEqual(await list({ transactionalIdPattern: 'x' }), [])
  const unknown = await peer.call('ListTransactions', 0, { stateFilters: ['Weird'] })
  assert.deepEqual(unknown.unknownStateFilters, ['Weird'])

  const { transactionStates } = await peer.call('DescribeTransactions', 0, {
    transactionalIds: ['tx', 'none'],
  })
  const [known, absent] = transactionStates
  assert.equal(known!.transactionState, 'Ongoing')
  assert.equal(known!.transactionTimeoutMs, 60_000)
  assert.deepEqual(known!.topics, [{ topic: 't', partitions: [0] }])
  assert.equal(absent!.errorCode, TRANSACTIONAL_ID_NOT_FOUND)

  const topics = [{ name: 't', partitionIndexes: [0, 3] }]
  const producers = await peer.call('DescribeProducers', 0, { topics })
  const [here, nowhere] = producers.topics[0]!.partitions
  assert.deepEqual([here!.errorCode, here!.activeProducers.length], [NONE, 0])
  assert.equal(nowhere!.errorCode, UNKNOWN_TOPIC_OR_PARTITION)
})
