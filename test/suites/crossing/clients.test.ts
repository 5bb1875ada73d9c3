/** Unmodified clients of MQTT and of AMQP 0-9-1 exchange messages, and call each other. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Channel, connect, type ConsumeMessage } from 'amqplib'
import {
  connectAsync,
  type IClientPublishOptions,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt'
import { startTestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly channel: Channel
  readonly mqtt: MqttClient
}

async function open(t: TestContext, protocolVersion: 4 | 5 = 5): Promise<World> {
  const broker = await startTestBroker({ listen: { mqtt: 0 } })
  const connection = await connect(broker.url('amqp'))
  const mqtt = await connectAsync(`mqtt://127.0.0.1:${broker.port('mqtt')}`, {
    protocolVersion,
    username: 'guest',
    password: 'guest',
    reconnectPeriod: 0,
  })
  t.after(async () => {
    await mqtt.endAsync(true)
    await connection.close()
    await broker[Symbol.asyncDispose]()
  })
  return { channel: await connection.createChannel(), mqtt }
}

/** A queue of its own, bound to the topic exchange. */
async function listen(channel: Channel, key: string): Promise<() => Promise<ConsumeMessage>> {
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, 'amq.topic', key)
  return consume(channel, queue)
}

async function consume(channel: Channel, queue: string): Promise<() => Promise<ConsumeMessage>> {
  const arrived = new Arrivals<ConsumeMessage>()
  await channel.consume(queue, (message) => arrived.add(message!), { noAck: true })
  return () => arrived.next()
}

class Arrivals<T> {
  readonly #kept: T[] = []
  #wake: (() => void) | null = null

  add(value: T): void {
    this.#kept.push(value)
    this.#wake?.()
  }

  async next(): Promise<T> {
    while (this.#kept.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#kept.shift()!
  }
}

async function subscribe(
  mqtt: MqttClient,
  filter: string,
  qos: 0 | 1 = 1,
): Promise<() => Promise<IPublishPacket>> {
  const arrived = new Arrivals<IPublishPacket>()
  mqtt.on('message', (_topic, _payload, packet) => arrived.add(packet))
  await mqtt.subscribeAsync(filter, { qos })
  return () => arrived.next()
}

/** What the server said of itself, without what the client library made of it. */
function propertiesOf({ properties }: IPublishPacket): Record<string, unknown> {
  const { userProperties, ...rest } = properties ?? {}
  return { ...rest, ...(userProperties === undefined ? {} : { user: { ...userProperties } }) }
}

test('AMQP sees topic, body and properties of what MQTT published', async (t) => {
  const { channel, mqtt } = await open(t)
  const next = await listen(channel, 'plant.#')
  const properties: IClientPublishOptions['properties'] = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 60,
    contentType: 'application/json',
    responseTopic: 'answers/7',
    correlationData: Buffer.from([1, 2, 255]),
    userProperties: { tenant: 'acme', trace: ['a', 'b'] },
  }
  await mqtt.publishAsync('plant/v1.2/*/temp', '{"t":21}', { qos: 1, properties })
  const { content, fields, properties: seen } = await next()
  assert.equal(content.toString(), '{"t":21}')
  assert.deepEqual([fields.exchange, fields.routingKey], ['amq.topic', 'plant.v1%2E2.%2A.temp'])
  assert.equal(seen.contentType, 'application/json')
  assert.equal(seen.deliveryMode, 2)
  assert.equal(seen.expiration, '60000')
  assert.equal(seen.replyTo, 'answers.7')
  assert.equal(seen.correlationId, undefined)
  assert.deepEqual(
    { ...seen.headers },
    {
      tenant: 'acme',
      trace: ['a', 'b'],
      'x-reply-to-topic': 'answers.7',
      'x-correlation-id': Buffer.from([1, 2, 255]),
      'x-payload-format': 'utf-8',
    },
  )
})

for (const qos of [0, 1] as const) {
  test(`MQTT sees key, body and properties of what AMQP published, QoS ${qos}`, async (t) => {
    const { channel, mqtt } = await open(t)
    const next = await subscribe(mqtt, 'plant/#', qos)
    channel.publish('amq.topic', 'plant.a/b.v1%2E2', Buffer.from('21'), {
      persistent: true,
      contentType: 'text/plain',
      correlationId: 'c-1',
      messageId: 'm-1',
      type: 'reading',
      replyTo: 'answers',
      expiration: 60_000,
      headers: { n: 5, list: ['a', 'b'], deep: { k: null } },
    })
    const packet = await next()
    assert.equal(packet.topic, 'plant/a%2Fb/v1.2')
    assert.equal(packet.payload.toString(), '21')
    assert.equal(packet.qos, qos)
    assert.deepEqual(propertiesOf(packet), {
      messageExpiryInterval: 60,
      contentType: 'text/plain',
      responseTopic: '$queue/answers',
      correlationData: Buffer.from('c-1'),
      user: {
        'amqp-message-id': 'm-1',
        'amqp-type': 'reading',
        n: '5',
        list: ['a', 'b'],
        'deep;json': '{"k":null}',
      },
    })
  })
}

test('a client of MQTT 3.1.1 gets the body', async (t) => {
  const { channel, mqtt } = await open(t, 4)
  const next = await subscribe(mqtt, 'plant/+')
  channel.publish('amq.topic', 'plant.7', Buffer.from('21'), { headers: { n: 5 }, type: 't' })
  const packet = await next()
  assert.deepEqual([packet.topic, packet.payload.toString(), packet.qos], ['plant/7', '21', 0])
})

// The requester waits on direct reply-to, as RPC libraries for RabbitMQ do.
test('AMQP calls a service that MQTT offers', async (t) => {
  const { channel, mqtt } = await open(t)
  await mqtt.subscribeAsync('rpc/upper', { qos: 1 })
  mqtt.on('message', (_topic, payload, { properties }) => {
    const { responseTopic, correlationData } = properties!
    const answer = payload.toString().toUpperCase()
    mqtt.publish(responseTopic!, answer, {
      qos: 1,
      properties: { correlationData: correlationData! },
    })
  })
  const next = await consume(channel, 'amq.rabbitmq.reply-to')
  const options = { replyTo: 'amq.rabbitmq.reply-to', correlationId: '42' }
  channel.publish('amq.topic', 'rpc.upper', Buffer.from('hello'), options)
  const { content, properties } = await next()
  assert.deepEqual([content.toString(), properties.correlationId], ['HELLO', '42'])
})

test('MQTT calls a service that AMQP offers', async (t) => {
  const { channel, mqtt } = await open(t)
  const asked = await listen(channel, 'rpc.lower')
  const next = await subscribe(mqtt, 'answers/me')
  const properties = { responseTopic: 'answers/me', correlationData: Buffer.from('43') }
  await mqtt.publishAsync('rpc/lower', 'HELLO', { qos: 1, properties })
  const { content, properties: seen } = await asked()
  const answer = Buffer.from(content.toString().toLowerCase())
  const correlationId = seen.correlationId as string
  channel.publish('amq.topic', seen.headers!['x-reply-to-topic'] as string, answer, {
    correlationId,
  })
  const packet = await next()
  assert.equal(packet.payload.toString(), 'hello')
  assert.deepEqual(packet.properties?.correlationData, Buffer.from('43'))
})

// A responder that knows nothing of MQTT answers to reply-to on the default exchange.
test('MQTT calls a service that AMQP offers, by a queue for the answers', async (t) => {
  const { channel, mqtt } = await open(t)
  const asked = await listen(channel, 'rpc.lower')
  await channel.assertQueue('answers')
  const next = await subscribe(mqtt, '$queue/answers')
  const properties = { responseTopic: '$queue/answers', correlationData: Buffer.from('44') }
  await mqtt.publishAsync('rpc/lower', 'HELLO', { qos: 1, properties })
  const { properties: seen } = await asked()
  const correlationId = seen.correlationId as string
  channel.sendToQueue(seen.replyTo as string, Buffer.from('hello'), { correlationId })
  const packet = await next()
  assert.equal(packet.topic, '$queue/answers')
  assert.deepEqual(packet.properties?.correlationData, Buffer.from('44'))
})

test('a dead letter that MQTT published keeps its properties', async (t) => {
  const { channel, mqtt } = await open(t)
  await channel.assertQueue('dead')
  await channel.assertQueue('work', { deadLetterExchange: '', deadLetterRoutingKey: 'dead' })
  await channel.bindQueue('work', 'amq.topic', 'jobs.#')
  const userProperties = { tenant: 'acme' }
  await mqtt.publishAsync('jobs/1', 'x', { qos: 1, properties: { userProperties } })
  const taken = await channel.get('work')
  assert.ok(taken !== false)
  channel.reject(taken, false)
  const next = await consume(channel, 'dead')
  const { properties } = await next()
  assert.equal(properties.headers?.['tenant'], 'acme')
  assert.equal(properties.headers?.['x-first-death-queue'], 'work')
})

test('what MQTT cannot hold, or has no topic for, ends no connection', async (t) => {
  const { channel, mqtt } = await open(t)
  const next = await subscribe(mqtt, '#', 0)
  const name = 'n'.repeat(200)
  const big = { [name]: 'v'.repeat(60_000), bytes: Buffer.alloc(3), none: null }
  channel.publish('amq.topic', 'a', Buffer.from('1'), { headers: big })
  channel.publish('amq.topic', '', Buffer.from('2'))
  const topics = [(await next()).topic, (await next()).topic]
  assert.deepEqual(topics, ['a', '%'])
  assert.equal(mqtt.connected, true)
})
