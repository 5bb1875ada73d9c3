import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Amqp091Harness,
  publishBytes,
  settled,
  type Wire,
} from '../../../test/support/amqp091-harness.ts'
import { encodeMethod } from '../../codec/amqp091/index.ts'

/** A channel with an exclusive queue `q` that holds `count` messages, '0' first. */
async function filled(harness: Amqp091Harness, count: number): Promise<Wire> {
  const wire = await harness.channel()
  wire.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  await wire.expect('queue.declare-ok')
  const all = Array.from({ length: count }, (_, i) => publishBytes(1, { key: 'q' }, `${i}`))
  wire.send(Buffer.concat(all))
  await settled()
  return wire
}

function deliveries(wire: Wire): number {
  return wire.frames.filter(({ name }) => name === 'basic.deliver').length
}

async function consume(wire: Wire, tag: string, noAck = false): Promise<void> {
  wire.method(1, { name: 'basic.consume', queue: 'q', consumerTag: tag, noAck })
  // Before any delivery.
  await wire.expect('basic.consume-ok')
}

test('each consumer gets as many as its prefetch says, and one for each ack', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 20)
  wire.method(1, { name: 'basic.qos', prefetchCount: 3 })
  await wire.expect('basic.qos-ok')
  await consume(wire, 'a')
  await settled()
  assert.equal(deliveries(wire), 3)
  wire.method(1, { name: 'basic.qos', prefetchCount: 2 })
  await consumeAfterQos(wire, 'b')
  await settled()
  assert.equal(deliveries(wire), 5)
  wire.method(1, { name: 'basic.ack', deliveryTag: 2, multiple: true })
  await settled()
  assert.equal(deliveries(wire), 7)
  wire.method(1, { name: 'basic.ack', deliveryTag: 0, multiple: true })
  await settled()
  assert.equal(deliveries(wire), 12)
})

async function consumeAfterQos(wire: Wire, tag: string): Promise<void> {
  wire.method(1, { name: 'basic.consume', queue: 'q', consumerTag: tag })
  await settled()
  const names = wire.frames.map(({ name }) => name)
  assert.ok(names.includes('basic.qos-ok') && names.includes('basic.consume-ok'))
}

test('a global prefetch is shared by all consumers of the channel', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 20)
  wire.method(1, { name: 'basic.qos', prefetchCount: 4, global: true })
  await wire.expect('basic.qos-ok')
  await consume(wire, 'a')
  wire.method(1, { name: 'basic.consume', queue: 'q', consumerTag: 'b' })
  await settled()
  assert.equal(deliveries(wire), 4)
  // basic.get is not counted, and takes no credit.
  wire.method(1, { name: 'basic.get', queue: 'q' })
  await settled()
  wire.method(1, { name: 'basic.ack', deliveryTag: 5 })
  await settled()
  assert.equal(deliveries(wire), 4)
  wire.method(1, { name: 'basic.ack', deliveryTag: 1 })
  await settled()
  assert.equal(deliveries(wire), 5)
  wire.method(1, { name: 'basic.qos', prefetchCount: 0, global: true })
  await settled()
  assert.equal(deliveries(wire), 19)
})

test('no-ack consumers know no prefetch', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 20)
  wire.method(1, { name: 'basic.qos', prefetchCount: 1 })
  await wire.expect('basic.qos-ok')
  await consume(wire, 'a', true)
  await settled()
  assert.equal(deliveries(wire), 20)
})

test('unacknowledged deliveries of a channel are bounded', async (t) => {
  const harness = await Amqp091Harness.open(t, { unackedMax: 5 })
  const wire = await filled(harness, 20)
  await consume(wire, 'a')
  await settled()
  assert.equal(deliveries(wire), 5)
  wire.method(1, { name: 'basic.ack', deliveryTag: 3, multiple: true })
  await settled()
  assert.equal(deliveries(wire), 8)
})

test('a client that does not read stops its consumers, and its requests after more', async (t) => {
  const harness = await Amqp091Harness.open(t, { outputBytesMax: 100_000 })
  const wire = await harness.channel()
  wire.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  await wire.expect('queue.declare-ok')
  const body = Buffer.alloc(10_000, 1)
  for (let i = 0; i < 200; i++) wire.publish(1, { key: 'q' }, body)
  await settled()
  wire.isReading = false
  wire.method(1, { name: 'basic.consume', queue: 'q', consumerTag: 'a', noAck: true })
  await settled()
  const held = wire.pendingBytes
  assert.ok(held > 0 && held < 1_000_000, `${held} octets wait for a client that does not read`)
  assert.equal(wire.isPaused, held > 100_000)
  // Another connection goes on as if nothing were.
  const other = await harness.channel()
  other.method(1, { name: 'queue.declare', queue: 'other', exclusive: true })
  await other.expect('queue.declare-ok')
  for (let i = 0; i < 200 && deliveries(wire) < 200; i++) {
    wire.read()
    await settled()
  }
  assert.equal(deliveries(wire), 200)
  assert.equal(wire.isPaused, false)
})

test('many requests in one read do not fill the memory with answers nobody reads', async (t) => {
  const harness = await Amqp091Harness.open(t, { outputBytesMax: 100_000 })
  const wire = await harness.channel()
  wire.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  await wire.expect('queue.declare-ok')
  for (let i = 0; i < 100; i++) wire.publish(1, { key: 'q' }, Buffer.alloc(50_000))
  await settled()
  wire.isReading = false
  const get = encodeMethod(1, { name: 'basic.get', queue: 'q', noAck: true })
  wire.send(Buffer.concat(Array.from({ length: 100 }, () => get)))
  await settled()
  assert.ok(wire.pendingBytes < 500_000, `${wire.pendingBytes} octets wait`)
  for (let i = 0; i < 100; i++) {
    wire.read()
    await settled()
    if (wire.frames.filter(({ name }) => name === 'basic.get-ok').length === 100) return
    wire.isReading = false
  }
  assert.fail('the answers did not go on')
})

test('a requester that reads no replies is closed before they fill the memory', async (t) => {
  const harness = await Amqp091Harness.open(t, { replyBytesMax: 50_000, messageSizeMax: 50_000 })
  const requester = await harness.channel()
  const replyTo = 'amq.rabbitmq.reply-to'
  requester.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  requester.method(1, { name: 'basic.consume', queue: replyTo, noAck: true })
  requester.publish(1, { key: 'q', properties: { replyTo } })
  requester.method(1, { name: 'basic.get', queue: 'q', noAck: true })
  const key = (await requester.message('basic.get-ok')).properties.replyTo!
  const responder = await harness.channel()
  responder.publish(1, { key }, 'answer')
  assert.equal((await requester.message('basic.deliver')).body, 'answer')
  requester.isReading = false
  for (let i = 0; i < 50; i++) {
    responder.publish(1, { key }, Buffer.alloc(10_000))
    await settled()
  }
  assert.ok(requester.pendingBytes < 200_000, `${requester.pendingBytes} octets wait`)
  requester.read()
  assert.equal((await requester.refusal()).code, 506)
})

test('a channel that closes gives back what it holds, and its number', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 5)
  await consume(wire, 'a')
  await settled()
  const bye = { replyCode: 200, replyText: '', classId: 0, methodId: 0 }
  wire.method(1, { name: 'channel.close', ...bye })
  await wire.next('channel.close-ok')
  wire.method(1, { name: 'channel.open' })
  await wire.next('channel.open-ok')
  wire.method(1, { name: 'basic.get', queue: 'q' })
  const first = await wire.message('basic.get-ok')
  assert.deepEqual(
    [first.body, first.method.redelivered, first.method.deliveryTag, first.method.messageCount],
    ['0', true, 1, 4],
  )
})

test('a tag that does not wait closes the channel, and nothing else is settled', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 5)
  await consume(wire, 'a')
  await settled()
  wire.method(1, { name: 'basic.ack', deliveryTag: 2 })
  wire.method(1, { name: 'basic.ack', deliveryTag: 2, multiple: true })
  const { code, text } = await wire.channelRefusal()
  assert.deepEqual([code, text], [406, 'PRECONDITION_FAILED - unknown delivery tag 2'])
  assert.equal(harness.broker.vhost('/')!.destination('q')!.readyCount, 4)
})

test('a deleted queue tells its consumers, and late acks of it do no harm', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 3)
  await consume(wire, 'a')
  await settled()
  wire.frames.length = 0
  wire.method(1, { name: 'queue.delete', queue: 'q' })
  const lost = await wire.next('basic.cancel')
  assert.deepEqual([lost.consumerTag, lost.nowait], ['a', true])
  await wire.expect('queue.delete-ok')
  wire.method(1, { name: 'basic.ack', deliveryTag: 3, multiple: true })
  wire.method(1, { name: 'basic.cancel', consumerTag: 'a' })
  await wire.expect('basic.cancel-ok')
})

test('who did not ask for it hears nothing of a lost consumer', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel({ capabilities: [] })
  wire.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  wire.method(1, { name: 'basic.consume', queue: 'q', consumerTag: 'a' })
  wire.method(1, { name: 'queue.delete', queue: 'q' })
  await wire.next('queue.delete-ok')
  await wire.nothing('basic.cancel')
})

test('a transaction applies all or nothing, and rollback gives the deliveries back', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 3)
  const queue = harness.broker.vhost('/')!.destination('q')!
  wire.method(1, { name: 'tx.select' })
  await wire.expect('tx.select-ok')
  await consume(wire, 'a')
  await settled()
  wire.method(1, { name: 'basic.ack', deliveryTag: 2, multiple: true })
  wire.publish(1, { key: 'q' }, 'new')
  await settled()
  assert.deepEqual([queue.unsettledCount, deliveries(wire)], [3, 3])
  wire.method(1, { name: 'tx.rollback' })
  await wire.next('tx.rollback-ok')
  assert.deepEqual([queue.unsettledCount, queue.readyCount], [3, 0])
  wire.method(1, { name: 'basic.ack', deliveryTag: 2, multiple: true })
  wire.publish(1, { key: 'q' }, 'new')
  wire.publish(1, { key: 'nowhere', mandatory: true }, 'lost')
  wire.method(1, { name: 'tx.commit' })
  const returned = await wire.message('basic.return')
  assert.equal(returned.body, 'lost')
  await wire.next('tx.commit-ok')
  assert.equal(queue.unsettledCount, 2)
  // What a transaction has claimed is not there for a second time.
  wire.method(1, { name: 'basic.ack', deliveryTag: 3 })
  wire.method(1, { name: 'basic.ack', deliveryTag: 3 })
  assert.equal((await wire.channelRefusal()).text, 'PRECONDITION_FAILED - unknown delivery tag 3')
  assert.equal(queue.readyCount, 2)
})

test('the transactions of a connection are bounded, and what ends gives its room back', async (t) => {
  const harness = await Amqp091Harness.open(t, { transactionBytesMax: 2000 })
  const wire = await harness.channel()
  const begin = async (channel: number): Promise<void> => {
    wire.method(channel, { name: 'channel.open' })
    await wire.expect('channel.open-ok')
    wire.method(channel, { name: 'tx.select' })
    await wire.expect('tx.select-ok')
  }
  for (const channel of [2, 3]) await begin(channel)
  const body = Buffer.alloc(600)
  for (const channel of [2, 3]) wire.publish(channel, { key: 'q' }, body)
  wire.publish(3, { key: 'q' }, body)
  assert.match((await wire.channelRefusal()).text, /transactions of more than 2000 octets/)
  // The channel that closed and the one that rolls back leave room for the next.
  wire.method(2, { name: 'tx.rollback' })
  await wire.expect('tx.rollback-ok')
  for (let count = 0; count < 2; count++) wire.publish(2, { key: 'q' }, body)
  wire.method(2, { name: 'tx.commit' })
  await wire.expect('tx.commit-ok')
  for (let count = 0; count < 7; count++) wire.publish(2, { key: 'q' }, '')
  wire.method(2, { name: 'tx.commit' })
  await wire.expect('tx.commit-ok')
  for (let count = 0; count < 8; count++) wire.publish(2, { key: 'q' }, '')
  assert.match((await wire.channelRefusal()).text, /transactions of more than 2000 octets/)
})

test('an alarm stops publishers and tells them, while consumers go on', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const publisher = await filled(harness, 1)
  const reader = await harness.channel()
  const late = await harness.channel({ capabilities: [] })
  harness.broker.pressure.setAlarm('low on disk')
  const blocked = await publisher.expect('connection.blocked')
  assert.equal(blocked.reason, 'low on disk')
  assert.equal(publisher.isPaused, true)
  assert.equal(reader.isPaused, false)
  assert.deepEqual(
    harness.protocol.connections().map(({ state }) => state),
    ['blocked', 'running', 'running'],
  )
  // Who begins to publish now is stopped after the first message, and this one understands no more.
  late.publish(1, { key: 'q' })
  assert.equal(late.isPaused, true)
  harness.broker.pressure.setAlarm(null)
  await publisher.expect('connection.unblocked')
  assert.deepEqual([publisher.isPaused, late.isPaused], [false, false])
  await late.nothing('connection.unblocked')
})

test('the publish rate of a broker under load is held back without a word', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await filled(harness, 1)
  harness.broker.pressure.measure(Number.MAX_SAFE_INTEGER)
  assert.equal(wire.isPaused, true)
  harness.broker.pressure.measure(0)
  assert.equal(wire.isPaused, false)
  await wire.nothing('connection.blocked')
})
