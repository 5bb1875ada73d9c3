import assert from 'node:assert/strict'
import { test } from 'node:test'
import { turns } from '../../test/support/broker-rig.ts'
import { declareTopic, openTopicBroker } from '../../test/support/partition-rig.ts'
import { bodies, TEST_FORM_ID, testBatch } from '../../test/support/test-batches.ts'
import { subscriptionViews, transactionView } from './topic-views.ts'

test('the lag of a subscription is exact, topic by topic', async () => {
  const rig = await openTopicBroker()
  const { vhost } = rig
  const first = await declareTopic(rig, 'b', { partitionCount: 2 })
  const second = await declareTopic(rig, 'a')
  for (const partition of [...first.partitions, ...second.partitions]) {
    partition.produce(testBatch(bodies('1', '2', '3')))
  }
  const at = (topicId: number, partition: number, offset: number) => {
    return { topicId, partition, offset, metadata: `m${offset}` }
  }
  vhost.subscriptions.commit('g', [at(first.id, 1, 1), at(first.id, 0, 3), at(second.id, 0, 9)])
  vhost.subscriptions.setMembers('g', 2)
  vhost.subscriptions.setMembers('new', 1)
  const shared = vhost.shared.openPartition('s', { topicId: second.id, partition: 0 }, 0)
  shared.acquire('m', [{ baseOffset: 0, nextOffset: 3 }], { countMax: 3 })
  shared.settle('m', [{ baseOffset: 1, nextOffset: 2, settlement: 'accept' }])
  await turns()
  const views = subscriptionViews(vhost)
  assert.deepEqual(
    views.map(({ name, kind, topic, members, lag }) => [name, kind, topic, members, lag]),
    [
      ['g', 'offsets', 'a', 2, 0],
      ['g', 'offsets', 'b', 2, 2],
      ['new', 'offsets', null, 1, 0],
      ['s', 'shared', 'a', 0, 2],
    ],
  )
  assert.deepEqual(views[1]!.partitions, [
    { partition: 0, offset: 3, end: 3, lag: 0, metadata: 'm3' },
    { partition: 1, offset: 1, end: 3, lag: 2, metadata: 'm1' },
  ])
  assert.deepEqual(views[3]!.partitions, [{ partition: 0, offset: 0, end: 3, lag: 2 }])
})

test('a transaction is shown with where it writes', async () => {
  const rig = await openTopicBroker()
  const { vhost, clock } = rig
  const topic = await declareTopic(rig, 't')
  const producer = vhost.transactions.init('tx', { timeoutMs: 1000, form: TEST_FORM_ID })
  const expected = {
    vhost: '/',
    name: 'tx',
    producerId: producer.producerId,
    producerEpoch: 0,
    timeoutMs: 1000,
    subscriptions: [],
  }
  const view = () => transactionView(vhost, vhost.transactions.find('tx')!)
  assert.deepEqual(view(), { ...expected, state: 'empty', startedAtMs: null, partitions: [] })
  vhost.transactions.addPartitions('tx', producer, [{ topicId: topic.id, partition: 0 }])
  assert.deepEqual(view(), {
    ...expected,
    state: 'ongoing',
    startedAtMs: clock.now(),
    partitions: [{ topic: 't', partition: 0 }],
  })
  vhost.transactions.end('tx', producer, { isCommit: true })
})
