/** Filters on subscriptions, by user property of SUBSCRIBE, with MQTT.js. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connect as connectAmqp } from 'amqplib'
import { connect as mqttConnect, connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly connect: (clientId: string, options?: IClientOptions) => Promise<MqttClient>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { mqtt: 0, amqp: 0 } })
  const clients: MqttClient[] = []
  t.after(async () => {
    await Promise.all(clients.map(async (client) => client.endAsync(true)))
    await broker[Symbol.asyncDispose]()
  })
  const connect = async (clientId: string, options: IClientOptions = {}): Promise<MqttClient> => {
    const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
    const all = { clientId, protocolVersion: 5, reconnectPeriod: 0, ...options } as const
    const client = await connectAsync(url, all)
    clients.push(client)
    return client
  }
  return { broker, connect }
}

/** Takes up a session, hearing what it brings from the first octet on. */
async function connectLater(
  t: TestContext,
  broker: TestBroker,
  clientId: string,
): Promise<{ readonly got: string[] }> {
  const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
  const properties = { sessionExpiryInterval: 600 }
  const client = mqttConnect(url, { clientId, protocolVersion: 5, clean: false, properties })
  t.after(async () => client.endAsync(true))
  const got = heard(client)
  await new Promise((resolve) => void client.once('connect', resolve))
  return { got }
}

function heard(client: MqttClient): string[] {
  const bodies: string[] = []
  client.on('message', (_topic, payload) => bodies.push(payload.toString()))
  return bodies
}

async function subscribe(
  client: MqttClient,
  topic: string,
  qos: 0 | 1 | 2,
  userProperties: Record<string, string>,
): Promise<void> {
  await client.subscribeAsync(topic, { qos, properties: { userProperties } })
}

async function send(
  client: MqttClient,
  topic: string,
  body: string,
  userProperties: Record<string, string>,
): Promise<void> {
  await client.publishAsync(topic, body, { qos: 1, properties: { userProperties } })
}

for (const qos of [0, 1, 2] as const) {
  test(`a subscription of QoS ${qos} gets what its selector is true of`, async (t) => {
    const { broker, connect } = await open(t)
    const subscriber = await connect('s')
    const got = heard(subscriber)
    const sql = "room LIKE 'k%' AND [x-unit] <> 'F'"
    await subscribe(subscriber, 'temperature/+', qos, { 'x-filter-sql': sql })
    const publisher = await connect('p')
    await send(publisher, 'temperature/1', 'a', { room: 'kitchen', 'x-unit': 'C' })
    await send(publisher, 'temperature/1', 'b', { room: 'hall', 'x-unit': 'C' })
    await send(publisher, 'temperature/2', 'c', { room: 'kitchen', 'x-unit': 'F' })
    await send(publisher, 'temperature/2', 'd', { room: 'kitchen' })
    await send(publisher, 'temperature/1', 'e', { room: 'kids', 'x-unit': 'C' })
    await broker.waitFor(() => got.length === 2)
    await send(publisher, 'temperature/1', 'end', { room: 'k', 'x-unit': 'C' })
    await broker.waitFor(() => got.length === 3)
    assert.deepEqual(got, ['a', 'e', 'end'])
  })
}

test('what nobody wants is not stored for a session that is away', async (t) => {
  const { broker, connect } = await open(t)
  const kept = { clean: false, properties: { sessionExpiryInterval: 600 } }
  const first = await connect('away', kept)
  await subscribe(first, 'orders', 1, { 'x-filter-tags': 'paid || sent' })
  await first.endAsync()
  await broker.restart()
  const publisher = await connect('p')
  for (const tag of ['new', 'paid', 'late', 'sent']) {
    await send(publisher, 'orders', tag, { tag })
  }
  assert.equal(broker.destination('mqtt.away').ready, 2)
  // Messages may come with CONNACK: whoever listens later misses them.
  const again = mqttConnect(`mqtt://127.0.0.1:${broker.port('mqtt')}`, {
    ...{ clientId: 'away', protocolVersion: 5, reconnectPeriod: 0 },
    ...kept,
  })
  t.after(async () => again.endAsync(true))
  const got = heard(again)
  await broker.waitFor(() => got.length === 2)
  await send(publisher, 'orders', 'paid again', { tag: 'paid' })
  await send(publisher, 'orders', 'late again', { tag: 'late' })
  await broker.waitFor(() => got.length === 3)
  assert.deepEqual(got.toSorted(), ['paid', 'paid again', 'sent'])
})

test('of subscriptions that overlap each has its own filter', async (t) => {
  const { broker, connect } = await open(t)
  const subscriber = await connect('s')
  const levels: string[] = []
  subscriber.on('message', (_topic, payload, { qos }) =>
    levels.push(`${payload.toString()} ${qos}`),
  )
  await subscribe(subscriber, 'a/#', 1, { 'x-filter-sql': "kind = 'big'" })
  await subscribe(subscriber, 'a/b', 0, { 'x-filter-sql': "colour = 'red'" })
  const publisher = await connect('p')
  await send(publisher, 'a/b', '1', { kind: 'big', colour: 'red' })
  await send(publisher, 'a/b', '2', { kind: 'small', colour: 'red' })
  await send(publisher, 'a/b', '3', { kind: 'small', colour: 'blue' })
  await send(publisher, 'a/b', '4', { kind: 'big', colour: 'blue' })
  await broker.waitFor(() => levels.length === 3)
  assert.deepEqual(levels.toSorted(), ['1 1', '2 0', '4 1'])
})

test('a filter is replaced by the next subscription, and holds for what is retained', async (t) => {
  const { broker, connect } = await open(t)
  const publisher = await connect('p')
  const retain = async (topic: string, colour: string): Promise<void> => {
    const properties = { userProperties: { colour } }
    await publisher.publishAsync(topic, colour, { qos: 1, retain: true, properties })
  }
  await retain('paint/1', 'red')
  await retain('paint/2', 'blue')
  const subscriber = await connect('s')
  const got = heard(subscriber)
  await subscribe(subscriber, 'paint/+', 1, { 'x-filter-sql': "colour = 'red'" })
  await broker.waitFor(() => got.length === 1)
  await subscribe(subscriber, 'paint/+', 1, { 'x-filter-sql': "colour = 'blue'" })
  await broker.waitFor(() => got.length === 2)
  await send(publisher, 'paint/3', 'red', { colour: 'red' })
  await send(publisher, 'paint/3', 'blue', { colour: 'blue' })
  await broker.waitFor(() => got.length === 3)
  assert.deepEqual(got, ['red', 'blue', 'blue'])
  await subscriber.unsubscribeAsync('paint/+')
  await send(publisher, 'paint/3', 'blue', { colour: 'blue' })
  assert.equal(broker.destination('mqtt.s').ready, 0)
})

test('what cannot be filtered is refused with the reason', async (t) => {
  const { connect } = await open(t)
  const client = await connect('s')
  const reasons: unknown[] = []
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'suback') {
      reasons.push([packet.granted[0], { ...packet.properties }['reasonString']])
    }
  })
  const ask = async (topic: string, sql: string): Promise<void> => {
    await assert.rejects(subscribe(client, topic, 1, { 'x-filter-sql': sql }))
  }
  await ask('a', 'a >')
  await ask('$share/group/a', 'a = ')
  assert.deepEqual(reasons, [
    [0x83, 'filter, character 4: a name, a constant or a bracket is expected, not the end'],
    [0x83, 'filter, character 5: a name, a constant or a bracket is expected, not the end'],
  ])
})

test('headers and properties of AMQP messages are looked at as well', async (t) => {
  const { broker, connect } = await open(t)
  const subscriber = await connect('s')
  const got = heard(subscriber)
  await subscribe(subscriber, 'prices', 1, {
    'x-filter-sql': "amount * 2 > 10 AND p.app_id = 'shop'",
  })
  const amqp = await connectAmqp(broker.url('amqp'))
  const channel = await amqp.createConfirmChannel()
  for (const amount of [5, 6, 7]) {
    const body = Buffer.from(`${amount}`)
    channel.publish('amq.topic', 'prices', body, { appId: 'shop', headers: { amount } })
    channel.publish('amq.topic', 'prices', body, { appId: 'other', headers: { amount } })
  }
  await channel.waitForConfirms()
  await broker.waitFor(() => got.length === 2)
  assert.deepEqual(got, ['6', '7'])
  await channel.assertQueue('s', { arguments: { 'x-queue-type': 'stream' } })
  await subscribe(subscriber, '$stream/s', 1, { 'x-filter-sql': 'n > 1' })
  for (const n of [1, 2, 3]) channel.sendToQueue('s', Buffer.from(`s${n}`), { headers: { n } })
  await channel.waitForConfirms()
  await broker.waitFor(() => got.length === 4)
  assert.deepEqual(got.slice(2), ['s2', 's3'])
  await amqp.close()
})

for (const qos of [1, 2] as const) {
  test(`members of a group take what they want of it, with QoS ${qos}`, async (t) => {
    const { broker, connect } = await open(t)
    const kept = { clean: false, properties: { sessionExpiryInterval: 600 } }
    const red = await connect('red', kept)
    const any = await connect('any')
    const gotRed = heard(red)
    const share = '$share/painters/paint/+'
    await subscribe(red, share, qos, { 'x-filter-sql': "colour = 'red'" })
    const publisher = await connect('p')
    const paint = async (body: string, colour: string): Promise<void> => {
      await publisher.publishAsync('paint/1', body, {
        qos,
        properties: { userProperties: { colour } },
      })
    }
    await paint('1', 'red')
    await paint('2', 'blue')
    await paint('3', 'red')
    await broker.waitFor(() => gotRed.length === 2)
    const gotAny = heard(any)
    assert.deepEqual(gotRed, ['1', '3'])
    assert.equal(broker.destination(share).ready, 1)

    // Its session keeps the filter, and what comes meanwhile.
    await red.endAsync()
    await paint('4', 'blue')
    await paint('5', 'red')
    const again = await connectLater(t, broker, 'red')
    await broker.waitFor(() => again.got.length === 1)
    assert.deepEqual(again.got, ['5'])
    await any.subscribeAsync(share, { qos })
    await broker.waitFor(() => gotAny.length === 2)
    assert.deepEqual(gotAny, ['2', '4'])
  })
}

test('consumers of AMQP and MQTT share a queue, each with its own filter', async (t) => {
  const { broker, connect } = await open(t)
  const amqp = await connectAmqp(broker.url('amqp'))
  const channel = await amqp.createConfirmChannel()
  await channel.assertQueue('jobs')
  for (const n of [1, 2, 3, 4]) {
    channel.sendToQueue('jobs', Buffer.from(`${n}`), { headers: { n, even: n % 2 === 0 } })
  }
  await channel.waitForConfirms()
  const odd: string[] = []
  const filter = { 'x-filter-sql': 'NOT even' }
  const take = (message: { content: Buffer } | null): void =>
    void odd.push(String(message!.content))
  await channel.consume('jobs', take, { arguments: filter, noAck: true })
  const client = await connect('s')
  const even = heard(client)
  await subscribe(client, '$queue/jobs', 1, { 'x-filter-sql': 'even AND n > 2' })
  await broker.waitFor(() => odd.length === 2 && even.length === 1)
  assert.deepEqual([odd, even], [['1', '3'], ['4']])
  await broker.waitFor(() => broker.destination('jobs').ready === 1)
  await amqp.close()
})
