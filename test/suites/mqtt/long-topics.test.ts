/** Topics and client ids beyond the 255 octets that other protocols have for names. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import amqplib, { type ConsumeMessage } from 'amqplib'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

/** As long as MQTT allows, save what an address needs beside it. */
const LONGEST = `deep/${'x'.repeat(64_900)}/end`
const DOTTED = `${'v1.0/'.repeat(60)}end`

interface World {
  readonly broker: TestBroker
  readonly connect: (options?: IClientOptions) => Promise<MqttClient>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0 } })
  const clients: MqttClient[] = []
  t.after(async () => {
    await Promise.all(clients.map(async (client) => client.endAsync(true)))
    await broker[Symbol.asyncDispose]()
  })
  const connect = async (options: IClientOptions = {}): Promise<MqttClient> => {
    const all = { protocolVersion: 5, reconnectPeriod: 0, ...options } as const
    const client = await connectAsync(broker.url('mqtt'), all)
    clients.push(client)
    return client
  }
  return { broker, connect }
}

function topicsOf(client: MqttClient): string[] {
  const topics: string[] = []
  client.on('message', (topic) => topics.push(topic))
  return topics
}

for (const protocolVersion of [4, 5] as const) {
  test(`a long topic goes from client to client of version ${protocolVersion}`, async (t) => {
    const { broker, connect } = await open(t)
    const publisher = await connect({ protocolVersion })
    const subscribers = [
      [await connect({ protocolVersion }), 'deep/+/end', 0],
      [await connect({ protocolVersion }), 'deep/#', 1],
      [await connect({ protocolVersion }), LONGEST, 2],
      [await connect({ protocolVersion }), '$share/group/deep/#', 1],
      [await connect({ protocolVersion }), `$share/group/${LONGEST.slice(0, -12)}/#`, 1],
    ] as const
    const heard = []
    for (const [client, filter, qos] of subscribers) {
      heard.push(topicsOf(client))
      await client.subscribeAsync(filter, { qos })
    }
    for (const qos of [0, 1, 2] as const) await publisher.publishAsync(LONGEST, 'x', { qos })
    for (const topics of heard.slice(0, 4)) {
      await broker.waitFor(() => topics.length === 3)
      assert.deepEqual(new Set(topics), new Set([LONGEST]))
    }
    assert.deepEqual(heard[4], [])
  })
}

test('it is retained and delayed, and a session has it after a crash', async (t) => {
  const { broker, connect } = await open(t)
  const options = { clientId: 'keeper', clean: false, properties: { sessionExpiryInterval: 600 } }
  const keeper = await connect(options)
  await keeper.subscribeAsync([LONGEST, 'v1.0/#'], { qos: 1 })
  await keeper.endAsync()
  const publisher = await connect()
  await publisher.publishAsync(LONGEST, 'kept', { qos: 1, retain: true })
  await publisher.publishAsync(`$delayed/30/${DOTTED}`, 'later', { qos: 1 })
  await broker.crash('power-cut')
  await broker.clock.advance('31s')
  const { default: mqtt } = await import('mqtt')
  const back = mqtt.connect(broker.url('mqtt'), { ...options, protocolVersion: 5 })
  t.after(() => back.endAsync(true))
  const topics = topicsOf(back)
  await broker.waitFor(() => topics.length === 2)
  assert.deepEqual(topics.toSorted(), [LONGEST, DOTTED].toSorted())
  const late = await connect()
  const retained = topicsOf(late)
  await late.subscribeAsync('deep/#', { qos: 1 })
  await broker.waitFor(() => retained.length === 1)
  assert.deepEqual(retained, [LONGEST])
  await late.publishAsync(LONGEST, '', { qos: 1, retain: true })
  const later = topicsOf(await connect())
  assert.deepEqual(later, [])
})

test('AMQP sees a shortened key, and the whole one in a header', async (t) => {
  const { broker, connect } = await open(t)
  const amqp = await amqplib.connect(broker.url('amqp'))
  const channel = await amqp.createChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindQueue(queue, 'amq.topic', 'v1%2E0.#')
  const messages: ConsumeMessage[] = []
  await channel.consume(queue, (message) => messages.push(message!), { noAck: true })
  const publisher = await connect()
  await publisher.publishAsync(DOTTED, 'x', { qos: 1, properties: { contentType: 'text/plain' } })
  await broker.waitFor(() => messages.length === 1)
  const { fields, properties } = messages[0]!
  const key = DOTTED.replaceAll('.', '%2E').replaceAll('/', '.')
  assert.equal(Buffer.byteLength(fields.routingKey), 255)
  assert.ok(fields.routingKey.endsWith('…'))
  assert.ok(key.startsWith(fields.routingKey.slice(0, -1)))
  assert.equal(properties.headers?.['x-routing-key'], key)
  assert.equal(properties.contentType, 'text/plain')
  await amqp.close()
})

test('a client id may be long too, with a session that is kept', async (t) => {
  const { broker, connect } = await open(t)
  const clientId = 'c'.repeat(60_000)
  const options = { clientId, clean: false, properties: { sessionExpiryInterval: 600 } }
  const first = await connect(options)
  await first.subscribeAsync('a', { qos: 2 })
  await first.endAsync()
  const other = await connect()
  await other.publishAsync('a', 'x', { qos: 2 })
  const second = await connect(options)
  const topics = topicsOf(second)
  await broker.waitFor(() => topics.length === 1)
  await second.publishAsync('b', 'y', { qos: 2 })
  const refused = connect({ ...options, clientId: 'c'.repeat(65_000) })
  await assert.rejects(refused, /Client Identifier not valid/)
})

test('what is longer still is refused, and the connection goes on', async (t) => {
  const { connect } = await open(t)
  const client = await connect()
  const long = 'x'.repeat(65_001)
  for (const topic of [long, `$queue/${long}`, `$delayed/5/${long}`, '.'.repeat(21_667)]) {
    await assert.rejects(client.publishAsync(topic, 'x', { qos: 1 }), /Topic Name invalid/)
  }
  for (const filter of [long, `$queue/${long}`, `$share/g/${long}`, '.'.repeat(21_667)]) {
    await assert.rejects(client.subscribeAsync(filter), /Topic Filter invalid/)
  }
  await client.publishAsync('x'.repeat(65_000), 'x', { qos: 1 })
})

test('long filters of one session have a bound, and so have topics with an alias', async (t) => {
  const { connect } = await open(t)
  const client = await connect()
  const filter = (count: number): string => `${count}/${'f'.repeat(64_000)}`
  let accepted = 0
  for (let refused = false; !refused && accepted < 100;) {
    refused = await client.subscribeAsync(filter(accepted), { qos: 0 }).then(
      () => false,
      () => true,
    )
    if (!refused) accepted++
  }
  assert.equal(accepted, 65, '4 Mi characters')
  await client.unsubscribeAsync(filter(0))
  await client.subscribeAsync(filter(100), { qos: 0 })
})
