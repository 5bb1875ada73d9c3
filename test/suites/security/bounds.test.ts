/** Whatever clients can make the broker keep has an end, which an operator sets, in each protocol's words. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Channel, ChannelModel } from 'amqplib'
import { ADMIN, put, type SecuredBroker, securedBroker } from './secured-broker.ts'

const LOGIN = { user: ADMIN.name, password: ADMIN.password }

type Attempt = (channel: Channel) => Promise<unknown>

async function limitVhost({ broker }: SecuredBroker, limits: object): Promise<void> {
  await put(broker, 'vhosts/%2F/limits', limits)
}

/** Of the user everything is tried with; -1 takes a limit away. */
async function limitUser({ broker }: SecuredBroker, limits: object): Promise<void> {
  await put(broker, `users/${ADMIN.name}/limits`, limits)
}

/** What the broker says when it closes the channel, or the connection. */
async function refusalOf(connection: ChannelModel, attempt: Attempt): Promise<string> {
  const channel = await connection.createChannel()
  const said = new Promise<string>((resolve) => {
    channel.once('error', (error: Error) => resolve(error.message))
    channel.once('close', () => resolve('nothing'))
  })
  attempt(channel).then(
    async () => channel.close(),
    () => undefined,
  )
  return said
}

/** What is done until the limit is reached, what is one more then, and what is said of it. */
const AMQP: readonly {
  readonly limits: object
  readonly of: 'vhost' | 'user'
  readonly before: Attempt
  readonly oneMore: Attempt
  readonly words: RegExp
}[] = [
  {
    of: 'vhost',
    // Eight of them are there from the beginning, the default one among them.
    limits: { 'max-exchanges': 9 },
    before: async (channel) => channel.assertExchange('one', 'fanout'),
    oneMore: async (channel) => channel.assertExchange('two', 'fanout'),
    words:
      /PRECONDITION_FAILED - cannot declare exchange 'two': exchange limit in vhost '\/' \(9\) is reached/,
  },
  {
    of: 'vhost',
    // One is the broker's own, for calls.
    limits: { 'max-bindings': 3 },
    before: async (channel) => {
      await channel.assertQueue('q')
      await channel.bindQueue('q', 'amq.topic', 'a')
      await channel.bindQueue('q', 'amq.topic', 'b')
      // The same again is none more.
      await channel.bindQueue('q', 'amq.topic', 'b')
    },
    oneMore: async (channel) => channel.bindQueue('q', 'amq.topic', 'c'),
    words:
      /PRECONDITION_FAILED - cannot bind queue 'q' to exchange 'amq.topic': binding limit in vhost '\/' \(3\) is reached/,
  },
  {
    of: 'vhost',
    limits: { 'max-consumers': 1 },
    before: async (channel) => channel.consume('q', () => undefined),
    oneMore: async (channel) => channel.consume('q', () => undefined),
    words:
      /PRECONDITION_FAILED - cannot consume from 'q': consumer limit of vhost '\/' \(1\) is reached/,
  },
  {
    of: 'user',
    limits: { 'max-consumers': 1 },
    before: async () => undefined,
    oneMore: async (channel) => channel.consume('q', () => undefined),
    words:
      /PRECONDITION_FAILED - cannot consume from 'q': consumer limit of user 'root' \(1\) is reached/,
  },
  {
    of: 'user',
    limits: { 'max-message-size': 10 },
    before: async (channel) => {
      channel.publish('', 'q', Buffer.alloc(10))
      await channel.checkQueue('q')
    },
    oneMore: async (channel) => {
      channel.publish('', 'q', Buffer.alloc(11))
      await channel.checkQueue('q')
    },
    words: /PRECONDITION_FAILED - message size 11 is larger than configured max size 10/,
  },
  {
    of: 'vhost',
    limits: { 'max-message-size': 5 },
    before: async () => undefined,
    oneMore: async (channel) => {
      channel.publish('', 'q', Buffer.alloc(6))
      await channel.checkQueue('q')
    },
    words: /PRECONDITION_FAILED - message size 6 is larger than configured max size 5/,
  },
]

const NONE = Object.fromEntries(
  ['max-consumers', 'max-message-size', 'max-sessions', 'max-channels'].map((name) => [name, -1]),
)

test('AMQP refuses what is one too many of a user or a virtual host', async (t) => {
  const world = await securedBroker(t)
  const connection = await world.clients.amqp('amqp', LOGIN)
  const kept = await connection.createChannel()
  for (const { limits, of, before, oneMore, words } of AMQP) {
    await (of === 'vhost' ? limitVhost(world, limits) : limitUser(world, limits))
    await before(kept)
    assert.match(await refusalOf(connection, oneMore), words)
    await limitVhost(world, {})
    await limitUser(world, NONE)
  }
  // What is given back makes room.
  await limitVhost(world, { 'max-bindings': 3, 'max-consumers': 2 })
  await kept.unbindQueue('q', 'amq.topic', 'a')
  await kept.bindQueue('q', 'amq.topic', 'c')
  const { consumerTag } = await kept.consume('q', () => undefined)
  assert.match(
    await refusalOf(connection, async (channel) => channel.consume('q', () => undefined)),
    /\(2\) is reached/,
  )
  await kept.cancel(consumerTag)
  const other = await connection.createChannel()
  await other.consume('q', () => undefined)
  await other.close()
  await kept.consume('q', () => undefined)
})

test('AMQP closes the connection for a channel too many of its virtual host, as for one of its user', async (t) => {
  const world = await securedBroker(t)
  const connection = await world.clients.amqp('amqp', LOGIN)
  await limitVhost(world, { 'max-channels': 1 })
  const only = await connection.createChannel()
  await only.close()
  await connection.createChannel()
  const closed = once(connection, 'error') as Promise<[Error]>
  connection.createChannel().catch(() => undefined)
  const [error] = await closed
  assert.match(
    error.message,
    /NOT_ALLOWED - number of channels opened for vhost '\/' has reached the maximum allowed vhost limit of \(1\)/,
  )
})

test('MQTT refuses sessions, subscriptions and messages that are too many or too large', async (t) => {
  const world = await securedBroker(t)
  const { clients } = world
  const session = { clean: false, properties: { sessionExpiryInterval: 1000 } }
  const connect = async (clientId: string): ReturnType<typeof clients.mqtt> => {
    return clients.mqtt('mqtt', LOGIN, { clientId, ...session })
  }
  await limitVhost(world, { 'max-sessions': 2 })
  const first = await connect('first')
  await connect('second')
  await assert.rejects(connect('third'), /Quota exceeded/)
  // The session is what counts, not the connection; and it is there already.
  await first.endAsync(true)
  await assert.rejects(connect('third'), /Quota exceeded/)
  await connect('first')
  await limitVhost(world, {})
  await limitUser(world, { 'max-sessions': 2 })
  await assert.rejects(connect('third'), /Quota exceeded/)
  await limitUser(world, { 'max-sessions': -1 })
  const client = await connect('third')

  await limitVhost(world, { 'max-bindings': 3 })
  await client.subscribeAsync('a/0', { qos: 0 })
  await client.subscribeAsync('a/1', { qos: 1 })
  await assert.rejects(client.subscribeAsync('b/0', { qos: 0 }), /Quota exceeded/)
  await assert.rejects(client.subscribeAsync('b/1', { qos: 1 }), /Quota exceeded/)
  await client.unsubscribeAsync('a/0')
  await client.subscribeAsync('b/1', { qos: 1 })
  await limitVhost(world, { 'max-message-size': 10 })
  await client.publishAsync('a/1', Buffer.alloc(10), { qos: 1 })
  const ended = new Promise((resolve) => {
    client.once('disconnect', ({ reasonCode }) => resolve(reasonCode))
  })
  client.publishAsync('a/1', Buffer.alloc(11), { qos: 1 }).catch(() => undefined)
  assert.equal(await ended, 0x95)
})

interface Refused {
  readonly type: string
}

test('Kafka refuses batches and topics that are too large or too many', async (t) => {
  const world = await securedBroker(t)
  const kafka = world.clients.kafka('kafka', LOGIN)
  const admin = kafka.admin()
  const producer = kafka.producer()
  t.after(async () => Promise.all([admin.disconnect(), producer.disconnect()]))
  await admin.connect()
  await producer.connect()
  await limitVhost(world, { 'max-queues': 1 })
  await admin.createTopics({ topics: [{ topic: 'one' }] })
  const isPolicyViolation = (error: unknown): boolean => {
    const { type, errors = [] } = error as Refused & { errors?: readonly Refused[] }
    return [type, ...errors.map((each) => each.type)].includes('POLICY_VIOLATION')
  }
  const two = { topics: [{ topic: 'two', numPartitions: 2 }] }
  await assert.rejects(admin.createTopics(two), isPolicyViolation)
  await limitVhost(world, { 'max-partitions': 2 })
  await assert.rejects(admin.createTopics(two), isPolicyViolation)
  await limitVhost(world, { 'max-partitions': 3 })
  await admin.createTopics(two)
  await assert.rejects(
    admin.createPartitions({ topicPartitions: [{ topic: 'one', count: 2 }] }),
    isPolicyViolation,
  )
  await admin.deleteTopics({ topics: ['two'] })
  await admin.createPartitions({ topicPartitions: [{ topic: 'one', count: 3 }] })
  await limitVhost(world, { 'max-message-size': 200 })
  await producer.send({ topic: 'one', messages: [{ value: 'x'.repeat(50) }] })
  await assert.rejects(
    producer.send({ topic: 'one', messages: [{ value: 'x'.repeat(250) }] }),
    /larger than the max message size|MESSAGE_TOO_LARGE/,
  )
})

test('a listener takes as many connections and as many in a second as its limits say', async (t) => {
  const { clients } = await securedBroker(t, {
    limits: { listeners: { mqtt: { connections: 1 }, amqp: { connectionRate: 1 } } },
  })
  await clients.mqtt('mqtt', LOGIN)
  await assert.rejects(clients.mqtt('mqtt', LOGIN))
  await clients.mqtt('mqtt-ws', LOGIN)
  const attempts = Array.from({ length: 20 }, async () => clients.amqp('amqp', LOGIN))
  const outcomes = await Promise.allSettled(attempts)
  // It may take them twenty seconds to come, on a machine that has other work; not all did.
  assert.ok(outcomes.some(({ status }) => status === 'fulfilled'))
  assert.ok(outcomes.some(({ status }) => status === 'rejected'))
  await clients.amqp('amqps', LOGIN)
})
