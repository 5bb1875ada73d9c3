import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  type BrokerRig,
  consume,
  exchangeSpec,
  openBroker,
  publish,
  queueSpec,
  Taker,
  turns,
} from '../../../test/support/broker-rig.ts'
import {
  declareTopic,
  openTopicBroker,
  readTexts,
  reopenTopicBroker,
  topicOf,
} from '../../../test/support/partition-rig.ts'
import { bodies, TEST_FORM, TEST_FORM_ID, testBatch } from '../../../test/support/test-batches.ts'
import { openEmbeddedEngine } from '../../engine/embedded/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SeededRandom } from '../../lib/random.ts'
import { FaultyDisk } from '../../storage/disk-faulty.ts'
import type { Topic } from './topic.ts'

const SAYS = { producerId: 7, producerEpoch: 0, isTransactional: true }

/** A topic with its exchange, and a queue that gets what is produced to it under `key`. */
async function openRouted(rig: BrokerRig, key: string): Promise<Topic> {
  const topic = await declareTopic(rig, 't', { partitionCount: 2 })
  await rig.vhost.declareExchange(exchangeSpec('t', { type: 'topic' }))
  await rig.vhost.bind(bindingSpec('t', 't', { key: '#' }))
  await rig.vhost.declareQueue(queueSpec('q'))
  await rig.vhost.bind(bindingSpec('t', 'q', { key }))
  return topic
}

test('a reader of another protocol gets the messages of all partitions', async () => {
  const rig = await openTopicBroker()
  const topic = await declareTopic(rig, 't', { partitionCount: 3 })
  const [first, second] = topic.partitions
  first!.produce(testBatch(bodies('a', 'b', 'c')))
  second!.produce(testBatch(bodies('d')))
  publish(rig.vhost, '', 't', 'e')
  await turns()
  const all = new Taker()
  consume(rig.vhost, 't', all, { startAt: { kind: 'first' } })
  await turns()
  assert.deepEqual(all.bodies.toSorted(), ['a', 'b', 'c', 'd', 'e'])
  const some = new Taker()
  consume(rig.vhost, 't', some, { startAt: { kind: 'offset', offset: 1 } })
  await turns()
  assert.deepEqual(some.got.map(({ body, offset }) => `${offset}${body}`).slice(0, 2), ['1b', '2c'])
  const next = new Taker(1)
  const consumer = consume(rig.vhost, 't', next)
  first!.produce(testBatch(bodies('f', 'g')))
  await turns()
  assert.deepEqual(next.bodies, ['f'], 'one at a time, from within a batch')
  next.credit = 1
  consumer.resume()
  await turns()
  assert.deepEqual(next.bodies, ['f', 'g'])
})

test('a reader sees of a transaction what was committed, and only then', async () => {
  const rig = await openTopicBroker()
  const partition = (await declareTopic(rig, 't')).partitions[0]!
  const taker = new Taker()
  consume(rig.vhost, 't', taker)
  partition.produce(testBatch(bodies('a'), { ...SAYS, baseSequence: 0 }))
  partition.produce(testBatch(bodies('plain')))
  await turns()
  assert.deepEqual(taker.bodies, [])
  partition.endTransaction({ ...SAYS, isCommit: true }, TEST_FORM_ID)
  partition.produce(testBatch(bodies('b'), { ...SAYS, baseSequence: 1 }))
  await turns()
  assert.deepEqual(taker.bodies, ['a', 'plain'])
  partition.endTransaction({ ...SAYS, isCommit: false }, TEST_FORM_ID)
  partition.produce(testBatch(bodies('after')))
  await turns()
  assert.deepEqual(taker.bodies, ['a', 'plain', 'after'])
})

test('a batch that cannot be opened is named and passed over', async () => {
  const rig = await openTopicBroker()
  const partition = (await declareTopic(rig, 't')).partitions[0]!
  const broken = testBatch(bodies('x'))
  broken.bytes.fill(0x21)
  partition.produce(broken)
  partition.produce(testBatch(bodies('y')))
  const taker = new Taker()
  consume(rig.vhost, 't', taker, { startAt: { kind: 'first' } })
  await turns()
  assert.deepEqual(taker.bodies, ['y'])
  assert.match(rig.complaints.join(), /the batch at offset 0 of topic 't'/)
})

test('equal keys meet in a partition, and messages without a key go to all', async () => {
  const rig = await openTopicBroker()
  const topic = await openRouted(rig, 'none')
  for (let round = 0; round < 8; round++) publish(rig.vhost, 't', 'foobar', 'x')
  // As Kafka puts it: its hash is -790332482.
  const at = (-790332482 & 0x7fff_ffff) % 2
  assert.equal(topic.partitions[at]!.endOffset, 8)
  for (let round = 0; round < 8; round++) publish(rig.vhost, '', 't', 'x')
  assert.equal(topic.partitions[at]!.endOffset, 12)
  assert.equal(topic.partitions[1 - at]!.endOffset, 4)
})

test('what is produced is routed by the exchange of its name, once', async () => {
  const rig = await openTopicBroker()
  const topic = await declareTopic(rig, 't', { partitionCount: 2 })
  topic.partitions[0]!.produce(testBatch(bodies('before anybody was bound')))
  await turns()
  const queue = (await openRouted(rig, 'eu.*'), rig.vhost.destination('q')!)
  const messages = [
    { key: 'eu.a', body: 'a' },
    { key: 'us.b', body: 'b' },
    { key: null, body: 'c' },
    { key: 'eu.d', body: 'd' },
  ]
  topic.partitions[0]!.produce(testBatch(messages))
  topic.partitions[1]!.produce(testBatch([{ key: 'eu.e', body: 'e' }]))
  publish(rig.vhost, 't', 'eu.f', 'f')
  await turns()
  assert.equal(queue.readyCount, 4)
  const taker = new Taker()
  consume(rig.vhost, 'q', taker)
  await turns()
  assert.deepEqual(taker.bodies.toSorted(), ['a', 'd', 'e', 'f'])
  const again = await reopenTopicBroker(rig)
  await turns()
  assert.equal(again.vhost.destination('q')!.readyCount, 4, 'a restart routes nothing again')
})

test('what belongs to a transaction is routed when that is committed', async () => {
  const rig = await openTopicBroker()
  const topic = await openRouted(rig, '#')
  const queue = rig.vhost.destination('q')!
  const [partition] = topic.partitions
  partition!.produce(testBatch(bodies('a'), { ...SAYS, baseSequence: 0 }))
  await turns()
  assert.equal(queue.readyCount, 0)
  partition!.endTransaction({ ...SAYS, isCommit: true }, TEST_FORM_ID)
  await turns()
  assert.equal(queue.readyCount, 1)
  partition!.produce(testBatch(bodies('b'), { ...SAYS, baseSequence: 1 }))
  partition!.endTransaction({ ...SAYS, isCommit: false }, TEST_FORM_ID)
  await turns()
  assert.equal(queue.readyCount, 1)
  await rig.vhost.unbind(bindingSpec('t', 'q', { key: '#' }))
  partition!.produce(testBatch(bodies('c')))
  await turns()
  await rig.vhost.bind(bindingSpec('t', 'q', { key: '#' }))
  partition!.produce(testBatch(bodies('d')))
  await turns()
  assert.equal(queue.readyCount, 2, 'only what came while it was bound')
})

// A crash may come at any time: what was acknowledged is routed once.
test('routing goes on after a crash where it stood', async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new SeededRandom(seed)
    const clock = new ManualClock()
    let disk = new FaultyDisk()
    let rig = await openTopicBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
    await openRouted(rig, '#')
    const acked: string[] = []
    let number = 0
    for (let life = 0; life < 4; life++) {
      const { broker } = rig
      const { partitions } = topicOf(rig, 't')
      for (let round = 0; round < 5; round++) {
        const texts = Array.from({ length: 1 + random.integer(4) }, () => String(number++))
        partitions[random.integer(2)]!.produce(testBatch(bodies(...texts)))
        broker.onCommit({
          committed: (_ticket, error) => {
            if (error === null) acked.push(...texts)
          },
        })
        await turns(random.integer(6))
      }
      disk.changesLeft = random.integer(40)
      await turns(random.integer(30))
      const crashed = disk
      disk = random.integer(2) === 0 ? crashed.killed() : crashed.powerCut(random)
      crashed.changesLeft = 0
      const expected = [...acked]
      rig = await openBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
      rig.broker.registerForm(TEST_FORM)
      await turns(10)
      await turns(60)
      const { readyCount } = rig.vhost.destination('q')!
      const stored = topicOf(rig, 't').partitions.reduce((sum, each) => sum + each.endOffset, 0)
      assert.equal(readyCount, stored, `seed ${seed}: each is routed once`)
      assert.ok(stored >= expected.length, `seed ${seed}: what was acknowledged is there`)
    }
  }
})

test('a topic grows, and so do its readers; it is so after a restart', async () => {
  const rig = await openTopicBroker()
  const topic = await openRouted(rig, '#')
  const taker = new Taker()
  consume(rig.vhost, 't', taker)
  await assert.rejects(rig.vhost.growTopic(topic, 2), { code: 'PRECONDITION_FAILED' })
  await assert.rejects(rig.vhost.growTopic(topic, 1e6), { code: 'LIMIT_EXCEEDED' })
  const [, third] = await Promise.allSettled([
    rig.vhost.growTopic(topic, 3),
    rig.vhost.growTopic(topic, 3),
  ])
  assert.equal(third.status, 'rejected')
  assert.equal(topic.partitions.length, 3)
  topic.partitions[2]!.produce(testBatch(bodies('new')))
  await turns()
  assert.deepEqual(taker.bodies, ['new'])
  assert.equal(rig.vhost.destination('q')!.readyCount, 1)
  const again = topicOf(await reopenTopicBroker(rig), 't')
  assert.equal(again.partitions.length, 3)
  assert.deepEqual(await readTexts(again.partitions[2]!), ['0: new'])
})

test('a deleted topic leaves nothing behind', async () => {
  const rig = await openTopicBroker()
  const topic = await openRouted(rig, '#')
  topic.partitions[1]!.produce(testBatch(bodies('a')))
  await turns()
  topic.partitions[1]!.deleteBefore(1)
  for (const partition of topic.partitions) partition.snapshot()
  await turns()
  await rig.vhost.deleteDestination('t', { ifUnused: false, ifEmpty: false })
  await turns()
  const logs = await rig.engine.listLogs()
  assert.deepEqual(
    logs.filter((name) => name.startsWith('stream.')),
    [],
  )
  assert.equal([...rig.broker.state.entries('')].length, 0)
})

test('messages older than the age that is kept go, as their publisher dates them', async () => {
  const rig = await openTopicBroker()
  const topic = await declareTopic(rig, 't')
  const [partition] = topic.partitions
  const now = (): number => rig.clock.now()
  await rig.vhost.adopt(topic, { arguments: new Map(), settings: { ageMsMax: 60_000 } })
  partition!.produce(testBatch([{ body: 'old', timestampMs: now() - 70_000 }]))
  await turns()
  rig.clock.advance(8000)
  await turns()
  partition!.produce(testBatch([{ body: 'new', timestampMs: now() }]))
  await turns()
  rig.clock.advance(5000)
  await turns()
  assert.deepEqual(await readTexts(partition!), ['1: new'])
  rig.clock.advance(70_000)
  await turns()
  assert.equal(partition!.startOffset, 2)
  assert.equal(partition!.endOffset, 2)
  const again = topicOf(await reopenTopicBroker(rig), 't').partitions[0]!
  assert.deepEqual([again.startOffset, again.endOffset], [2, 2])
})
