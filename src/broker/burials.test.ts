import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  consume,
  exchangeSpec,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'

const toAbsent = { deadLetterExchange: 'dlx' }

async function rejectAll(rig: Awaited<ReturnType<typeof openBroker>>): Promise<void> {
  const taker = new Taker()
  const consumer = consume(rig.vhost, 'q', taker)
  await turns()
  for (const { offset } of taker.got) rig.vhost.destination('q')!.reject(offset)
  await turns()
  consumer.cancel()
}

test('a dead letter whose exchange is not there is kept, named, and goes when it comes', async () => {
  const rig = await openBroker()
  const { vhost, clock, complaints } = rig
  await vhost.declareQueue(queueSpec('q', toAbsent))
  for (const body of ['a', 'b']) publish(vhost, '', 'q', body)
  await rejectAll(rig)
  const queue = vhost.destination('q')!
  assert.deepEqual([queue.readyCount, queue.unsettledCount, queue.heldCount], [0, 0, 2])
  assert.deepEqual(complaints, ['dead letters are kept in their queue, for nobody takes them'])
  await vhost.declareExchange(exchangeSpec('dlx', { type: 'fanout' }))
  clock.advance(5000)
  await turns()
  assert.equal(queue.heldCount, 2, 'it routes nowhere')
  await vhost.declareQueue(queueSpec('dead'))
  await vhost.bind(bindingSpec('dlx', 'dead'))
  clock.advance(5000)
  await turns()
  assert.equal(queue.heldCount, 0)
  const taker = new Taker()
  consume(vhost, 'dead', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['a', 'b'])
  assert.deepEqual(taker.got[0]!.deaths, ['q:rejected:1'])
})

test('a full target keeps dead letters where they are until it has room', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(
    queueSpec('q', { messageTtlMs: 10, deadLetterExchange: '', deadLetterRoutingKey: 'dead' }),
  )
  await vhost.declareQueue(queueSpec('dead', { messagesMax: 1, overflow: 'reject' }))
  for (const body of ['a', 'b']) publish(vhost, '', 'q', body)
  await turns()
  clock.advance(20)
  await turns()
  const queue = vhost.destination('q')!
  assert.deepEqual([queue.heldCount, vhost.destination('dead')!.readyCount], [1, 1])
  assert.equal(vhost.destination('dead')!.purge(), 1)
  clock.advance(5000)
  await turns()
  assert.deepEqual([queue.heldCount, vhost.destination('dead')!.readyCount], [0, 1])
})

test('a full target that passes on what it refuses to nobody keeps dead letters where they are', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('q', { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }))
  const overflow = 'reject-dead-letter'
  await vhost.declareQueue(queueSpec('dead', { messagesMax: 1, overflow, ...toAbsent }))
  for (const body of ['a', 'b', 'c']) publish(vhost, '', 'q', body)
  await rejectAll(rig)
  const queue = vhost.destination('q')!
  assert.deepEqual([queue.heldCount, vhost.destination('dead')!.readyCount], [2, 1])
  await vhost.declareExchange(exchangeSpec('dlx', { type: 'fanout' }))
  await vhost.declareQueue(queueSpec('last'))
  await vhost.bind(bindingSpec('dlx', 'last'))
  clock.advance(5000)
  await turns()
  assert.equal(queue.heldCount, 0)
  const taker = new Taker()
  consume(vhost, 'last', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['b', 'c'])
  assert.deepEqual(taker.got[0]!.deaths, ['dead:maxlen:1', 'q:rejected:1'])
})

test('what is kept outlives a restart, and a purge takes it', async () => {
  const first = await openBroker()
  await first.vhost.declareQueue(queueSpec('q', toAbsent))
  publish(first.vhost, '', 'q', 'a')
  await rejectAll(first)
  const second = await reopenBroker(first)
  const queue = second.vhost.destination('q')!
  assert.equal(queue.readyCount, 1)
  await rejectAll(second)
  assert.equal(queue.heldCount, 1)
  assert.equal(queue.purge(), 1)
  assert.deepEqual([queue.readyCount, queue.unsettledCount, queue.heldCount], [0, 0, 0])
  assert.deepEqual(second.broker.checkSpace(), [])
})

test('a length limit and at-most-once drop what nobody takes', async () => {
  const rig = await openBroker()
  const { vhost } = rig
  await vhost.declareQueue(queueSpec('q', { ...toAbsent, messagesMax: 1 }))
  for (const body of ['a', 'b', 'c']) publish(vhost, '', 'q', body)
  await turns()
  const queue = vhost.destination('q')!
  assert.deepEqual([queue.readyCount, queue.heldCount], [1, 0])
  await vhost.deleteDestination('q', { ifUnused: false, ifEmpty: false })
  await vhost.declareQueue(queueSpec('q', { ...toAbsent, deadLetterStrategy: 'at-most-once' }))
  publish(vhost, '', 'q', 'd')
  await rejectAll(rig)
  assert.equal(vhost.destination('q')!.heldCount, 0)
})
