/** Queues and streams by their names, a client that does not read, and one with a certificate. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import amqplib, { type Channel } from 'amqplib'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import { generate } from 'mqtt-packet'
import { startBroker } from '../../../src/server/index.ts'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'
import { makeAuthority, makeCertificate } from '../../support/certificates.ts'

interface World {
  readonly broker: TestBroker
  readonly channel: Channel
  readonly connect: (options?: IClientOptions) => Promise<MqttClient>
}

async function open(t: TestContext): Promise<World> {
  const broker = await startTestBroker({ listen: { amqp: 0, mqtt: 0 } })
  const amqp = await amqplib.connect(broker.url('amqp'))
  const clients: MqttClient[] = []
  t.after(async () => {
    await Promise.all(clients.map(async (client) => client.endAsync(true)))
    await amqp.close()
    await broker[Symbol.asyncDispose]()
  })
  const connect = async (options: IClientOptions = {}): Promise<MqttClient> => {
    const all = { protocolVersion: 5, reconnectPeriod: 0, ...options } as const
    const client = await connectAsync(broker.url('mqtt'), all)
    clients.push(client)
    return client
  }
  return { broker, channel: await amqp.createChannel(), connect }
}

function heard(client: MqttClient): [string, string][] {
  const messages: [string, string][] = []
  client.on('message', (topic, payload) => messages.push([topic, payload.toString()]))
  return messages
}

test('$queue/NAME takes from a queue of AMQP and publishes to it', async (t) => {
  const { broker, channel, connect } = await open(t)
  await channel.assertQueue('jobs')
  channel.sendToQueue('jobs', Buffer.from('from AMQP'))
  const worker = await connect()
  const jobs = heard(worker)
  await worker.subscribeAsync('$queue/jobs', { qos: 1 })
  await (await connect()).publishAsync('$queue/jobs', 'from MQTT', { qos: 1 })
  await broker.waitFor(() => jobs.length === 2)
  assert.deepEqual(jobs, [
    ['$queue/jobs', 'from AMQP'],
    ['$queue/jobs', 'from MQTT'],
  ])
  await broker.settle()
  const { messageCount } = await channel.checkQueue('jobs')
  assert.equal(messageCount, 0, 'what was acknowledged is settled')
})

test('$stream/NAME follows a stream, each client all of it, and leaves it as it is', async (t) => {
  const { broker, channel, connect } = await open(t)
  await channel.assertQueue('log', { durable: true, arguments: { 'x-queue-type': 'stream' } })
  const readers = [await connect(), await connect()]
  const seen = readers.map(heard)
  for (const reader of readers) await reader.subscribeAsync('$stream/log', { qos: 1 })
  const writer = await connect()
  for (const text of ['one', 'two']) await writer.publishAsync('$stream/log', text, { qos: 1 })
  await broker.waitFor(() => seen.every((messages) => messages.length === 2))
  for (const messages of seen) {
    assert.deepEqual(
      messages.map(([, text]) => text),
      ['one', 'two'],
    )
  }
  const again: string[] = []
  await channel.prefetch(10)
  const from = { arguments: { 'x-stream-offset': 'first' } }
  await channel.consume('log', (message) => again.push(message!.content.toString()), from)
  await broker.waitFor(() => again.length === 2)
  assert.deepEqual(again, ['one', 'two'])
})

test('a client that does not read loses messages of QoS 0 only, and others lose none', async (t) => {
  const { broker, connect } = await open(t)
  const slow = connectSocket(broker.port('mqtt'), '127.0.0.1')
  t.after(() => slow.destroy())
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true } as const
  slow.write(generate({ ...packet, clientId: 'slow', keepalive: 0 }))
  const subscriptions = [{ topic: 'flood', qos: 0 as const }]
  slow.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }))
  await new Promise((resolve) => slow.once('data', resolve))
  slow.pause()
  const reader = await connect()
  const watcher = await connect()
  const messages = heard(reader)
  const system = heard(watcher)
  await reader.subscribeAsync('flood', { qos: 0 })
  await watcher.subscribeAsync('$SYS/broker/publish/messages/dropped', { qos: 0 })
  const publisher = await connect()
  const payload = Buffer.alloc(64 * 1024)
  // 32 MiB, where a client that does not read is kept 4 MiB and what the system takes.
  for (let round = 0; round < 32; round++) {
    for (let n = 0; n < 16; n++) await publisher.publishAsync('flood', payload, { qos: 0 })
    await publisher.publishAsync('other', 'x', { qos: 1 })
    await broker.waitFor(() => messages.length === (round + 1) * 16, { timeoutMs: 20_000 })
  }
  await broker.clock.advance('11s')
  await broker.waitFor(() => Number(system.at(-1)?.[1]) > 0)
  const dropped = Number(system.at(-1)![1])
  assert.ok(dropped > 100 && dropped < 512, `${dropped} of 512 were dropped`)
})

test('a verified certificate is a login, by the name in it', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'waystation-mqtts-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = makeAuthority('Test authority')
  const server = makeCertificate(authority, [['CN', 'server']], ['localhost', '127.0.0.1'])
  const file = async (name: string, text: string): Promise<string> => {
    const where = path.join(folder, name)
    await writeFile(where, text)
    return where
  }
  const broker = await startBroker({
    listen: { mqtts: 0 },
    defaultUser: { name: 'robot', password: 'unused' },
    tls: {
      certFile: await file('cert.pem', server.certPem),
      keyFile: await file('key.pem', server.keyPem),
      caFile: await file('ca.pem', authority.certPem),
      clientCertificate: 'request',
    },
  })
  t.after(() => broker.close({ timeoutMs: 0 }))
  const connect = async (options: IClientOptions): Promise<MqttClient> => {
    const url = `mqtts://127.0.0.1:${broker.port('mqtts')}`
    const client = await connectAsync(url, {
      ca: authority.certPem,
      reconnectPeriod: 0,
      ...options,
    })
    t.after(() => client.endAsync(true))
    return client
  }
  const keysOf = (name: string): { cert: string; key: string } => {
    const { certPem, keyPem } = makeCertificate(authority, [['CN', name]])
    return { cert: certPem, key: keyPem }
  }
  const robot = await connect(keysOf('robot'))
  await robot.publishAsync('a', 'x', { qos: 1 })
  const properties = { authenticationMethod: 'EXTERNAL' }
  await connect({ ...keysOf('robot'), protocolVersion: 5, properties })
  await assert.rejects(connect(keysOf('nobody')), /Not authorized/)
  await assert.rejects(connect({}), /Not authorized/)
})
