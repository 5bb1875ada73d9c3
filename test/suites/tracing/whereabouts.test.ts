/** Where messages are that nobody traced, and why consumers get nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { connectAsync } from 'mqtt'
import type { SearchResult } from '../../../src/broker/tracing/message-search.ts'
import type { WhyView } from '../../../src/broker/tracing/why.ts'
import { TraceWorld } from '../../support/trace-world.ts'

interface Listed {
  readonly destination: string
  readonly tag: string
  readonly reasons: readonly string[]
}

const QUORUM = {
  'x-queue-type': 'quorum',
  'x-delivery-limit': 3,
  'x-retry-delay': 60_000,
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': 'dead',
}

async function where(world: TraceWorld, id: string, destination?: string): Promise<SearchResult> {
  const query = new URLSearchParams({ id, ...(destination === undefined ? {} : { destination }) })
  return (await world.request('GET', `/v1/where/%2F?${query.toString()}`)) as SearchResult
}

async function why(world: TraceWorld, name: string): Promise<WhyView> {
  const found = await world.request('GET', `/v1/why/%2F?name=${encodeURIComponent(name)}`)
  return (found as WhyView[])[0]!
}

function codesOf(view: WhyView): string[][] {
  return [view.reasons, ...view.consumers.map(({ reasons }) => reasons)].map((reasons) =>
    reasons.map(({ code }) => code),
  )
}

test('a message is found waiting, in flight, held, dead and delayed', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertQueue('dead')
  await channel.assertQueue('jobs', { arguments: QUORUM })
  for (const messageId of ['m-1', 'm-2', 'm-3']) {
    channel.sendToQueue('jobs', Buffer.from('x'), { messageId, persistent: true })
  }
  const headers = { 'x-deliver-after': 5000 }
  channel.sendToQueue('jobs', Buffer.from('x'), { messageId: 'late', headers })
  await channel.waitForConfirms()
  const [waits] = (await where(world, 'm-3', 'jobs')).found
  assert.deepEqual([waits!.state, waits!.before, waits!.attempts], ['waiting', 2, 0])
  const [delayed] = (await where(world, 'late')).found
  assert.equal(delayed!.state, 'delayed')
  assert.equal(delayed!.untilMs! - delayed!.storedAtMs, 5000)

  await channel.prefetch(1)
  await channel.consume('jobs', () => {}, { consumerTag: 'slow' })
  await world.broker.settle()
  const [taken] = (await where(world, 'm-1', 'jobs')).found
  assert.equal(taken!.state, 'in-flight')
  assert.match(taken!.consumer!, /^'slow' of AMQP 0-9-1 client 127/)
  assert.equal(taken!.sinceMs, null)
  channel.nackAll(true)
  await channel.cancel('slow')
  await world.broker.settle()
  const [held] = (await where(world, 'm-1', 'jobs')).found
  assert.deepEqual([held!.state, held!.attempts], ['held', 1])
  assert.ok(held!.untilMs! > world.broker.clock.now())

  const rejected = await world.get('jobs')
  channel.reject(rejected, false)
  await world.until('dead', 1)
  const { found } = await where(world, rejected.properties.messageId as string, 'dead')
  assert.deepEqual(
    found.map(({ state, deaths }) => [state, deaths[0]?.queue, deaths[0]?.reason]),
    [['waiting', 'jobs', 'rejected']],
  )
  assert.deepEqual((await where(world, 'm-9', 'jobs')).found, [])
  await assert.rejects(where(world, 'm-9', 'nowhere'), /no queue 'nowhere'/)
})

test('a search goes on where it stopped', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertQueue('q')
  for (let count = 0; count < 30; count++) {
    channel.sendToQueue('q', Buffer.from('x'), { correlationId: count % 2 === 0 ? 'even' : 'odd' })
  }
  await channel.waitForConfirms()
  const { found, looked, next } = await where(world, 'even', 'q')
  assert.deepEqual([found.length, looked, next], [15, 30, null])
  const query = new URLSearchParams({
    id: 'even',
    destination: 'q',
    from: String(found[10]!.offset),
  })
  const rest = (await world.request('GET', `/v1/where/%2F?${query.toString()}`)) as SearchResult
  assert.equal(rest.found.length, 5)
})

test('a consumer of AMQP is told why it gets nothing', async () => {
  await using world = await TraceWorld.open()
  const { channel } = world
  await channel.assertQueue('q')
  assert.deepEqual(codesOf(await why(world, 'q')), [['empty', 'no-consumer']])
  await channel.prefetch(1)
  await channel.consume('q', () => {}, { consumerTag: 'one' })
  channel.sendToQueue('q', Buffer.from('x'))
  channel.sendToQueue('q', Buffer.from('x'))
  await channel.waitForConfirms()
  await world.broker.clock.advance('5s')
  const view = await why(world, 'q')
  assert.deepEqual(codesOf(view), [['nothing'], ['no-credit']])
  assert.equal(
    view.consumers[0]!.reasons[0]!.text,
    'it has 1 unsettled messages of 1 it may have, for 5 s',
  )
  assert.equal((await why(world, 'one')).destination, 'q')
  const listed = (await world.request('GET', '/v1/consumers?vhost=%2F')) as Listed[]
  assert.deepEqual(
    listed.map(({ destination, tag, reasons }) => [destination, tag, reasons]),
    [['q', 'one', ['no-credit']]],
  )

  await channel.assertQueue('single', { arguments: { 'x-single-active-consumer': true } })
  for (const consumerTag of ['first', 'second']) {
    await channel.consume('single', () => {}, { consumerTag })
  }
  const single = await why(world, 'single')
  assert.deepEqual(codesOf(single), [['empty'], ['empty'], ['empty', 'not-active']])
  assert.match(single.consumers[1]!.reasons[1]!.text, /and that is 'first' of/)

  await channel.assertQueue('ranked')
  await channel.consume('ranked', () => {}, { consumerTag: 'low', priority: 1, noAck: true })
  await channel.consume('ranked', () => {}, { consumerTag: 'high', priority: 9, noAck: true })
  const ranked = await why(world, 'ranked')
  assert.deepEqual(codesOf(ranked).slice(1), [['empty', 'lower-priority'], ['empty']])
  await assert.rejects(why(world, 'nowhere'), /no destination, subscription or consumer/)

  await channel.assertQueue('sorted')
  const args = { arguments: { 'x-filter-sql': "colour = 'red'" } }
  await channel.consume('sorted', () => {}, { consumerTag: 'picky', ...args })
  channel.sendToQueue('sorted', Buffer.from('x'), { headers: { colour: 'blue' } })
  await channel.waitForConfirms()
  const sorted = await why(world, 'sorted')
  assert.deepEqual(codesOf(sorted), [['nothing'], ['filter']])
  assert.equal(sorted.consumers[0]!.reasons[0]!.text, 'its filter takes none of the 1 that wait')
})

test('a client of MQTT is told why it gets nothing', async () => {
  await using world = await TraceWorld.open()
  const url = `mqtt://127.0.0.1:${world.broker.port('mqtt')}`
  const client = await connectAsync(url, {
    ...{ protocolVersion: 5, clientId: 'meter', clean: false, reconnectPeriod: 0 },
    ...{ username: 'guest', password: 'guest' },
    properties: { receiveMaximum: 1, sessionExpiryInterval: 3600 },
    // Acknowledges nothing.
    customHandleAcks: () => {},
  })
  await client.subscribeAsync('plant/#', { qos: 1 })
  for (let left = 2; left > 0; left--) await world.mqtt.publishAsync('plant/1', 'x', { qos: 1 })
  await world.broker.settle()
  const view = await why(world, 'meter')
  assert.deepEqual(codesOf(view), [['nothing'], ['no-credit']])
  assert.equal(view.consumers[0]!.unsettled, 1)
  await client.endAsync(true)
  await world.broker.destination(view.destination).waitFor({ consumers: 0 })
  const offline = await why(world, view.destination)
  assert.deepEqual(codesOf(offline), [['session-offline']])
  assert.match(offline.reasons[0]!.text, /client 'meter', which is not connected/)
})

test('a consumer of Kafka is told of the transaction that hides what is there', async () => {
  await using world = await TraceWorld.open()
  const kafka = new Kafka({
    clientId: 'billing',
    brokers: [`127.0.0.1:${world.broker.port('kafka')}`],
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'orders' }] })
  const producer = kafka.producer({ transactionalId: 'payments', maxInFlightRequests: 1 })
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic: 'orders', messages: [{ value: 'x' }] })
  const { reasons } = await why(world, 'orders')
  assert.deepEqual(
    reasons.map(({ code }) => code),
    ['open-transaction'],
  )
  assert.match(reasons[0]!.text, /stable up to 0 of 1: a transaction of 'payments' is open/)
  await transaction.abort()
  await producer.disconnect()
  await admin.disconnect()
})
