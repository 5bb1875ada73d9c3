import assert from 'node:assert/strict'
import { test } from 'node:test'
import { publish, turns } from '../../../test/support/broker-rig.ts'
import {
  declareTopic,
  openTopicBroker,
  read,
  readTexts,
  reopenTopicBroker,
  textOf,
  topicOf,
} from '../../../test/support/partition-rig.ts'
import { bodies, TEST_FORM_ID, testBatch } from '../../../test/support/test-batches.ts'

test('a batch is given back whole, at the offset it was told', async () => {
  const rig = await openTopicBroker()
  const topic = await declareTopic(rig, 't')
  const partition = topic.partitions[0]!
  assert.deepEqual(partition.produce(testBatch(bodies('a', 'b'))), {
    kind: 'appended',
    baseOffset: 0,
  })
  assert.deepEqual(partition.produce(testBatch(bodies('c'))), { kind: 'appended', baseOffset: 2 })
  publish(rig.vhost, '', 't', 'alone')
  assert.equal(partition.endOffset, 4)
  assert.equal(partition.highWatermark, 0, 'nothing is on disk yet')
  assert.deepEqual(await read(partition), [])
  assert.deepEqual(await readTexts(partition), ['0: a b', '2: c', '3: message'])
  assert.equal(partition.highWatermark, 4)
  assert.deepEqual(await readTexts(partition, 1), ['0: a b', '2: c', '3: message'])
  assert.deepEqual(await readTexts(partition, 2), ['2: c', '3: message'])
  assert.deepEqual(await readTexts(partition, 4), [])
  await assert.rejects(read(partition, 5), { kind: 'not-found' })
  const again = topicOf(await reopenTopicBroker(rig), 't').partitions[0]!
  assert.deepEqual(await readTexts(again), ['0: a b', '2: c', '3: message'])
})

test('a read gives one piece at least and no more than it may', async () => {
  const rig = await openTopicBroker()
  const partition = (await declareTopic(rig, 't')).partitions[0]!
  for (const text of ['a', 'b', 'c']) partition.produce(testBatch(bodies(text)))
  await turns()
  const [first] = await read(partition)
  assert.deepEqual((await read(partition, 0, { bytesMax: 1 })).map(textOf), ['0: a'])
  const two = 2 * (first!.bytes + 44)
  assert.deepEqual((await read(partition, 0, { bytesMax: two })).map(textOf), ['0: a', '1: b'])
  assert.deepEqual((await read(partition, 0, { below: 1 })).map(textOf), ['0: a'])
})

test('what a producer sends again is stored once, after a restart too', async () => {
  const rig = await openTopicBroker()
  const partition = (await declareTopic(rig, 't')).partitions[0]!
  const says = { producerId: 7, producerEpoch: 0 }
  const send = (to: typeof partition, baseSequence: number, epoch = 0): unknown => {
    return to.produce(testBatch(bodies('x'), { ...says, baseSequence, producerEpoch: epoch }))
  }
  for (let sequence = 0; sequence < 6; sequence++) {
    assert.deepEqual(send(partition, sequence), { kind: 'appended', baseOffset: sequence })
  }
  assert.deepEqual(send(partition, 5), { kind: 'duplicate', baseOffset: 5 })
  assert.deepEqual(send(partition, 1), { kind: 'duplicate', baseOffset: 1 })
  assert.deepEqual(send(partition, 0), { kind: 'out-of-order' }, 'only five are remembered')
  assert.deepEqual(send(partition, 7), { kind: 'out-of-order' })
  await turns()
  const again = topicOf(await reopenTopicBroker(rig), 't').partitions[0]!
  assert.deepEqual(send(again, 5), { kind: 'duplicate', baseOffset: 5 })
  assert.deepEqual(send(again, 1, 1), { kind: 'out-of-order' }, 'a new epoch begins at 0')
  assert.deepEqual(send(again, 0, 1), { kind: 'appended', baseOffset: 6 })
  assert.deepEqual(send(again, 6), { kind: 'fenced' })
})

test('a transaction is stable when its end is on disk', async () => {
  const rig = await openTopicBroker()
  const partition = (await declareTopic(rig, 't')).partitions[0]!
  const says = { producerId: 7, producerEpoch: 0, isTransactional: true }
  partition.produce(testBatch(bodies('before')))
  partition.produce(testBatch(bodies('a'), { ...says, baseSequence: 0 }))
  await turns()
  assert.deepEqual([partition.stableOffset, partition.highWatermark], [1, 2])
  const plain = testBatch(bodies('plain'), { ...says, isTransactional: false, baseSequence: 1 })
  assert.deepEqual(partition.produce(plain), { kind: 'in-transaction' })
  const end = { producerId: 7, producerEpoch: 0, isCommit: false }
  assert.equal(partition.endTransaction(end, TEST_FORM_ID), 2)
  assert.equal(partition.stableOffset, 1)
  await turns()
  assert.equal(partition.stableOffset, 3)
  assert.deepEqual(partition.abortedWithin(0, 3), [{ producerId: 7, firstOffset: 1 }])
  assert.deepEqual(partition.abortedWithin(0, 1), [])
  assert.ok(partition.isAborted(7, 1))
  assert.deepEqual(await readTexts(partition), ['0: before', '1: a', '2: abort'])
  const fenced = { ...end, producerEpoch: 1 }
  assert.equal(partition.endTransaction(fenced, TEST_FORM_ID), 3)
  assert.equal(partition.endTransaction(end, TEST_FORM_ID), -1)
})
