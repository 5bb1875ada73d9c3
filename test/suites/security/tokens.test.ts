/** Tokens of an identity provider as logins, through unmodified clients. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { type SASLOptions, Kafka, logLevel } from 'kafkajs'
import { waitFor } from '../../../src/testing/wait-for.ts'
import { type SecuredBroker, securedBroker } from './secured-broker.ts'
import { AUDIENCE, EVERYTHING, ISSUER, TokenIssuer } from './token-issuer.ts'
import { tokenWorld } from './token-world.ts'

function kafkaWith(
  { broker }: SecuredBroker,
  token: () => Promise<string>,
  reauthenticationThreshold = 10_000,
): Kafka {
  const sasl = {
    mechanism: 'oauthbearer',
    oauthBearerProvider: async () => ({ value: await token() }),
  }
  return new Kafka({
    brokers: [`127.0.0.1:${broker.port('kafka')}`],
    sasl: sasl as SASLOptions,
    reauthenticationThreshold,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
  })
}

async function kafkaTopics(t: TestContext, world: SecuredBroker, token: string): Promise<string[]> {
  const admin = kafkaWith(world, async () => token).admin()
  t.after(async () => admin.disconnect())
  await admin.connect()
  return admin.listTopics()
}

test('a token is a login by AMQP, MQTT, Kafka and HTTP, with what its scopes allow', async (t) => {
  const world = await tokenWorld(t)
  const { clients, issuer } = world
  const scope = [`${AUDIENCE}.configure:%2F/own*`, `${AUDIENCE}.write:%2F/own*`].join(' ')
  const token = await issuer.token({ scope: `openid ${scope} ${AUDIENCE}.read:%2F/own*` })
  // The name beside it is whatever the client must have one for.
  const connection = await clients.amqp('amqp', { user: 'ignored', password: token })
  const channel = await connection.createChannel()
  await channel.assertQueue('own.queue')
  await assert.rejects(channel.assertQueue('other'), /403 .*'other'.* for user 'robot'/)

  const mqttScopes = `${AUDIENCE}.*:*/* ${AUDIENCE}.write:*/amq.topic/a.* ${AUDIENCE}.configure:*/mqtt*`
  const mqttToken = await issuer.token({ scope: mqttScopes })
  const mqtt = await clients.mqtt('mqtt-ws', { user: 'ignored', password: mqttToken })
  await mqtt.publishAsync('a/b', 'x', { qos: 1 })
  await assert.rejects(mqtt.publishAsync('b/b', 'x', { qos: 1 }), /Not authorized/)

  const kafka = kafkaWith(world, async () => token)
  const admin = kafka.admin()
  t.after(async () => admin.disconnect())
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'own.topic' }] })
  await assert.rejects(admin.createTopics({ topics: [{ topic: 'other' }] }))
  assert.deepEqual(await admin.listTopics(), ['own.topic'])

  const bearer = { mechanism: 'Bearer' }
  const asked = async (text: string): Promise<number> => {
    const headers = { authorization: `${bearer.mechanism} ${text}` }
    return (await fetch(`${world.broker.url('http')}/v1/status`, { headers })).status
  }
  assert.equal(await asked(token), 403)
  assert.equal(await asked(await issuer.token({ scope: `${AUDIENCE}.tag:administrator` })), 200)
})

test('the same name with another token has no more than that token allows', async (t) => {
  const { clients, issuer } = await tokenWorld(t)
  const all = { user: 'x', password: await issuer.token({ scope: EVERYTHING }) }
  const little = { user: 'x', password: await issuer.token({ scope: `${AUDIENCE}.read:*/*` }) }
  const strong = await (await clients.amqp('amqp', all)).createChannel()
  const weak = await (await clients.amqp('amqp', little)).createChannel()
  await strong.assertQueue('q')
  weak.on('error', () => undefined)
  await assert.rejects(weak.deleteQueue('q'), /403/)
  await strong.checkQueue('q')
})

test('tokens that are not good are refused by every listener, and never logged', async (t) => {
  const world = await tokenWorld(t)
  const { clients, issuer, lines } = world
  const other = await TokenIssuer.make('first')
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const claims = { sub: 'robot', aud: AUDIENCE, iss: ISSUER, exp: 4_000_000_000, scope: EVERYTHING }
  const unsigned = `${part({ alg: 'none' })}.${part(claims)}.x`
  const shared = `${part({ alg: 'HS256' })}.${part(claims)}`
  const hmac = createHmac('sha256', 'first').update(shared).digest('base64url')
  const bad = {
    expired: await issuer.token({ scope: EVERYTHING, lifetimeMs: -60_000 }),
    'of another key': await other.token({ scope: EVERYTHING }),
    'for another audience': await issuer.token({ scope: EVERYTHING, audience: 'other' }),
    'of another issuer': await issuer.token({ scope: EVERYTHING, issuer: 'https://else.example' }),
    'without a name': await issuer.token({ scope: EVERYTHING, name: '' }),
    'without a signature': unsigned,
    'with a shared key': `${shared}.${hmac}`,
  }
  for (const [what, token] of Object.entries(bad)) {
    const login = { user: 'robot', password: token }
    await assert.rejects(clients.amqp('amqp', login), /403/, what)
    await assert.rejects(clients.mqtt('mqtt', login), /Bad User Name or Password/, what)
    await assert.rejects(clients.mqtt('mqtt-ws', login), /Bad User Name or Password/, what)
    await assert.rejects(clients.kafkaLogin('kafka', login), /Authentication failed/, what)
    await assert.rejects(kafkaTopics(t, world, token), what)
    await assert.rejects(clients.http('http', login), /^Error: 401|401/, what)
    const text = lines.join('\n')
    assert.ok(!text.includes(token.split('.')[1]!), `${what}: the token is in the log`)
  }
  assert.ok(lines.some((line) => line.includes('"exp" claim timestamp check failed')))
  // A good one still is.
  await clients.amqp('amqp', { user: 'x', password: await issuer.token({ scope: EVERYTHING }) })
})

test('without an identity provider a token is a wrong password', async (t) => {
  const world = await securedBroker(t)
  const issuer = await TokenIssuer.make('first')
  const token = await issuer.token({ scope: EVERYTHING })
  await assert.rejects(world.clients.amqp('amqp', { user: 'robot', password: token }), /403/)
  await assert.rejects(kafkaTopics(t, world, token), /does not support the requested SASL/)
})

test('a connection ends with its token, unless a new one comes in time', async (t) => {
  const world = await tokenWorld(t)
  const { clients, issuer, clock } = world
  const hour = 3_600_000
  const short = { user: 'x', password: await issuer.token({ scope: EVERYTHING, lifetimeMs: hour }) }
  const long = async (): Promise<string> => {
    return issuer.token({ scope: EVERYTHING, lifetimeMs: 10 * hour })
  }
  const amqp = await clients.amqp('amqp', short)
  const renewed = await clients.amqp('amqp', short)
  await renewed.updateSecret(Buffer.from(await long()), 'a test')
  const mqtt = await clients.mqtt('mqtt', short, { keepalive: 0 })
  const kafka = kafkaWith(world, async () => short.password).admin()
  t.after(async () => kafka.disconnect())
  await kafka.connect()
  assert.deepEqual(await kafka.listTopics(), [])
  const closed = once(amqp, 'close')
  const goodbye = new Promise<number | undefined>((resolve) => {
    mqtt.on('disconnect', ({ reasonCode }) => resolve(reasonCode))
  })
  clock.shiftMs = hour + 1000
  const [error] = (await closed) as [Error]
  assert.match(error.message, /320 \(CONNECTION-FORCED\) .*the token of user 'robot' has expired/)
  assert.equal(await goodbye, 0xa0)
  const connections = async (): Promise<string> => {
    const admin = await issuer.token({
      scope: `${AUDIENCE}.tag:administrator`,
      lifetimeMs: 9 * hour,
    })
    return clients.http(
      'http',
      { mechanism: 'Basic', user: 'x', password: admin },
      '/v1/connections',
    )
  }
  await waitFor(async () => !(await connections()).includes('"Kafka"'), {
    timeoutMs: 30_000,
    expected: () => 'no connection of Kafka',
    found: () => 'one',
  })
  const channel = await renewed.createChannel()
  await channel.assertQueue('', { exclusive: true })
})

test('Kafka tells how long a token is good, and a client logs in again on the same connection', async (t) => {
  const world = await tokenWorld(t)
  let count = 0
  // After some are those of somebody else, whom a connection must not become.
  const name = (): string => (count++ < 4 ? 'robot' : 'other')
  const kafka = kafkaWith(
    world,
    async () => world.issuer.token({ name: name(), scope: EVERYTHING }),
    7_200_000,
  )
  const admin = kafka.admin()
  t.after(async () => admin.disconnect())
  await admin.connect()
  await assert.rejects(async () => {
    for (let n = 0; n < 20; n++) await admin.listTopics()
  })
  assert.ok(count > 4)
  const text = 'Cannot change principals during re-authentication from robot: other'
  assert.ok(world.lines.some((line) => line.includes(text)))
})

test('a new secret that is not good ends the AMQP connection, as with RabbitMQ', async (t) => {
  const { clients, issuer } = await tokenWorld(t)
  const login = { user: 'x', password: await issuer.token({ scope: EVERYTHING }) }
  for (const secret of ['no token', await issuer.token({ name: 'other', scope: EVERYTHING })]) {
    const connection = await clients.amqp('amqp', login)
    const closed = once(connection, 'error')
    connection.updateSecret(Buffer.from(secret), 'a test').catch(() => undefined)
    const [error] = (await closed) as [Error]
    assert.match(error.message, /530 \(NOT-ALLOWED\).*New secret was refused/)
  }
  // A narrower one holds at once.
  const connection = await clients.amqp('amqp', login)
  const channel = await connection.createChannel()
  channel.on('error', () => undefined)
  await channel.assertQueue('q')
  const narrow = await issuer.token({ scope: `${AUDIENCE}.read:*/*` })
  await connection.updateSecret(Buffer.from(narrow), 'a test')
  await assert.rejects(channel.deleteQueue('q'), /403/)
})

test('keys come from a URL too, and a file is read again when it changes', async (t) => {
  const issuer = await TokenIssuer.make('served')
  t.after(() => issuer.close())
  const keysUrl = await issuer.serve()
  const { clients } = await securedBroker(t, { oauth2: { resourceServerId: AUDIENCE, keysUrl } })
  const login = { user: 'x', password: await issuer.token({ scope: EVERYTHING }) }
  await clients.amqp('amqp', login)

  const world = await tokenWorld(t)
  const next = await TokenIssuer.make('second')
  const old = { user: 'x', password: await world.issuer.token({ scope: EVERYTHING }) }
  const fresh = { user: 'x', password: await next.token({ scope: EVERYTHING }) }
  await assert.rejects(world.clients.amqp('amqp', fresh), /403/)
  next.writeKeys(world.keysFile)
  await waitFor(
    async () => {
      return world.clients.amqp('amqp', fresh).then(
        () => true,
        () => false,
      )
    },
    { timeoutMs: 30_000, expected: () => 'the new key', found: () => 'the old one' },
  )
  await assert.rejects(world.clients.amqp('amqp', old), /403/)
})
