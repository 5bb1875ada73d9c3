/** Retries and dead letters from one protocol to another, with MQTT.js and amqplib. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import amqplib, { type Channel, type GetMessage } from 'amqplib'
import { connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly channel: Channel
  readonly connect: (options?: IClientOptions) => Promise<MqttClient>
  readonly reopen: () => Promise<Channel>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0 } })
  const clients: MqttClient[] = []
  const closing: (() => Promise<void>)[] = []
  t.after(async () => {
    await Promise.all(clients.map(async (client) => client.endAsync(true)))
    for (const close of closing) await close().catch(() => {})
    await broker[Symbol.asyncDispose]()
  })
  const reopen = async (): Promise<Channel> => {
    const amqp = await amqplib.connect(broker.url('amqp'))
    amqp.on('error', () => {})
    closing.push(async () => amqp.close())
    return amqp.createChannel()
  }
  const connect = async (options: IClientOptions = {}): Promise<MqttClient> => {
    const all = { protocolVersion: 5, reconnectPeriod: 0, ...options } as const
    const client = await connectAsync(broker.url('mqtt'), all)
    client.on('error', () => {})
    clients.push(client)
    return client
  }
  return { broker, channel: await reopen(), connect, reopen }
}

interface Refusal {
  readonly code: number
}

/** A client that refuses what it gets, with the code that `refuse` gives. */
function refusing(refuse: (packet: IPublishPacket) => Refusal): IClientOptions {
  return {
    customHandleAcks: (_topic, _message, packet, done) => {
      done(refuse(packet).code)
    },
  }
}

/** MQTT.js gives an acknowledgement no text of its own: it is put in before the packet is written. */
function explain(client: MqttClient, texts: string[]): void {
  client.on('packetsend', (packet) => {
    if (packet.cmd !== 'puback' || (packet.reasonCode ?? 0) < 0x80) return
    const reasonString = texts.shift()
    if (reasonString !== undefined) packet.properties = { reasonString }
  })
}

async function deadLetter(
  broker: TestBroker,
  channel: Channel,
  queue: string,
): Promise<GetMessage> {
  let found: GetMessage | false = false
  await broker.waitFor(async () => {
    found = await channel.get(queue, { noAck: true })
    return found !== false
  })
  assert.ok(found)
  return found
}

const toDead = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' }

test('what an MQTT client refuses is retried, and dies with its first and its last error', async (t) => {
  const { broker, channel, connect, reopen } = await open(t)
  await channel.assertQueue('dead')
  const retries = { 'x-retry-delay': 60_000, 'x-retry-limit': 2 }
  await channel.assertQueue('work', { arguments: { ...toDead, ...retries } })
  const counts: unknown[] = []
  const refuse = ({ properties }: IPublishPacket): Refusal => {
    counts.push(properties?.userProperties?.['x-delivery-count'])
    return { code: 0x83 }
  }
  const worker = await connect(refusing(refuse))
  explain(worker, ['no such customer'])
  await worker.subscribeAsync('$queue/work', { qos: 1 })
  channel.sendToQueue('work', Buffer.from('order'), { persistent: true })
  await broker.waitFor(() => counts.length === 1)
  await broker.settle()
  // What was said outlives the broker.
  await broker.crash()
  const again = await connect(refusing(refuse))
  explain(again, ['still none', 'give up'])
  await again.subscribeAsync('$queue/work', { qos: 1 })
  await broker.clock.advance('1m')
  await broker.waitFor(() => counts.length === 2)
  await broker.settle()
  await broker.clock.advance('1m')
  const dead = await deadLetter(broker, await reopen(), 'dead')
  assert.deepEqual(counts, [undefined, '1', '2'])
  const headers = dead.properties.headers ?? {}
  assert.equal(headers['x-first-death-reason'], 'delivery_limit')
  assert.equal(headers['x-last-death-attempts'], 3)
  assert.equal(headers['x-first-death-error'], 'no such customer')
  assert.equal(headers['x-last-death-error'], 'give up')
})

test('a queue without retries dead-letters what an MQTT client refuses, with the error', async (t) => {
  const { broker, channel, connect } = await open(t)
  await channel.assertQueue('dead')
  await channel.assertQueue('once', { arguments: toDead })
  const worker = await connect(refusing(() => ({ code: 0x87 })))
  await worker.subscribeAsync('$queue/once', { qos: 1 })
  channel.sendToQueue('once', Buffer.from('order'), { persistent: true })
  const dead = await deadLetter(broker, channel, 'dead')
  const headers = dead.properties.headers ?? {}
  assert.equal(headers['x-last-death-reason'], 'rejected')
  assert.equal(headers['x-last-death-error'], 'reason code 135')
})

test('what MQTT published and AMQP rejected tells MQTT how it died', async (t) => {
  const { broker, channel, connect } = await open(t)
  await channel.assertQueue('dead')
  await channel.assertQueue('work', { arguments: { ...toDead, 'x-retry-delay': 60_000 } })
  await channel.bindQueue('work', 'amq.topic', 'orders.#')
  const publisher = await connect()
  const userProperties = { tenant: 'acme' }
  await publisher.publishAsync('orders/7', 'bad', { qos: 1, properties: { userProperties } })
  const taken: amqplib.ConsumeMessage[] = []
  await channel.consume('work', (message) => void taken.push(message!))
  await broker.waitFor(() => taken.length === 1)
  channel.nack(taken[0]!, false, true)
  await broker.settle()
  await broker.clock.advance('1m')
  await broker.waitFor(() => taken.length === 2)
  assert.equal(taken[1]!.properties.headers?.['x-delivery-count'], 1)
  channel.nack(taken[1]!, false, false)
  const reader = await connect()
  const packets: IPublishPacket[] = []
  reader.on('message', (_topic, _payload, packet) => packets.push(packet))
  await reader.subscribeAsync('$queue/dead', { qos: 1 })
  await broker.waitFor(() => packets.length === 1)
  assert.equal(String(packets[0]!.payload), 'bad')
  assert.deepEqual(
    { ...packets[0]!.properties?.userProperties },
    {
      tenant: 'acme',
      'x-first-death-exchange': 'amq.topic',
      'x-first-death-queue': 'work',
      'x-first-death-reason': 'rejected',
      'x-last-death-exchange': 'amq.topic',
      'x-last-death-queue': 'work',
      'x-last-death-reason': 'rejected',
      'x-last-death-attempts': '1',
    },
  )
})
