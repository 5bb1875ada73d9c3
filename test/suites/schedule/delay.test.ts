/** Messages that wait: until a time, replaced and cancelled by id, from each protocol. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ConfirmChannel, connect } from 'amqplib'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { connectAsync, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

async function open(t: TestContext): Promise<TestBroker> {
  const broker = await startTestBroker()
  t.after(async () => broker[Symbol.asyncDispose]())
  return broker
}

async function amqp(t: TestContext, broker: TestBroker): Promise<ConfirmChannel> {
  const connection = await connect(broker.url())
  connection.on('error', () => {
    // Tests cut it.
  })
  t.after(async () => connection.close().catch(() => undefined))
  const channel = await connection.createConfirmChannel()
  channel.on('error', () => {
    // As above.
  })
  return channel
}

async function mqtt(t: TestContext, broker: TestBroker): Promise<MqttClient> {
  const [username, password] = ['guest', 'guest']
  const client = await connectAsync(broker.url('mqtt'), { protocolVersion: 5, username, password })
  t.after(async () => client.endAsync(true))
  return client
}

async function producer(t: TestContext, broker: TestBroker, topic: string): Promise<Producer> {
  const brokers = [`127.0.0.1:${broker.port('kafka')}`]
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic }] })
  await admin.disconnect()
  const opened = kafka.producer()
  await opened.connect()
  t.after(async () => opened.disconnect())
  return opened
}

async function publish(
  channel: ConfirmChannel,
  queue: string,
  body: string,
  headers: Record<string, unknown>,
): Promise<void> {
  channel.sendToQueue(queue, Buffer.from(body), { persistent: true, headers })
  await channel.waitForConfirms()
}

async function bodies(broker: TestBroker, queue: string): Promise<string[]> {
  return (await broker.destination(queue).messages()).map(({ text }) => text)
}

async function drained(channel: ConfirmChannel, queue: string): Promise<string[]> {
  const taken: string[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return taken
    taken.push(message.content.toString())
  }
}

test('a message waits until a time, and bears it negated', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  await channel.assertQueue('q')
  const atMs = broker.clock.now() + 60_000
  await publish(channel, 'q', 'later', { 'x-deliver-at': atMs })
  const seconds = Math.floor(atMs / 1000) + 10
  await publish(channel, 'q', 'stamped', { 'x-deliver-at': { '!': 'timestamp', value: seconds } })
  await publish(channel, 'q', 'past', { 'x-deliver-at': broker.clock.now() - 1 })
  await publish(channel, 'q', 'text', { 'x-deliver-at': String(atMs) })
  assert.deepEqual(await drained(channel, 'q'), ['past'])
  await broker.clock.advance(59_999)
  assert.deepEqual(await drained(channel, 'q'), [])
  await broker.clock.advance(1)
  const first = await channel.get('q', { noAck: true })
  assert.ok(first !== false)
  assert.equal(first.content.toString(), 'later')
  assert.equal(first.properties.headers?.['x-deliver-at'], -atMs)
  assert.deepEqual(await drained(channel, 'q'), ['text'])
  await broker.clock.advance('10s')
  assert.deepEqual(await drained(channel, 'q'), ['stamped'])
})

test('an id is replaced and cancelled by who publishes to the same exchange', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  await channel.assertQueue('q')
  await channel.assertExchange('other', 'fanout')
  const wait = (id: string, ms = 10_000): Record<string, unknown> => {
    return { 'x-deliver-after': ms, 'x-schedule-id': id }
  }
  await publish(channel, 'q', 'one', wait('a'))
  await publish(channel, 'q', 'two', wait('a', 20_000))
  await publish(channel, 'q', 'kept', wait('b'))
  await publish(channel, 'q', 'cancelled', wait('c'))
  await publish(channel, 'q', '', { 'x-schedule-cancel': 'c' })
  // To another exchange: neither is it cancelled nor replaced, and the publisher is told.
  for (const headers of [{ 'x-schedule-cancel': 'b' }, wait('b')]) {
    channel.publish('other', '', Buffer.from('foreign'), { headers })
    await assert.rejects(channel.waitForConfirms(), /nack/)
  }
  await broker.clock.advance('10s')
  assert.deepEqual(await drained(channel, 'q'), ['kept'])
  await broker.clock.advance('10s')
  assert.deepEqual(await drained(channel, 'q'), ['two'])
  // Nothing waits under it any more: whoever wants to know is told.
  const returned = new Promise((resolve) => {
    channel.once('return', resolve)
  })
  const headers = { 'x-schedule-cancel': 'a' }
  channel.sendToQueue('q', Buffer.from(''), { mandatory: true, headers })
  await returned
  await channel.waitForConfirms()
  // An id without a delay is nothing: who sends a message on does not touch what waits.
  await publish(channel, 'q', 'again', wait('d'))
  await publish(channel, 'q', 'sent on', { 'x-deliver-after': -10_000, 'x-schedule-id': 'd' })
  await broker.clock.advance('10s')
  assert.deepEqual(await drained(channel, 'q'), ['sent on', 'again'])
})

test('what is no id closes the channel with the reason', async (t) => {
  const broker = await open(t)
  for (const id of ['', '@7', 'x'.repeat(256)]) {
    const channel = await amqp(t, broker)
    const failed = new Promise<Error>((resolve) => {
      channel.once('error', resolve)
    })
    channel.sendToQueue('q', Buffer.from(''), { headers: { 'x-schedule-id': id } })
    assert.match((await failed).message, /406 .*a schedule id is a text of 1 to 255 octets/)
  }
})

test('what waits, was replaced and was cancelled is the same after kill -9 and power cut', async (t) => {
  const broker = await open(t)
  for (const how of ['kill', 'power-cut'] as const) {
    const channel = await amqp(t, broker)
    await channel.assertQueue('q')
    const wait = (id: string): Record<string, unknown> => {
      return { 'x-deliver-at': broker.clock.now() + 10_000, 'x-schedule-id': id }
    }
    await publish(channel, 'q', 'one', wait('a'))
    await publish(channel, 'q', 'gone', wait('b'))
    await publish(channel, 'q', 'two', wait('a'))
    await publish(channel, 'q', '', { 'x-schedule-cancel': 'b' })
    await publish(channel, 'q', 'three', wait('c'))
    await broker.crash(how)
    const again = await amqp(t, broker)
    // The id is known still.
    await publish(again, 'q', '', { 'x-schedule-cancel': 'c' })
    await broker.restart()
    const third = await amqp(t, broker)
    await publish(third, 'q', 'four', wait('a'))
    await broker.clock.advance('10s')
    assert.deepEqual(await bodies(broker, 'q'), ['four'])
    assert.deepEqual(await drained(third, 'q'), ['four'])
  }
})

test('MQTT asks by user properties', async (t) => {
  const broker = await open(t)
  const client = await mqtt(t, broker)
  const heard: string[] = []
  client.on('message', (_topic, payload) => heard.push(payload.toString()))
  await client.subscribeAsync('a/b', { qos: 1 })
  const send = async (body: string, userProperties: Record<string, string>): Promise<unknown> => {
    return client.publishAsync('a/b', body, { qos: 1, properties: { userProperties } })
  }
  await send('after', { 'x-deliver-after': '20000' })
  await send('at', { 'x-deliver-at': String(broker.clock.now() + 10_000) })
  await send('one', { 'x-deliver-after': '5000', 'x-schedule-id': 'job' })
  await send('two', { 'x-deliver-after': '30000', 'x-schedule-id': 'job' })
  await send('never', { 'x-deliver-after': '5000', 'x-schedule-id': 'gone' })
  await send('', { 'x-schedule-cancel': 'gone' })
  await send('now', { other: 'x' })
  // Kept for later subscribers is only what is published now.
  const properties = { userProperties: { 'x-deliver-after': '40000' } }
  await client.publishAsync('a/b', 'retained', { qos: 1, retain: true, properties })
  await assert.rejects(send('', { 'x-schedule-id': '@1' }), /Implementation specific error/)
  await broker.clock.advance('9s')
  await broker.waitFor(() => heard.length === 1)
  await broker.clock.advance('32s')
  await broker.waitFor(() => heard.length === 5)
  assert.deepEqual(heard, ['now', 'at', 'after', 'two', 'retained'])
})

test('a Kafka record is in its topic at once, and later where that leads', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  const kafka = await producer(t, broker, 'orders')
  await channel.assertQueue('q')
  await channel.bindQueue('q', 'orders', '#')
  await producer(t, broker, 'second')
  await channel.bindQueue('second', 'orders', '#')
  const send = async (value: string, headers: Record<string, string>): Promise<unknown> => {
    return kafka.send({ topic: 'orders', messages: [{ key: 'k', value, headers }] })
  }
  await send('after', { 'x-deliver-after': '20000' })
  await send('at', { 'x-deliver-at': String(broker.clock.now() + 10_000) })
  await send('one', { 'x-deliver-after': '5000', 'x-schedule-id': 'job' })
  await send('two', { 'x-deliver-after': '30000', 'x-schedule-id': 'job' })
  await send('never', { 'x-deliver-after': '5000', 'x-schedule-id': 'gone' })
  await send('cancel', { 'x-schedule-cancel': 'gone' })
  await send('bad', { 'x-schedule-id': '@1' })
  await send('now', {})
  await broker.settle()
  assert.deepEqual(await bodies(broker, 'q'), ['bad', 'now'])
  await broker.crash('kill')
  await broker.clock.advance('40s')
  assert.deepEqual(await bodies(broker, 'q'), ['bad', 'now', 'at', 'after', 'two'])
  // None of them came to the topic a second time.
  const kafkaBroker = new Kafka({
    brokers: [`127.0.0.1:${broker.port('kafka')}`],
    logLevel: logLevel.NOTHING,
  })
  const admin = kafkaBroker.admin()
  await admin.connect()
  assert.equal((await admin.fetchTopicOffsets('orders'))[0]!.high, '8')
  assert.equal((await admin.fetchTopicOffsets('second'))[0]!.high, '5')
  await admin.disconnect()
})
