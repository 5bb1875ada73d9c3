/** Limits and rates as MQTT clients meet them, in the broker's own time. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connect as connectAmqp } from 'amqplib'
import { connectAsync, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly connect: (version: 4 | 5) => Promise<MqttClient>
}

/** A queue `q` with those arguments takes what is published to the topic `t`. */
async function open(t: TestContext, args: Record<string, unknown>): Promise<World> {
  const broker = await startTestBroker({ listen: { mqtt: 0, amqp: 0 } })
  const clients: MqttClient[] = []
  const amqp = await connectAmqp(broker.url('amqp'))
  const channel = await amqp.createChannel()
  await channel.assertQueue('q', { arguments: args })
  await channel.bindQueue('q', 'amq.topic', 't')
  t.after(async () => {
    await Promise.all(clients.map(async (client) => client.endAsync(true)))
    await amqp.close()
    await broker[Symbol.asyncDispose]()
  })
  const connect = async (protocolVersion: 4 | 5): Promise<MqttClient> => {
    const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
    const client = await connectAsync(url, { protocolVersion, reconnectPeriod: 0 })
    clients.push(client)
    return client
  }
  return { broker, connect }
}

for (const version of [4, 5] as const) {
  test(`a publisher of version ${version} that is too fast gets its PUBACK later`, async (t) => {
    const { broker, connect } = await open(t, { 'x-publish-rate': 10 })
    const client = await connect(version)
    await client.publishAsync('t', 'first', { qos: 1 })
    let isAnswered = false
    const second = client.publishAsync('t', 'second', { qos: 1 }).then(() => (isAnswered = true))
    await broker.clock.advance(99)
    assert.deepEqual([isAnswered, broker.destination('q').ready], [false, 1])
    await broker.clock.advance(1)
    await second
    assert.equal(broker.destination('q').ready, 2)
  })
}

test('a queue that refuses says why, and when to come again', async (t) => {
  const { broker, connect } = await open(t, {
    'x-publish-rate': 10,
    'x-overflow': 'reject-publish',
  })
  const client = await connect(5)
  await client.publishAsync('t', 'first', { qos: 1 })
  const packets: { readonly reasonCode?: number; readonly properties?: unknown }[] = []
  client.on('packetreceive', (packet) => packets.push(packet as never))
  await assert.rejects(client.publishAsync('t', 'second', { qos: 1 }), /Quota exceeded/)
  const { reasonCode, properties } = packets[0]!
  assert.equal(reasonCode, 0x97)
  assert.deepEqual(
    { ...(properties as object) },
    {
      reasonString: "publish rate of queue 'q' is 10/s, again in 100 ms",
    },
  )
  await broker.clock.advance(100)
  await client.publishAsync('t', 'third', { qos: 1 })
  assert.equal(broker.destination('q').ready, 2)
})

test('a full queue that blocks holds a publisher back until it is emptied', async (t) => {
  const { broker, connect } = await open(t, { 'x-max-length': 2, 'x-overflow': 'block' })
  const client = await connect(5)
  for (const text of ['a', 'b', 'c']) await client.publishAsync('t', text, { qos: 1 })
  let isAnswered = false
  const last = client.publishAsync('t', 'd', { qos: 1 }).then(() => (isAnswered = true))
  await broker.clock.advance('1m')
  assert.deepEqual([isAnswered, broker.destination('q').ready], [false, 3])
  const amqp = await connectAmqp(broker.url('amqp'))
  const channel = await amqp.createChannel()
  await channel.purgeQueue('q')
  await broker.clock.advance(20)
  await last
  assert.equal(broker.destination('q').ready, 1)
  await amqp.close()
})

test('what a session subscribes to with QoS 1 is paced by the policy of its queue', async (t) => {
  const { broker, connect } = await open(t, { 'x-consume-rate': 10 })
  const publisher = await connect(5)
  const subscriber = await connect(5)
  const got: string[] = []
  subscriber.on('message', (_topic, payload) => got.push(payload.toString()))
  // The queue that AMQP declared, by its name.
  await subscriber.subscribeAsync('$queue/q', { qos: 1 })
  for (let n = 0; n < 20; n++) await publisher.publishAsync('t', `${n}`, { qos: 1 })
  await broker.clock.advance('1s')
  await broker.waitFor(() => got.length >= 10)
  assert.equal(got.length, 10)
})

test('a virtual host with all the queues and connections it may have says so', async (t) => {
  const broker = await startTestBroker({ listen: { mqtt: 0, http: 0 } })
  t.after(async () => broker[Symbol.asyncDispose]())
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const put = async (limits: object): Promise<void> => {
    const answer = await fetch(`http://127.0.0.1:${broker.port('http')}/v1/vhosts/%2F/limits`, {
      method: 'PUT',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(limits),
    })
    assert.equal(answer.status, 204)
  }
  await put({ 'max-queues': 0, 'max-connections': 1 })
  const url = `mqtt://127.0.0.1:${broker.port('mqtt')}`
  const options = { protocolVersion: 5, reconnectPeriod: 0 } as const
  const session = { clean: false, properties: { sessionExpiryInterval: 60 } }
  const refused = { code: 0x97 }
  await assert.rejects(connectAsync(url, { ...options, ...session, clientId: 's' }), refused)
  const client = await connectAsync(url, options)
  await assert.rejects(connectAsync(url, options), refused)
  const reasons: unknown[] = []
  client.on('packetreceive', (packet) => {
    if (packet.cmd === 'suback') reasons.push({ ...packet.properties }['reasonString'])
  })
  await assert.rejects(client.subscribeAsync('a', { qos: 1 }))
  assert.match(String(reasons[0]), /queue limit in vhost '\/' \(0\) is reached/)
  await put({})
  await client.subscribeAsync('a', { qos: 1 })
  await client.endAsync()
})
