/** What MQTT clients find here beside the standard, with a client other people wrote. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

interface World {
  readonly broker: TestBroker
  readonly connect: (clientId: string, options?: IClientOptions) => Promise<MqttClient>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { mqtt: 0 } })
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

/** Messages as they come: topic, text, whether retained. */
function heard(client: MqttClient): [string, string, boolean][] {
  const messages: [string, string, boolean][] = []
  client.on('message', (topic, payload, { retain }) => {
    messages.push([topic, payload.toString(), retain])
  })
  return messages
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 1_000; turn++) {
    if (isTrue()) return
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
  assert.fail(`waited in vain: ${what}`)
}

test('$SYS topics tell of the broker when somebody asks', async (t) => {
  const { broker, connect } = await open(t)
  const client = await connect('sys')
  const messages = heard(client)
  await client.subscribeAsync('$SYS/broker/+')
  await until(() => messages.length >= 2, 'the values at once')
  const version = messages.find(([topic]) => topic === '$SYS/broker/version')!
  assert.match(version[1], /^waystation version \d+\.\d+\.\d+$/)
  assert.equal(version[2], true)
  messages.length = 0
  await broker.clock.advance('10s')
  await until(() => messages.some(([topic]) => topic === '$SYS/broker/uptime'), 'the next uptime')
  assert.equal(messages.find(([topic]) => topic === '$SYS/broker/uptime')![2], false)
  const refused = client.publishAsync('$SYS/broker/uptime', 'x', { qos: 1 })
  await assert.rejects(refused, /Not authorized/)
})

test('wildcards in front do not find $SYS topics', async (t) => {
  const { connect } = await open(t)
  const client = await connect('all')
  const messages = heard(client)
  await client.subscribeAsync(['#', '+/broker/#', '$SYS/broker/version'])
  await until(() => messages.length > 0, 'the version')
  assert.deepEqual(
    messages.map(([topic]) => topic),
    ['$SYS/broker/version'],
  )
})

test('$delayed waits, and $queue leads to a queue by its name', async (t) => {
  const { broker, connect } = await open(t)
  const client = await connect('late')
  const messages = heard(client)
  await client.subscribeAsync('a/b', { qos: 1 })
  await client.publishAsync('$delayed/30/a/b', 'later', { qos: 1 })
  await client.publishAsync('a/b', 'now', { qos: 1 })
  await until(() => messages.length === 1, 'what is not delayed')
  await broker.clock.advance('31s')
  await until(() => messages.length === 2, 'what was delayed')
  assert.deepEqual(messages, [
    ['a/b', 'now', false],
    ['a/b', 'later', false],
  ])
  const missing = await client.subscribeAsync('$queue/none').catch((error: Error) => error)
  assert.ok(missing instanceof Error, 'a queue that is not there was subscribed to')
})

test('a will waits for its delay, and a client that is back in time has none', async (t) => {
  const { broker, connect } = await open(t)
  const client = await connect('watcher')
  const messages = heard(client)
  await client.subscribeAsync('wills/#', { qos: 1 })
  const will = {
    topic: 'wills/one',
    payload: Buffer.from('gone'),
    qos: 1 as const,
    properties: { willDelayInterval: 10 },
  }
  const options = { clean: false, will, properties: { sessionExpiryInterval: 60 } }
  const first = await connect('one', options)
  first.stream.destroy()
  await until(() => !first.connected, 'the end of the connection')
  const second = await connect('one', options)
  await broker.clock.advance('11s')
  await client.publishAsync('wills/now', 'x', { qos: 1 })
  await until(() => messages.length === 1, 'nothing but what was published')
  second.stream.destroy()
  await until(() => !second.connected, 'the end of the connection')
  await broker.clock.advance('11s')
  await until(() => messages.length === 2, 'the will')
  assert.deepEqual(messages[1], ['wills/one', 'gone', false])
})

test('the queue of a group goes with its last member', async (t) => {
  const { broker, connect } = await open(t)
  const options = { clean: false, properties: { sessionExpiryInterval: 60 } }
  const one = await connect('one', options)
  const two = await connect('two', options)
  await one.subscribeAsync('$share/g/jobs/#', { qos: 1 })
  await two.subscribeAsync('$share/g/jobs/#', { qos: 1 })
  const there = (): boolean => broker.destinations().includes('$share/g/jobs/#')
  await one.endAsync()
  await two.unsubscribeAsync('$share/g/jobs/#')
  assert.equal(there(), true)
  await broker.clock.advance('61s')
  await two.publishAsync('x', 'y', { qos: 1 })
  assert.equal(there(), false)
})

test('a message that somebody puts among the packet ids of a session is ignored', async (t) => {
  const { broker, connect } = await open(t)
  const options = { clean: false, properties: { sessionExpiryInterval: 60 } }
  const one = await connect('one', options)
  const other = await connect('other')
  await other.publishAsync('$queue/mqtt.one.qos2', 'x', { qos: 1 })
  await one.endAsync()
  await other.publishAsync('$queue/mqtt.one.qos2', 'y', { qos: 1 })
  const again = await connect('one', options)
  await again.publishAsync('a', 'b', { qos: 2 })
  assert.equal(broker.destination('mqtt.one.qos2').ready, 0)
})

test('a delay of more than ten years is no topic', async (t) => {
  const { connect } = await open(t)
  const client = await connect('patient')
  const refused = client.publishAsync('$delayed/9999999999/x', 'x', { qos: 1 })
  await assert.rejects(refused, /Topic Name invalid/)
})
