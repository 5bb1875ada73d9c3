/**
 * Every property in every direction, version and QoS, with clients other people wrote: prints what
 * became of each, and fails where that is not what docs/crossing.md says.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import {
  type Channel,
  type ChannelModel,
  connect,
  type ConsumeMessage,
  type Options,
} from 'amqplib'
import {
  connectAsync,
  type IClientPublishOptions,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

type Version = 4 | 5
type Qos = 0 | 1 | 2
/** `same`: in the property that means it; `marked`: elsewhere, so that nothing is lost. */
type Fate = 'same' | 'marked' | 'lost'

const QOS: readonly Qos[] = [0, 1, 2]
const VERSIONS: readonly Version[] = [4, 5]

let broker: TestBroker
let connection: ChannelModel
let channel: Channel
const mqtt = new Map<Version, MqttClient>()

before(async () => {
  broker = await startTestBroker({ listen: { mqtt: 0 } })
  connection = await connect(broker.url('amqp'))
  channel = await connection.createChannel()
  for (const protocolVersion of VERSIONS) {
    const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
    mqtt.set(protocolVersion, await connectAsync(url, { protocolVersion, reconnectPeriod: 0 }))
  }
})

after(async () => {
  for (const client of mqtt.values()) await client.endAsync(true)
  await connection.close()
  await broker[Symbol.asyncDispose]()
})

interface ToMqtt {
  readonly sent: Options.Publish
  /** What MQTT 5 shows of it; 3.1.1 has no properties. */
  readonly fate: Fate
  readonly seen: (packet: IPublishPacket) => unknown
  readonly value: unknown
}

function user(name: string): (packet: IPublishPacket) => unknown {
  return ({ properties }) => properties?.userProperties?.[name]
}

const TO_MQTT: Readonly<Record<string, ToMqtt>> = {
  'content-type': row({ contentType: 'a/b' }, 'same', (p) => p.properties?.contentType, 'a/b'),
  'content-encoding': row(
    { contentEncoding: 'gzip' },
    'marked',
    user('amqp-content-encoding'),
    'gzip',
  ),
  'correlation-id': row(
    { correlationId: '7' },
    'same',
    (p) => p.properties?.correlationData?.toString(),
    '7',
  ),
  'reply-to': row({ replyTo: 'q' }, 'same', (p) => p.properties?.responseTopic, '$queue/q'),
  expiration: row({ expiration: '60000' }, 'same', (p) => p.properties?.messageExpiryInterval, 60),
  'message-id': row({ messageId: 'm' }, 'marked', user('amqp-message-id'), 'm'),
  timestamp: row({ timestamp: 1_700_000_000 }, 'marked', user('amqp-timestamp'), '1700000000'),
  type: row({ type: 't' }, 'marked', user('amqp-type'), 't'),
  'user-id': row({ userId: 'guest' }, 'marked', user('amqp-user-id'), 'guest'),
  'app-id': row({ appId: 'app' }, 'marked', user('amqp-app-id'), 'app'),
  priority: row({ priority: 3 }, 'marked', user('amqp-priority'), '3'),
  'text header': row({ headers: { h: 'x' } }, 'same', user('h'), 'x'),
  'number header': row({ headers: { h: 5 } }, 'marked', user('h'), '5'),
  'boolean header': row({ headers: { h: true } }, 'marked', user('h'), 'true'),
  'list header': row({ headers: { h: ['x', 'y'] } }, 'same', user('h'), ['x', 'y']),
  'table header': row({ headers: { h: { a: 1 } } }, 'marked', user('h;json'), '{"a":1}'),
  'octets header': row({ headers: { h: Buffer.of(1, 255) } }, 'marked', user('h;base64'), 'Af8='),
  'null header': row({ headers: { h: null } }, 'marked', user('h;json'), 'null'),
}

function row(sent: Options.Publish, fate: Fate, seen: ToMqtt['seen'], value: unknown): ToMqtt {
  return { sent, fate, seen, value }
}

interface ToAmqp {
  readonly sent: IClientPublishOptions
  readonly fate: Fate
  readonly seen: (message: ConsumeMessage) => unknown
  readonly value: unknown
}

type Mqtt5 = NonNullable<IClientPublishOptions['properties']>

function from(properties: Mqtt5, fate: Fate, seen: ToAmqp['seen'], value: unknown): ToAmqp {
  return { sent: { properties }, fate, seen, value }
}

function header(name: string): (message: ConsumeMessage) => unknown {
  return ({ properties }) => (properties.headers as Record<string, unknown> | undefined)?.[name]
}

const TO_AMQP: Readonly<Record<string, ToAmqp>> = {
  'content type': from(
    { contentType: 'a/b' },
    'same',
    (m) => m.properties.contentType as unknown,
    'a/b',
  ),
  'correlation data, text': from(
    { correlationData: Buffer.from('7') },
    'same',
    (m) => m.properties.correlationId as unknown,
    '7',
  ),
  'correlation data, octets': from(
    { correlationData: Buffer.of(255, 0) },
    'marked',
    header('x-correlation-id'),
    Buffer.of(255, 0),
  ),
  'response topic, queue': from(
    { responseTopic: '$queue/q' },
    'same',
    (m) => m.properties.replyTo as unknown,
    'q',
  ),
  'response topic': from({ responseTopic: 'a/b' }, 'same', header('x-reply-to-topic'), 'a.b'),
  'message expiry': from(
    { messageExpiryInterval: 60 },
    'same',
    (m) => m.properties.expiration as unknown,
    '60000',
  ),
  'payload format': from(
    { payloadFormatIndicator: true },
    'marked',
    header('x-payload-format'),
    'utf-8',
  ),
  'user property': from({ userProperties: { h: 'x' } }, 'same', header('h'), 'x'),
  'user properties of one name': from({ userProperties: { h: ['x', 'y'] } }, 'same', header('h'), [
    'x',
    'y',
  ]),
}

for (const version of VERSIONS) {
  for (const qos of QOS) {
    const name = `MQTT ${version === 5 ? '5.0' : '3.1.1'}, QoS ${qos}`

    test(`AMQP to ${name}`, async (t) => {
      const client = mqtt.get(version)!
      const topic = `to-mqtt/${version}/${qos}`
      const key = topic.replaceAll('/', '.')
      await client.subscribeAsync(topic, { qos })
      for (const [property, { sent, fate, seen, value }] of Object.entries(TO_MQTT)) {
        const packet = await oneMqtt(client, topic, () => {
          channel.publish('amq.topic', key, Buffer.from('body'), { ...sent, persistent: true })
        })
        assert.equal(packet.payload.toString(), 'body', property)
        assert.equal(packet.topic, topic)
        assert.equal(packet.qos, Math.min(qos, 1), `${property}: persistent is QoS 1`)
        // mqtt.js makes an object without a prototype of user properties.
        const found = plain(seen(packet))
        const expected = version === 5 ? value : undefined
        assert.deepEqual(found, expected, `${property} to ${name}`)
        t.diagnostic(`${property}: ${version === 5 ? fate : 'lost'}`)
      }
      await client.unsubscribeAsync(topic)
    })

    test(`${name} to AMQP`, async (t) => {
      const client = mqtt.get(version)!
      const { queue } = await channel.assertQueue('', { exclusive: true })
      await channel.bindQueue(queue, 'amq.topic', 'to-amqp.#')
      const next = await arrivals(queue)
      for (const [property, { sent, fate, seen, value }] of Object.entries(TO_AMQP)) {
        const options = version === 5 ? { ...sent, qos } : { qos }
        await client.publishAsync('to-amqp/x', 'body', options)
        const message = await next()
        assert.equal(message.content.toString(), 'body', property)
        assert.equal(message.fields.routingKey, 'to-amqp.x')
        assert.equal(message.properties.deliveryMode, qos === 0 ? 1 : 2)
        const expected = version === 5 ? value : undefined
        assert.deepEqual(seen(message), expected, `${property} from ${name}`)
        t.diagnostic(`${property}: ${version === 5 ? fate : 'not in this version'}`)
      }
      await channel.deleteQueue(queue)
    })
  }
}

function plain(value: unknown): unknown {
  return Array.isArray(value) ? [...(value as unknown[])] : value
}

async function oneMqtt(
  client: MqttClient,
  topic: string,
  publish: () => void,
): Promise<IPublishPacket> {
  const { promise, resolve } = Promise.withResolvers<IPublishPacket>()
  const listener = (found: string, _payload: Buffer, packet: IPublishPacket): void => {
    if (found === topic) resolve(packet)
  }
  client.on('message', listener)
  publish()
  const packet = await promise
  client.off('message', listener)
  return packet
}

async function arrivals(queue: string): Promise<() => Promise<ConsumeMessage>> {
  const kept: ConsumeMessage[] = []
  let wake: (message: ConsumeMessage) => void = (message) => kept.push(message)
  await channel.consume(queue, (message) => wake(message!), { noAck: true })
  return async () => {
    const first = kept.shift()
    if (first !== undefined) return first
    return new Promise((resolve) => {
      wake = (message) => {
        wake = (later) => kept.push(later)
        resolve(message)
      }
    })
  }
}
