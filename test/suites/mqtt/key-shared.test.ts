/** Shared subscriptions in order by key, and queues of AMQP that are key-shared, with MQTT.js. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import amqplib from 'amqplib'
import { connectAsync, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly connect: (options?: IClientOptions) => Promise<MqttClient>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0, http: 0 } })
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

type Done = (code: number) => void

/** A client that acknowledges when `take` calls `done`, with that reason code. */
function acknowledging(
  take: (packet: IPublishPacket, done: Done) => void,
  options: IClientOptions = {},
): IClientOptions {
  return {
    ...options,
    customHandleAcks: (_topic, _message, packet, done) => {
      take(packet, done)
    },
  }
}

async function subscribe(
  client: MqttClient,
  filter: string,
  userProperties: Record<string, string> | null = null,
  qos: 1 | 2 = 1,
): Promise<number> {
  const properties = userProperties === null ? {} : { properties: { userProperties } }
  const [granted] = await client.subscribeAsync(filter, { qos, ...properties })
  return granted!.qos
}

test('members of a shared subscription get each topic in order, one of them at a time', async (t) => {
  const { broker, connect } = await open(t)
  const problems: string[] = []
  const holder = new Map<string, number>()
  const next = new Map<string, number>()
  const handled = [0, 0, 0]
  for (const member of handled.keys()) {
    const take = ({ topic, payload }: IPublishPacket, done: Done): void => {
      if (holder.has(topic)) problems.push(`${topic} is with two`)
      if (Number(payload) !== (next.get(topic) ?? 1)) problems.push(`${topic}: ${String(payload)}`)
      holder.set(topic, member)
      next.set(topic, Number(payload) + 1)
      handled[member]!++
      setTimeout(() => {
        holder.delete(topic)
        done(0)
      }, Math.random() * 3)
    }
    // One at a time, so that a key is free as soon as its message is done with.
    const client = await connect(acknowledging(take, { properties: { receiveMaximum: 1 } }))
    const granted = await subscribe(client, '$share/g/orders/+', { 'x-key-shared': 'true' }, 2)
    assert.equal(granted, 1, 'QoS 2 is its session own, so 1 is granted')
  }
  const publisher = await connect()
  for (let sequence = 1; sequence <= 15; sequence++) {
    for (let order = 0; order < 8; order++) {
      await publisher.publishAsync(`orders/${order}`, String(sequence), { qos: 1 })
    }
  }
  await broker.waitFor(() => handled[0]! + handled[1]! + handled[2]! === 120)
  assert.deepEqual(problems, [])
  assert.ok(
    handled.every((count) => count > 0),
    handled.join(),
  )
})

test('a user property may hold the key, and all members must agree', async (t) => {
  const { broker, connect } = await open(t)
  const seen: [number, string][] = []
  const release: (() => void)[] = []
  for (const member of [0, 1]) {
    const take = ({ payload }: IPublishPacket, done: Done): void => {
      seen.push([member, String(payload)])
      release[member] = () => done(0)
    }
    const client = await connect(acknowledging(take, { properties: { receiveMaximum: 1 } }))
    const asked = member === 0 ? { 'x-key-header': 'tenant' } : null
    await subscribe(client, '$share/g/#', asked)
  }
  const stranger = await connect()
  for (const asked of [{ 'x-key-shared': 'true' }, { 'x-key-shared': 'perhaps' }]) {
    await assert.rejects(subscribe(stranger, '$share/g/#', asked as never), /Implementation/)
  }
  for (const [body, tenant] of [
    ['a1', 'a'],
    ['a2', 'a'],
    ['b1', 'b'],
  ] as const) {
    const properties = { userProperties: { tenant } }
    await stranger.publishAsync(`t/${body}`, body, { qos: 1, properties })
  }
  await broker.waitFor(() => seen.length === 2)
  assert.deepEqual(seen.map(([, body]) => body).toSorted(), ['a1', 'b1'])
  const holderOf = (body: string): number => seen.find(([, other]) => other === body)![0]
  release[holderOf('b1')]!()
  await broker.settle()
  assert.equal(seen.length, 2, 'the second one of its key waits, although a member is free')
  release[holderOf('a1')]!()
  await broker.waitFor(() => seen.length === 3)
})

test('a session that comes back is in the order it asked for', async (t) => {
  const { broker, connect } = await open(t)
  const kept = { clientId: 'worker', clean: false, properties: { sessionExpiryInterval: 3600 } }
  const first = await connect(kept)
  await subscribe(first, '$share/g/#', { 'x-key-shared': 'true' })
  await first.endAsync()
  await broker.crash()
  const seen: string[] = []
  const take = ({ payload }: IPublishPacket, done: Done): void => {
    seen.push(String(payload))
    if (seen.length > 1) done(0)
  }
  const one = { ...kept.properties, receiveMaximum: 1 }
  await connect(acknowledging(take, { ...kept, properties: one }))
  const stranger = await connect()
  await assert.rejects(subscribe(stranger, '$share/g/#', { 'x-key-shared': 'false' }))
  await subscribe(stranger, '$share/g/#')
  const heard: string[] = []
  stranger.on('message', (_topic, payload) => heard.push(String(payload)))
  const publisher = await connect()
  await publisher.publishAsync('k', 'k1', { qos: 1 })
  await broker.waitFor(() => seen.length + heard.length === 1)
  const more = seen.length === 1 ? ['k2', 'l1'] : ['l1']
  for (const body of more) await publisher.publishAsync(body[0]!, body, { qos: 1 })
  if (seen.length === 1) {
    await broker.waitFor(() => heard.length === 1)
    await broker.settle()
    assert.deepEqual([seen, heard], [['k1'], ['l1']])
  }
})

test('clients of MQTT take part in a key-shared queue of AMQP, with its retries', async (t) => {
  const { broker, connect } = await open(t)
  const amqp = await amqplib.connect(broker.url('amqp'))
  t.after(async () => amqp.close().catch(() => {}))
  const channel = await amqp.createChannel()
  await channel.assertQueue('work', {
    arguments: { 'x-key-shared': true, 'x-retry-delay': 60_000, 'x-retry-limit': 5 },
  })
  await channel.bindQueue('work', 'amq.topic', '#')
  const seen: string[] = []
  for (let member = 0; member < 2; member++) {
    const take = ({ payload, properties }: IPublishPacket, done: Done): void => {
      const body = String(payload)
      const attempts = properties?.userProperties?.['x-delivery-count'] ?? '0'
      seen.push(`${body}/${String(attempts)}`)
      done(body === 'bad1' && attempts === '0' ? 0x83 : 0)
    }
    const client = await connect(acknowledging(take, { properties: { receiveMaximum: 1 } }))
    await client.subscribeAsync('$queue/work', { qos: 1 })
  }
  const publisher = await connect()
  for (const body of ['bad1', 'bad2', 'good1', 'good2']) {
    await publisher.publishAsync(body.slice(0, -1), body, { qos: 1 })
  }
  await broker.waitFor(() => seen.length === 3)
  await broker.settle()
  assert.deepEqual(seen, ['bad1/0', 'good1/0', 'good2/0'])
  await broker.clock.advance('1m')
  await broker.waitFor(() => seen.length === 5)
  assert.deepEqual(seen.slice(3), ['bad1/1', 'bad2/0'])
})

test('a policy gives a shared subscription order by key and retries', async (t) => {
  const { broker, connect } = await open(t)
  const definition = { 'key-shared': true, 'retry-delay': 60_000, 'delivery-limit': 1 }
  const answer = await fetch(`${broker.url('http')}/v1/policies/%2F/groups`, {
    method: 'PUT',
    headers: {
      authorization: `Basic ${Buffer.from('guest:guest').toString('base64')}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ pattern: '^\\$share/g/', appliesTo: 'queues', definition }),
  })
  assert.equal(answer.status, 204)
  const seen: string[] = []
  for (let member = 0; member < 2; member++) {
    const take = ({ payload }: IPublishPacket, done: Done): void => {
      seen.push(String(payload))
      done(String(payload) === 'bad1' ? 0x80 : 0)
    }
    const client = await connect(acknowledging(take, { properties: { receiveMaximum: 1 } }))
    // Who asks for nothing takes part in what there is.
    await subscribe(client, '$share/g/#')
  }
  const publisher = await connect()
  for (const body of ['bad1', 'bad2', 'good1']) {
    await publisher.publishAsync(body.slice(0, -1), body, { qos: 1 })
  }
  await broker.waitFor(() => seen.length === 2)
  await broker.settle()
  assert.deepEqual(seen, ['bad1', 'good1'])
  await broker.clock.advance('1m')
  await broker.waitFor(() => seen.length === 4)
  // It failed once more than it may, and its follower goes on.
  assert.deepEqual(seen.slice(2), ['bad1', 'bad2'])
})
