/** A publisher that sends twice is answered twice, and its message is there once. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ConfirmChannel, connect, type Options } from 'amqplib'
import { Kafka, logLevel } from 'kafkajs'
import { connectAsync } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

const WINDOW = { arguments: { 'x-deduplication-window': 60_000 } }

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

async function publish(
  channel: ConfirmChannel,
  body: string,
  options: Options.Publish,
): Promise<void> {
  channel.sendToQueue('q', Buffer.from(body), { persistent: true, ...options })
  await channel.waitForConfirms()
}

async function drained(channel: ConfirmChannel, queue = 'q'): Promise<string[]> {
  const taken: string[] = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) return taken
    taken.push(message.content.toString())
  }
}

test('an id within the window is dropped, by message-id or by header, and confirmed', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  await channel.assertQueue('q', WINDOW)
  await channel.assertQueue('plain')
  await channel.bindQueue('q', 'amq.fanout', '')
  await channel.bindQueue('plain', 'amq.fanout', '')
  await publish(channel, 'one', { messageId: 'a' })
  assert.deepEqual(await drained(channel), ['one'])
  // Although it is consumed.
  await publish(channel, 'again', { messageId: 'a' })
  const headers = { 'x-deduplication-id': 'b' }
  await publish(channel, 'two', { messageId: 'a', headers })
  await publish(channel, 'two again', { headers })
  await publish(channel, 'no id', {})
  await publish(channel, 'no id', {})
  // It goes where it is none.
  channel.publish('amq.fanout', '', Buffer.from('fanned'), { persistent: true, messageId: 'a' })
  await channel.waitForConfirms()
  // One that a crash may take does not stand for one that lasts.
  await publish(channel, 'short-lived', { messageId: 'c', persistent: false })
  await publish(channel, 'lasting', { messageId: 'c' })
  assert.deepEqual(await drained(channel), ['two', 'no id', 'no id', 'short-lived', 'lasting'])
  assert.deepEqual(await drained(channel, 'plain'), ['fanned'])
  await broker.clock.advance(59_000)
  await publish(channel, 'again', { messageId: 'a' })
  assert.deepEqual(await drained(channel), [])
  await broker.clock.advance(1000)
  await publish(channel, 'new', { messageId: 'a' })
  assert.deepEqual(await drained(channel), ['new'])
})

test('what was confirmed is known after kill -9 and power cut, although it was consumed', async (t) => {
  const broker = await open(t)
  for (const how of ['kill', 'power-cut'] as const) {
    const channel = await amqp(t, broker)
    await channel.assertQueue('q', WINDOW)
    for (let n = 0; n < 50; n++) await publish(channel, `${how} ${n}`, { messageId: `${how} ${n}` })
    assert.equal((await drained(channel)).length, 50)
    await broker.crash(how)
    const again = await amqp(t, broker)
    for (let n = 0; n < 25; n++) await publish(again, 'again', { messageId: `${how} ${n}` })
    // A stop in order writes a snapshot, and starts from it.
    await broker.restart()
    const third = await amqp(t, broker)
    for (let n = 0; n < 50; n++) await publish(third, 'again', { messageId: `${how} ${n}` })
    assert.deepEqual(await drained(third), [])
    await publish(third, 'new', { messageId: `${how} new` })
    assert.deepEqual(await drained(third), ['new'])
  }
})

test('the duplicate is not answered before the first one is on disk', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  await channel.assertQueue('q', WINDOW)
  const answers: string[] = []
  const send = (name: string): void => {
    channel.sendToQueue('q', Buffer.from(name), { persistent: true, messageId: 'a' }, () => {
      answers.push(name)
    })
  }
  broker.disk.fill()
  send('first')
  await broker.settle()
  send('second')
  await broker.settle()
  assert.deepEqual(answers, [])
  broker.disk.free()
  await broker.clock.advance('10s')
  await broker.waitFor(() => answers.length === 2)
  assert.deepEqual(answers, ['first', 'second'])
  assert.deepEqual(await drained(channel), ['first'])
})

test('a dead letter that is sent back, and what the broker repeats, is no duplicate', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  const dead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }
  await channel.assertQueue('q', { arguments: { ...WINDOW.arguments, ...dead } })
  // It goes back to where it came from.
  await channel.assertQueue('dead', {
    arguments: {
      'x-message-ttl': 1000,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'q',
    },
  })
  await publish(channel, 'one', { messageId: 'a' })
  const message = await channel.get('q')
  assert.ok(message !== false)
  channel.reject(message, false)
  await broker.settle()
  await broker.clock.advance(1000)
  assert.deepEqual(await drained(channel), ['one'])
  const headers = { 'x-schedule-id': 's', 'x-schedule-cron': '* * * * * *' }
  await publish(channel, 'tick', { messageId: 'b', headers })
  await broker.clock.advance(2000)
  assert.deepEqual(await drained(channel), ['tick', 'tick'])
  await publish(channel, '', { headers: { 'x-schedule-cancel': 's' } })
  // A delayed one counts when it is routed.
  const delayed = { messageId: 'c', headers: { 'x-deliver-after': 1000 } }
  await publish(channel, 'later', delayed)
  await publish(channel, 'later again', delayed)
  await publish(channel, 'sooner', { messageId: 'c' })
  await broker.clock.advance(1000)
  assert.deepEqual(await drained(channel), ['sooner'])
})

test('a full queue refuses without remembering', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  const limit = { 'x-max-length': 1, 'x-overflow': 'reject-publish' }
  await channel.assertQueue('q', { arguments: { ...WINDOW.arguments, ...limit } })
  await publish(channel, 'one', { messageId: 'a' })
  await assert.rejects(publish(channel, 'two', { messageId: 'b' }), /nack/)
  // A duplicate of what is in is no new one, so it is not refused.
  await publish(channel, 'one again', { messageId: 'a' })
  assert.deepEqual(await drained(channel), ['one'])
  await publish(channel, 'two', { messageId: 'b' })
  assert.deepEqual(await drained(channel), ['two'])
})

test('from MQTT by user property, from Kafka by header of the record', async (t) => {
  const broker = await open(t)
  const channel = await amqp(t, broker)
  await channel.assertQueue('q', WINDOW)
  const [username, password] = ['guest', 'guest']
  const client = await connectAsync(broker.url('mqtt'), { protocolVersion: 5, username, password })
  t.after(async () => client.endAsync(true))
  for (const [body, id] of [
    ['one', 'a'],
    ['one again', 'a'],
    ['two', 'b'],
  ] as const) {
    const userProperties = { 'x-deduplication-id': id }
    await client.publishAsync('$queue/q', body, { qos: 1, properties: { userProperties } })
  }
  assert.deepEqual(await drained(channel), ['one', 'two'])
  const brokers = [`127.0.0.1:${broker.port('kafka')}`]
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'orders' }] })
  await admin.disconnect()
  await channel.bindQueue('q', 'orders', '#')
  const producer = kafka.producer()
  await producer.connect()
  const messages = [
    ['three', 'c'],
    ['three again', 'c'],
    ['not one', 'a'],
  ].map(([value, id]) => {
    return { value: value!, headers: { 'x-deduplication-id': id! } }
  })
  await producer.send({ topic: 'orders', messages })
  await producer.disconnect()
  await broker.settle()
  assert.deepEqual(await drained(channel), ['three'])
})
