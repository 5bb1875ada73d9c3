/** What every listener refuses, in its own protocol's words, as unmodified clients hear them. */
import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { startBroker, StartupError } from '../../../src/server/index.ts'
import {
  ADMIN,
  LISTENERS,
  type ListenerName,
  put,
  type SecuredBroker,
  securedBroker,
} from './secured-broker.ts'

/** What a client says of a wrong password, and of a mechanism that nobody knows. */
const WORDS: Readonly<Record<string, { readonly login: RegExp; readonly mechanism: RegExp }>> = {
  amqp: { login: /403 \(ACCESS.REFUSED\)/, mechanism: /X-NONE is not provided by the server/ },
  mqtt: { login: /Bad User Name or Password/, mechanism: /Bad authentication method/ },
  kafka: {
    login: /Authentication failed: Invalid username or password/,
    mechanism: /The broker does not support the requested SASL mechanism/,
  },
  http: { login: /^401 .*UNAUTHENTICATED/, mechanism: /^401 .*UNAUTHENTICATED/ },
}

const PLAIN: readonly ListenerName[] = ['amqp', 'mqtt', 'mqtt-ws', 'kafka', 'http']

function wordsOf(listener: ListenerName): (typeof WORDS)[string] {
  return WORDS[listener.replace(/s$|-wss?$/, '')]!
}

/** Says which listener let somebody in, or said something else. */
async function refused(attempt: Promise<unknown>, expected: RegExp, what: string): Promise<void> {
  const said = await attempt.then(
    () => null,
    (error: unknown) => String(error instanceof Error ? error.message : error),
  )
  assert.ok(said !== null, `${what} was let in`)
  assert.match(said, expected, what)
}

async function addUser({ broker }: SecuredBroker, name: string, password: string): Promise<void> {
  await put(broker, `users/${name}`, { password, tags: ['management'] })
}

test('every listener refuses wrong passwords and unknown users with the same words', async (t) => {
  const { clients } = await securedBroker(t)
  for (const listener of LISTENERS) {
    const { login } = wordsOf(listener)
    const wrong = clients.logIn(listener, { user: ADMIN.name, password: 'wrong' })
    await refused(wrong, login, `${listener} with a wrong password`)
    const nobody = clients.logIn(listener, { user: `no-${listener}`, password: ADMIN.password })
    await refused(nobody, login, `${listener} with an unknown user`)
    const empty = clients.logIn(listener, { user: ADMIN.name, password: '' })
    await refused(empty, login, `${listener} with an empty password`)
    await clients.logIn(listener, { user: ADMIN.name, password: ADMIN.password })
  }
})

test('every listener refuses a mechanism that it does not know', async (t) => {
  const { clients } = await securedBroker(t)
  for (const listener of LISTENERS) {
    const login = { user: ADMIN.name, password: ADMIN.password, mechanism: 'X-NONE' }
    await refused(clients.logIn(listener, login), wordsOf(listener).mechanism, listener)
  }
})

test('no listener opens beyond loopback with the password that everybody knows', async () => {
  for (const name of PLAIN) {
    await assert.rejects(
      startBroker({ listen: { amqp: false, [name]: '*:0' } }),
      (error: unknown) => error instanceof StartupError && error.code === 'unsafe',
      name,
    )
  }
})

const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

test(
  'beyond loopback neither guest nor a client without a name is let in',
  { skip: ownAddress === undefined && 'this machine has no address but loopback' },
  async (t) => {
    const host = ownAddress!
    const password = 'no-default-1'
    const { clients, broker } = await securedBroker(t, {
      listen: Object.fromEntries(PLAIN.map((name) => [name, '*:0'])),
      defaultUser: { name: 'guest', password },
    })
    for (const listener of PLAIN) {
      const { login } = wordsOf(listener)
      const guest = { user: 'guest', password }
      await clients.logIn(listener, guest)
      const away = clients.logIn(listener, { ...guest, host })
      await refused(away, login, `${listener} for guest from ${host}`)
    }
    const nameless = clients.mqtt('mqtt', { host })
    await refused(nameless, /Not authorized/, 'MQTT without a name')
    const answer = await fetch(`http://${host}:${broker.port('http')}/v1/status`)
    assert.equal(answer.status, 401)
  },
)

test('every listener refuses a virtual host without permission', async (t) => {
  const world = await securedBroker(t)
  const { clients } = world
  const login = { user: 'outsider', password: 'outsider-password-1' }
  await addUser(world, login.user, login.password)
  for (const name of ['amqp', 'amqps'] as const) {
    await refused(clients.amqp(name, login), /ConnectionClose/, name)
    await refused(clients.amqp(name, login, 'nowhere'), /ConnectionClose/, name)
  }
  for (const name of ['mqtt', 'mqtts', 'mqtt-ws', 'mqtt-wss'] as const) {
    await refused(clients.mqtt(name, login), /Not authorized/, name)
  }
  for (const name of ['kafka', 'kafkas'] as const) {
    const text = /access to vhost '\/' refused for user 'outsider'/
    await refused(clients.kafkaLogin(name, login), text, name)
  }
  for (const name of ['http', 'https'] as const) {
    await refused(clients.http(name, login), /^403 .*ACCESS_REFUSED/, name)
  }
})

test('AMQP refuses queues and exchanges without permission with 403', async (t) => {
  const world = await securedBroker(t)
  const login = { user: 'clerk', password: 'clerk-password-1' }
  await addUser(world, login.user, login.password)
  const own = '^own$'
  await put(world.broker, 'permissions/%2F/clerk', { configure: own, write: own, read: own })
  const connection = await world.clients.amqp('amqp', login)
  const admin = await world.clients.amqp('amqp', { user: ADMIN.name, password: ADMIN.password })
  const setUp = await admin.createChannel()
  await setUp.assertQueue('secret')
  const attempts = {
    declare: async (channel: typeof setUp) => channel.assertQueue('other'),
    delete: async (channel: typeof setUp) => channel.deleteQueue('secret'),
    purge: async (channel: typeof setUp) => channel.purgeQueue('secret'),
    consume: async (channel: typeof setUp) => channel.consume('secret', () => undefined),
    get: async (channel: typeof setUp) => channel.get('secret'),
    bind: async (channel: typeof setUp) => channel.bindQueue('secret', 'amq.topic', '#'),
    exchange: async (channel: typeof setUp) => channel.assertExchange('other', 'fanout'),
    publish: async (channel: typeof setUp) => {
      const closed = new Promise((_resolve, reject) => channel.once('error', reject))
      channel.publish('', 'secret', Buffer.from('x'))
      await closed
    },
  }
  for (const [what, attempt] of Object.entries(attempts)) {
    const channel = await connection.createChannel()
    channel.on('error', () => undefined)
    await refused(attempt(channel), /403 \(ACCESS.REFUSED\)/, what)
  }
  const channel = await connection.createChannel()
  await channel.assertQueue('own')
})

test('MQTT refuses topics without permission with reason code 0x87', async (t) => {
  const world = await securedBroker(t)
  const login = { user: 'sensor', password: 'sensor-password-1' }
  await addUser(world, login.user, login.password)
  const everything = { configure: '.*', write: '.*', read: '^(?!amq\\.topic).*' }
  await put(world.broker, 'permissions/%2F/sensor', { ...everything, write: '^mqtt' })
  for (const listener of ['mqtt', 'mqtt-ws'] as const) {
    const client = await world.clients.mqtt(listener, login)
    const publish = client.publishAsync('a/b', 'x', { qos: 1 })
    await refused(publish, /Not authorized/, `${listener}: publish`)
    const second = await world.clients.mqtt(listener, login)
    await refused(second.subscribeAsync('a/b'), /Not authorized/, `${listener}: subscribe`)
  }
})

test('Kafka refuses topics and groups without permission with its own codes', async (t) => {
  const world = await securedBroker(t)
  const { clients, broker } = world
  const login = { user: 'reader', password: 'reader-password-1' }
  await addUser(world, login.user, login.password)
  const own = '^own$'
  await put(broker, 'permissions/%2F/reader', { configure: own, write: own, read: own })
  const root = clients.kafka('kafka', { user: ADMIN.name, password: ADMIN.password }).admin()
  t.after(async () => root.disconnect())
  await root.connect()
  await root.createTopics({ topics: [{ topic: 'secret' }, { topic: 'own' }] })
  const kafka = clients.kafka('kafka', login)
  const admin = kafka.admin()
  const producer = kafka.producer()
  t.after(async () => Promise.all([admin.disconnect(), producer.disconnect()]))
  await admin.connect()
  await producer.connect()
  const notTopic = /Not authorized to access topics|TOPIC_AUTHORIZATION_FAILED/
  const messages = [{ value: 'x' }]
  await producer.send({ topic: 'own', messages })
  await refused(producer.send({ topic: 'secret', messages }), notTopic, 'produce')
  await refused(admin.deleteTopics({ topics: ['secret'] }), notTopic, 'delete')
  await refused(admin.createTopics({ topics: [{ topic: 'new' }] }), /./, 'create')
  await refused(admin.fetchTopicOffsets('secret'), notTopic, 'offsets')
  const consumer = kafka.consumer({ groupId: 'strangers' })
  t.after(async () => consumer.disconnect())
  await consumer.connect()
  await refused(consumer.subscribe({ topic: 'secret' }), notTopic, 'consume')
})
