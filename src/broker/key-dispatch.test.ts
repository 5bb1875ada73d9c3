import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  type BrokerRig,
  consume,
  openBroker,
  publish,
  queueSpec,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'
import type { Queue } from './queue.ts'
import { whyQueue } from './tracing/why.ts'

const SHARED = { keyShared: true }

async function openQueue(
  settings: Parameters<typeof queueSpec>[1] = {},
  more: Parameters<typeof queueSpec>[2] = {},
): Promise<BrokerRig> {
  const rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q', settings, more))
  await rig.vhost.bind(bindingSpec('amq.topic', 'q', { key: '#' }))
  return rig
}

function send({ vhost }: BrokerRig, key: string, ...bodies: string[]): void {
  for (const body of bodies) publish(vhost, 'amq.topic', key, body)
}

async function policy(
  { vhost }: BrokerRig,
  settings: Record<string, unknown> | null,
): Promise<void> {
  const given = { name: 'p', pattern: '', appliesTo: 'all', priority: 0 } as const
  if (settings === null) await vhost.deletePolicy('p')
  else await vhost.setPolicy({ ...given, settings })
  await turns()
}

test('a policy orders a living queue by key, with what is out already, and lets it go again', async () => {
  const rig = await openQueue()
  const one = new Taker(1)
  consume(rig.vhost, 'q', one)
  send(rig, 'a', 'a1', 'a2')
  await turns()
  await policy(rig, SHARED)
  const two = new Taker()
  const other = consume(rig.vhost, 'q', two)
  send(rig, 'b', 'b1')
  await turns()
  assert.deepEqual([one.bodies, two.bodies], [['a1'], ['b1']])
  const queue = rig.vhost.destination('q')!
  assert.deepEqual([queue.readyCount, queue.followerCount], [1, 1])
  assert.deepEqual(
    whyQueue(queue as Queue).reasons.map(({ code }) => code),
    ['key-in-flight'],
  )
  queue.accept(one.got[0]!.offset)
  await turns()
  assert.deepEqual(two.bodies, ['b1', 'a2'])
  other.pause()
  send(rig, 'b', 'b2')
  await turns()
  const three = new Taker()
  consume(rig.vhost, 'q', three)
  await turns()
  assert.deepEqual(three.bodies, [])
  await policy(rig, null)
  assert.deepEqual(three.bodies, ['b2'])
  await rig.broker.close()
})

test('followers expire in their time, are dropped by limits, and purged', async () => {
  const rig = await openQueue({ ...SHARED, messageTtlMs: 100, messagesMax: 3 })
  const taker = new Taker(1)
  consume(rig.vhost, 'q', taker)
  const next = new Taker()
  consume(rig.vhost, 'q', next)
  const queue = rig.vhost.destination('q')!
  send(rig, 'a', 'a1', 'a2', 'a3')
  await turns()
  assert.deepEqual([queue.readyCount, queue.followerCount], [2, 2])
  send(rig, 'a', 'a4', 'a5')
  await turns()
  assert.deepEqual([queue.readyCount, queue.followerCount], [3, 3])
  rig.clock.advance(50)
  send(rig, 'a', 'a6')
  await turns()
  rig.clock.advance(60)
  await turns()
  assert.deepEqual([queue.readyCount, queue.followerCount], [1, 1])
  queue.accept(taker.got[0]!.offset)
  await turns()
  assert.deepEqual(next.bodies, ['a6'])
  send(rig, 'a', 'a7')
  send(rig, 'a', 'a8')
  await turns()
  // Its owner takes any number.
  assert.deepEqual(next.bodies, ['a6', 'a7', 'a8'])
  queue.release(next.got[0]!.offset)
  await turns()
  assert.deepEqual([queue.readyCount, queue.followerCount, queue.purge()], [1, 1, 1])
  assert.equal(queue.followerCount, 0)
  await rig.broker.close()
})

test('priorities do not count against the order of a key', async () => {
  const rig = await openQueue(SHARED, { prioritiesMax: 5 })
  publish(rig.vhost, 'amq.topic', 'a', 'low')
  publish(rig.vhost, 'amq.topic', 'a', 'high', { priority: 5 })
  const taker = new Taker()
  consume(rig.vhost, 'q', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['low', 'high'])
  await rig.broker.close()
})

test('what a consumer settles by taking it holds nobody up, and the longest key counts whole', async () => {
  const rig = await openQueue(SHARED)
  const long = 'x'.repeat(300)
  send(rig, `${long}1`, 'one')
  send(rig, `${long}2`, 'two')
  const first = new Taker(1)
  consume(rig.vhost, 'q', first)
  const second = new Taker(1)
  consume(rig.vhost, 'q', second, { noAck: true })
  await turns()
  assert.deepEqual([first.bodies, second.bodies], [['one'], ['two']])
  const third = new Taker()
  consume(rig.vhost, 'q', third)
  send(rig, `${long}2`, 'more')
  await turns()
  assert.deepEqual(third.bodies, ['more'])
  await rig.broker.close()
})

test('a message that a re-drive takes and puts back stands before its followers again', async () => {
  const rig = await openQueue(SHARED)
  const stuck = new Taker(1)
  consume(rig.vhost, 'q', stuck)
  send(rig, 'a', 'a1', 'a2', 'a3')
  await turns()
  const next = new Taker()
  consume(rig.vhost, 'q', next)
  await turns()
  const queue = rig.vhost.destination('q') as Queue
  const a1 = stuck.got[0]!.offset
  queue.takeReady(a1 + 1)
  assert.deepEqual([queue.readyCount, queue.followerCount], [1, 1])
  queue.release(a1 + 1)
  await turns()
  assert.deepEqual([queue.readyCount, queue.followerCount], [2, 2])
  queue.accept(a1)
  await turns()
  assert.deepEqual(next.bodies, ['a2', 'a3'])
  await rig.broker.close()
})

// A hundred thousand followers are some megabytes of typed arrays, and no objects.
test('many followers of one key wait beside others that flow', async () => {
  const rig = await openQueue(SHARED)
  const stuck = new Taker(1)
  consume(rig.vhost, 'q', stuck)
  send(rig, 'a', 'first')
  await turns()
  const flowing = new Taker()
  consume(rig.vhost, 'q', flowing)
  for (let index = 0; index < 20_000; index++) send(rig, 'a', 'follower')
  send(rig, 'b', 'other')
  await turns()
  assert.deepEqual(flowing.bodies, ['other'])
  const queue = rig.vhost.destination('q')!
  assert.equal(queue.followerCount, 20_000)
  queue.accept(stuck.got[0]!.offset)
  await turns(60)
  assert.equal(flowing.got.length, 20_001)
  await rig.broker.close()
})
