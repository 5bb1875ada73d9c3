/** The accidents of a test broker, seen by clients that other people wrote. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ChannelModel, connect as connectAmqp, type ConsumeMessage } from 'amqplib'
import {
  connect as connectMqtt,
  type IConnackPacket,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt'
import { startTestBroker, type TestBroker } from './index.ts'

async function amqp(broker: TestBroker): Promise<ChannelModel> {
  const connection = await connectAmqp(broker.url('amqp'))
  connection.on('error', () => {
    // It is cut: that is what these tests are about.
  })
  return connection
}

function closeOf(connection: ChannelModel | MqttClient): Promise<void> {
  return new Promise((resolve) => {
    if ('createChannel' in connection) connection.once('close', () => resolve())
    else connection.once('close', () => resolve())
  })
}

interface Device {
  readonly client: MqttClient
  readonly isSessionPresent: boolean
  /** What came so far. */
  readonly packets: readonly IPublishPacket[]
}

/** A client with a session that is kept for an hour. */
async function device(broker: TestBroker): Promise<Device> {
  const client = connectMqtt(broker.url('mqtt'), {
    protocolVersion: 5,
    clientId: 'device',
    clean: false,
    properties: { sessionExpiryInterval: 3600 },
    reconnectPeriod: 0,
  })
  const packets: IPublishPacket[] = []
  client.on('message', (_topic, _payload, packet) => packets.push(packet))
  const connack = await new Promise<IConnackPacket>((resolve) => client.once('connect', resolve))
  return { client, isSessionPresent: connack.sessionPresent, packets }
}

test('an ack that is lost brings the message again', async () => {
  await using broker = await startTestBroker()
  const first = await amqp(broker)
  const channel = await first.createChannel()
  await channel.assertQueue('q')
  channel.sendToQueue('q', Buffer.from('once'))
  await channel.consume('q', (message) => {
    broker.lose('clients')
    channel.ack(message!)
  })
  await broker.destination('q').waitFor({ unsettled: 1 })
  const gone = closeOf(first)
  broker.cutConnections()
  await gone
  await broker.destination('q').waitFor({ ready: 1, unsettled: 0 })
  const second = await amqp(broker)
  const again = await second.createChannel()
  const message = await new Promise<ConsumeMessage | null>((resolve) => {
    void again.consume('q', resolve)
  })
  assert.equal(message?.content.toString(), 'once')
  assert.equal(message.fields.redelivered, true)
  // The network is whole again.
  again.ack(message)
  await broker.destination('q').waitFor({ ready: 0, unsettled: 0 })
  await second.close()
})

test('a PUBACK that is lost brings the message again, marked as a duplicate', async () => {
  await using broker = await startTestBroker()
  const first = await device(broker)
  await first.client.subscribeAsync('t', { qos: 1 })
  first.client.once('message', () => broker.lose('clients'))
  first.client.publish('t', 'once', { qos: 1 })
  await broker.waitFor(() => first.packets.length > 0)
  const gone = closeOf(first.client)
  broker.cutConnections()
  await gone
  const second = await device(broker)
  await broker.waitFor(() => second.packets.length > 0)
  assert.equal(first.packets[0]!.dup, false)
  assert.deepEqual([second.packets[0]!.payload.toString(), second.packets[0]!.dup], ['once', true])
  await second.client.endAsync()
})

test('a confirm that is lost leaves the publisher in doubt about what is stored', async () => {
  await using broker = await startTestBroker()
  const connection = await amqp(broker)
  const channel = await connection.createConfirmChannel()
  await channel.assertQueue('q')
  broker.lose('broker')
  let isConfirmed = false
  channel.sendToQueue('q', Buffer.from('x'), { persistent: true }, () => {
    isConfirmed = true
  })
  await broker.destination('q').waitFor({ ready: 1 })
  await broker.settle()
  assert.equal(isConfirmed, false)
  const gone = closeOf(connection)
  broker.cutConnections()
  await gone
  assert.equal(broker.destination('q').ready, 1)
})

for (const [at, kept] of [
  ['before-sync', 1],
  ['after-sync', 2],
] as const) {
  test(`a crash ${at} confirms nothing`, async () => {
    // With this seed the power cut takes what was not synced.
    await using broker = await startTestBroker({ seed: 3 })
    const connection = await amqp(broker)
    const channel = await connection.createConfirmChannel()
    await channel.assertQueue('q')
    // The first one makes files, which have syncs of their own.
    channel.sendToQueue('q', Buffer.from('before'), { persistent: true })
    await channel.waitForConfirms()
    const gone = closeOf(connection)
    const crashed = broker.crash('power-cut', { at })
    let isConfirmed = false
    channel.sendToQueue('q', Buffer.from('x'), { persistent: true }, (error) => {
      isConfirmed = error === null
    })
    await crashed
    await gone
    assert.equal(isConfirmed, false)
    assert.equal(broker.destination('q').ready, kept)
  })
}

test('sessions of MQTT expire by the clock of the test', async () => {
  await using broker = await startTestBroker()
  const stays = async (away: string): Promise<boolean> => {
    await (await device(broker)).client.endAsync()
    await broker.clock.advance(away)
    const { client, isSessionPresent } = await device(broker)
    await client.endAsync()
    return isSessionPresent
  }
  assert.equal(await stays('59m'), true)
  assert.equal(await stays('61m'), false)
})
