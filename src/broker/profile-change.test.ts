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
  reopenBroker,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'
import { declareTopic, openTopicBroker } from '../../test/support/partition-rig.ts'
import { bodies, TEST_FORM, testBatch } from '../../test/support/test-batches.ts'
import { openEmbeddedEngine } from '../engine/embedded/index.ts'
import { ManualClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { FaultyDisk } from '../storage/disk-faulty.ts'
import type { Queue } from './queue.ts'
import type { Topic } from './topics/topic.ts'
import { whyQueue } from './tracing/why.ts'

type Profile = 'queue' | 'topic'

async function becomeTopic(rig: BrokerRig, name = 'q'): Promise<Topic> {
  return (await rig.broker.alter(rig.vhost, name, { profile: 'topic' })) as Topic
}

/** What a consumer that comes new is given, in order. */
async function contents({ vhost }: BrokerRig, name = 'q'): Promise<string[]> {
  const taker = new Taker()
  const consumer = consume(vhost, name, taker, { startAt: { kind: 'first' } })
  await turns()
  consumer.cancel()
  return taker.bodies
}

test('all that a queue holds becomes the head of the log, in order, and outlives a restart', async () => {
  let rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q', { retryDelayMs: 60_000 }, { prioritiesMax: 5 }))
  await rig.vhost.declareExchange(exchangeSpec('e'))
  await rig.vhost.bind(bindingSpec('e', 'q', { key: 'k' }))
  for (let n = 0; n < 8; n++) publish(rig.vhost, '', 'q', `${n}`, { priority: n % 6 })
  await turns()
  const taker = new Taker(4)
  consume(rig.vhost, 'q', taker)
  await turns()
  const [accepted, failed] = taker.got
  const queue = rig.vhost.destination('q')!
  queue.accept(accepted!.offset)
  queue.fail(failed!.offset)
  await turns()
  assert.equal(queue.heldCount, 1)
  const topic = await becomeTopic(rig)
  assert.equal(rig.vhost.destination('q'), topic)
  assert.equal(taker.cancelledCount, 1)
  // What is settled late is nobody's any more.
  queue.accept(taker.got[2]!.offset)
  assert.equal(publish(rig.vhost, 'e', 'k', 'bound'), 1)
  const expected = ['0', '1', '2', '3', '4', '5', '6', '7', 'bound']
  expected.splice(Number(accepted!.body), 1)
  assert.deepEqual(await contents(rig), expected)
  rig = await reopenBroker(rig)
  assert.equal(rig.vhost.destination('q')!.profile, 'topic')
  assert.equal(publish(rig.vhost, 'e', 'k', 'after'), 1)
  assert.deepEqual(await contents(rig), [...expected, 'after'])
  assert.deepEqual(rig.broker.checkSpace(), [])
  assert.deepEqual(rig.complaints, [])
  await rig.broker.close()
})

test('nothing is given out, purged or limited while the log is filled', async () => {
  const rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q', { messagesMax: 20_000, overflow: 'reject' }))
  for (let n = 0; n < 20_000; n++) publish(rig.vhost, '', 'q', `${n}`)
  await turns()
  const before = new Taker()
  consume(rig.vhost, 'q', before).pause()
  const becoming = becomeTopic(rig)
  while (before.cancelledCount === 0) await turns(1)
  const early = new Taker()
  consume(rig.vhost, 'q', early)
  assert.throws(() => rig.vhost.destination('q')!.purge(), { code: 'PRECONDITION_FAILED' })
  assert.equal(whyQueue(rig.vhost.destination('q') as Queue).reasons[0]!.code, 'changing')
  let published = 20_000
  while (rig.vhost.destination('q')!.profile === 'queue') {
    assert.equal(publish(rig.vhost, '', 'q', `${published++}`), 1)
    await turns(1)
  }
  await becoming
  assert.deepEqual(early.bodies, [])
  assert.equal(early.cancelledCount, 1)
  const found: string[] = []
  const taker = new Taker()
  consume(rig.vhost, 'q', taker, { startAt: { kind: 'first' } })
  while (taker.got.length < published) await turns(1)
  await turns()
  found.push(...taker.bodies)
  assert.deepEqual(
    found,
    Array.from({ length: published }, (_, n) => `${n}`),
  )
})

test('what cannot be a topic stays a queue, with the reason', async () => {
  const rig = await openBroker()
  const { vhost } = rig
  await vhost.declareQueue(queueSpec('passing', {}, { durable: false }))
  await assert.rejects(becomeTopic(rig, 'passing'), /only what is durable/)
  await assert.rejects(becomeTopic(rig, 'none'), { code: 'NOT_FOUND' })
  await vhost.declareQueue(queueSpec('q'))
  const partitions = { partitionCount: 3 }
  await assert.rejects(rig.broker.alter(vhost, 'q', partitions), /has no partitions/)
  await rig.broker.alter(vhost, 'q', { profile: 'topic', partitionCount: 3 })
  await assert.rejects(rig.broker.alter(vhost, 'q', { partitionCount: 2 }), /cannot be given 2/)
  await assert.rejects(rig.broker.alter(vhost, 'q', { partitionCount: 1e9 }), /the limit is/)
  assert.equal((await becomeTopic(rig)).partitions.length, 3)
})

test('a queue that is deleted while it becomes a topic is gone, and so is the topic', async () => {
  const rig = await openBroker()
  const { vhost, engine } = rig
  await vhost.declareQueue(queueSpec('q'))
  for (let n = 0; n < 10; n++) publish(vhost, '', 'q', `${n}`)
  const becoming = becomeTopic(rig)
  becoming.catch(() => undefined)
  await turns(2)
  await vhost.deleteDestination('q', { ifUnused: false, ifEmpty: false })
  await assert.rejects(becoming, { code: 'NOT_FOUND' })
  assert.equal(vhost.destination('q'), undefined)
  const left = (await engine.listLogs()).filter((name) => name.startsWith('stream.'))
  assert.deepEqual(left, [])
  const next = await reopenBroker(rig)
  assert.equal(next.vhost.destination('q'), undefined)
})

test('what a topic keeps becomes a queue, in order, batches and all', async () => {
  let rig = await openTopicBroker()
  const topic = await declareTopic(rig, 'q')
  await rig.vhost.declareExchange(exchangeSpec('e'))
  await rig.vhost.bind(bindingSpec('e', 'q', { key: 'k' }))
  publish(rig.vhost, 'e', 'k', '0')
  topic.partitions[0]!.produce(testBatch(bodies('1', '2')))
  publish(rig.vhost, 'e', 'k', '3')
  await turns()
  const reader = new Taker()
  consume(rig.vhost, 'q', reader)
  const queue = await rig.broker.alter(rig.vhost, 'q', { profile: 'queue' })
  assert.equal(rig.vhost.destination('q'), queue)
  assert.equal(queue.profile, 'queue')
  assert.equal(reader.cancelledCount, 1)
  assert.equal(publish(rig.vhost, 'e', 'k', '4'), 1)
  assert.equal(queue.readyCount, 5)
  assert.deepEqual(await contents(rig), ['0', '1', '2', '3', '4'])
  await turns()
  rig = await reopenBroker(rig)
  rig.broker.registerForm(TEST_FORM)
  // Whoever took them without settling them has gone.
  const taker = new Taker()
  consume(rig.vhost, 'q', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['0', '1', '2', '3', '4'])
  for (const { offset } of taker.got) rig.vhost.destination('q')!.accept(offset)
  await turns()
  rig = await reopenBroker(rig)
  assert.equal(rig.vhost.destination('q')!.readyCount, 0)
  const left = (await rig.engine.listLogs()).filter((name) => name.startsWith('stream.'))
  assert.deepEqual(left, [])
  assert.deepEqual(rig.broker.checkSpace(), [])
})

test('a topic without one order stays what it is, with the reason', async () => {
  const rig = await openTopicBroker()
  await declareTopic(rig, 'many', { partitionCount: 2 })
  const becoming = async (name: string): Promise<unknown> =>
    rig.broker.alter(rig.vhost, name, { profile: 'queue' })
  await assert.rejects(becoming('many'), /cannot become a queue: it has 2 partitions/)
  const topic = await declareTopic(rig, 'open')
  const says = { producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true }
  topic.partitions[0]!.produce(testBatch(bodies('1'), says))
  await assert.rejects(becoming('open'), /a transaction is open/)
  const grown = await declareTopic(rig, 'grown')
  const growing = rig.vhost.growTopic(grown, 3)
  await assert.rejects(becoming('grown'), /it has 3 partitions/)
  await growing
})

test('a change that fails half way leaves what was there, in use', async () => {
  const first = await openTopicBroker()
  const topic = await declareTopic(first, 'q')
  publish(first.vhost, '', 'q', '0')
  topic.partitions[0]!.produce(testBatch(bodies('1')))
  await turns()
  // Nobody here can open the batch.
  const rig = await reopenBroker(first)
  const becoming = async (): Promise<unknown> =>
    rig.broker.alter(rig.vhost, 'q', { profile: 'queue' })
  await assert.rejects(becoming(), /stays a topic: what it has before offset 1 or there cannot/)
  assert.equal(rig.vhost.destination('q')!.profile, 'topic')
  assert.equal(publish(rig.vhost, '', 'q', '2'), 1)
  rig.broker.registerForm(TEST_FORM)
  assert.deepEqual(await contents(rig), ['0', '1', '2'])
  assert.deepEqual(rig.broker.checkSpace(), [])
  await becoming()
  assert.deepEqual(await contents(rig), ['0', '1', '2'])
})

for (const from of ['queue', 'topic'] as const) {
  test(`a change of profile from ${from} that ends anywhere leaves either with all`, async () =>
    endAnywhere(from))
}

async function endAnywhere(from: Profile): Promise<void> {
  const to = from === 'queue' ? 'topic' : 'queue'
  // The world may kill the process or cut the power after any turn and in the middle of what the
  // disk does; publishers come meanwhile.
  const ended = { queue: 0, topic: 0 }
  for (let seed = 1; seed <= 80; seed++) {
    const random = new SeededRandom(seed)
    const clock = new ManualClock()
    const disk = new FaultyDisk()
    const rig = await openBroker({ engine: await openEmbeddedEngine({ disk, clock }), clock })
    await rig.vhost.declareQueue(queueSpec('q', {}, { profile: from }))
    let sent = 0
    let confirmed = 0
    const send = (): void => {
      publish(rig.vhost, '', 'q', `${sent++}`)
      const count = sent
      const committed = (_ticket: number, error: unknown): void => {
        if (error === null) confirmed = Math.max(confirmed, count)
      }
      rig.broker.onCommit({ committed })
    }
    for (let n = random.integer(40); n > 0; n--) send()
    await turns(random.integer(10))
    let isAnswered = false
    rig.broker.alter(rig.vhost, 'q', { profile: to }).then(
      () => {
        isAnswered = true
      },
      () => undefined,
    )
    for (let step = random.integer(100); step > 0; step--) {
      if (random.integer(2) === 0) send()
      await turns(1)
    }
    const found = random.integer(2) === 0 ? disk.killed() : disk.powerCut(random)
    disk.changesLeft = 0
    const promised = confirmed
    const wasAnswered = isAnswered
    const engine = await openEmbeddedEngine({ disk: found, clock })
    const next = await openBroker({ engine, clock })
    const destination = next.vhost.destination('q')
    assert.ok(destination !== undefined, `seed ${seed}: it is there`)
    if (wasAnswered) assert.equal(destination.profile, to, `seed ${seed}`)
    ended[destination.profile]++
    const bodies = await contents(next)
    assert.ok(bodies.length >= promised, `seed ${seed}: ${bodies.length} of ${promised} confirmed`)
    assert.deepEqual(
      bodies,
      bodies.map((_, n) => `${n}`),
      `seed ${seed}: each once, in order`,
    )
    const logs = (await engine.listLogs()).filter((name) => name.startsWith('stream.'))
    assert.ok(
      logs.length <= (destination.profile === 'topic' ? 1 : 0),
      `seed ${seed}: ${logs.join()}`,
    )
    assert.deepEqual(next.broker.checkSpace(), [], `seed ${seed}`)
    // What a change left behind that came to nothing is not taken for the next one's.
    if (destination.profile === from) await next.broker.alter(next.vhost, 'q', { profile: to })
    const last = await openBroker({
      engine: await openEmbeddedEngine({ disk: found.killed(), clock }),
      clock,
    })
    assert.equal(last.vhost.destination('q')!.profile, to)
    assert.deepEqual(await contents(last), bodies, `seed ${seed}: again`)
    found.changesLeft = 0
    await last.broker.close()
  }
  assert.ok(ended.queue > 10 && ended.topic > 10, JSON.stringify(ended))
}
