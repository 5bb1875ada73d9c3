/** What an operator may set for MQTT, for all listeners and for one: told in CONNACK, and held to. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { IConnackPacket } from 'mqtt-packet'
import { startBroker, type StartOptions } from '../../../src/server/index.ts'
import { MqttPeer } from '../../support/mqtt-peer.ts'

type RunningBroker = Awaited<ReturnType<typeof startBroker>>

async function open(
  t: TestContext,
  mqtt: NonNullable<StartOptions['mqtt']> = {},
): Promise<RunningBroker> {
  const broker = await startBroker({ listen: { mqtt: 0, 'mqtt-ws': 0 }, mqtt })
  t.after(() => broker.close({ timeoutMs: 0 }))
  return broker
}

interface Connected {
  readonly peer: MqttPeer
  readonly connack: IConnackPacket
}

async function connect(
  t: TestContext,
  broker: RunningBroker,
  more: { readonly protocolVersion?: 4 | 5; readonly [field: string]: unknown } = {},
): Promise<Connected> {
  const version = more.protocolVersion ?? 5
  const peer = await MqttPeer.open(t, broker.port('mqtt'), version)
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clean: true }
  peer.send({ ...packet, clientId: 'c', keepalive: 0, ...more } as never)
  return { peer, connack: await peer.expect('connack') }
}

test("without settings they are mosquitto's", async (t) => {
  const { connack } = await connect(t, await open(t))
  const { maximumPacketSize, ...told } = connack.properties!
  assert.equal(maximumPacketSize, (16 * 1024 + 128) * 1024)
  assert.deepEqual({ ...told }, { receiveMaximum: 20, topicAliasMaximum: 10 })
})

test('each is told, and one listener may differ', async (t) => {
  const general: NonNullable<StartOptions['mqtt']> = {
    receiveMaximum: 7,
    topicAliasMaximum: 0,
    maximumQos: 1,
    retainAvailable: false,
    packetSize: 65_536,
    keepAliveMax: 90_000,
    sessionExpiryMax: 3_600_000,
  }
  const listeners: NonNullable<StartOptions['mqtt']>['listeners'] = {
    mqtt: { receiveMaximum: 5, maximumQos: 0 },
    'mqtt-ws': { maximumQos: 2 },
  }
  const broker = await open(t, { ...general, listeners })
  const asked = { properties: { sessionExpiryInterval: 7200 }, clean: false }
  const { connack } = await connect(t, broker, asked)
  assert.deepEqual(
    { ...connack.properties },
    {
      receiveMaximum: 5,
      topicAliasMaximum: 0,
      maximumQoS: 0,
      retainAvailable: false,
      maximumPacketSize: 65_536,
      serverKeepAlive: 90,
      sessionExpiryInterval: 3600,
    },
  )
})

for (const protocolVersion of [4, 5] as const) {
  test(`more than the highest QoS ends the connection, version ${protocolVersion}`, async (t) => {
    const broker = await open(t, { maximumQos: 1 })
    const { peer } = await connect(t, broker, { protocolVersion })
    peer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 2 }] })
    assert.deepEqual((await peer.expect('suback')).granted, [1])
    const publish = { cmd: 'publish', topic: 'a', payload: 'x', dup: false, retain: false } as const
    peer.send({ ...publish, qos: 1, messageId: 2 })
    const first = await peer.expect('publish')
    assert.equal(first.qos, 1)
    await peer.expect('puback')
    peer.send({ ...publish, qos: 2, messageId: 3 })
    if (protocolVersion === 5) assert.equal((await peer.expect('disconnect')).reasonCode, 0x9b)
    await peer.expectEnd()

    const will = { topic: 'w', payload: Buffer.from('x'), qos: 2, retain: false }
    const { peer: second, connack } = await connect(t, broker, { protocolVersion, will })
    const { reasonCode, returnCode } = connack
    assert.equal(protocolVersion === 5 ? reasonCode : returnCode, protocolVersion === 5 ? 0x9b : 3)
    await second.expectEnd()
  })

  test(`where nothing is retained, nobody may try, version ${protocolVersion}`, async (t) => {
    const broker = await open(t, { retainAvailable: false })
    const { peer } = await connect(t, broker, { protocolVersion })
    const publish = { cmd: 'publish', topic: 'a', payload: 'x', dup: false, qos: 0 } as const
    peer.send({ ...publish, retain: true })
    if (protocolVersion === 5) assert.equal((await peer.expect('disconnect')).reasonCode, 0x9a)
    await peer.expectEnd()

    const will = { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: true }
    const { peer: second, connack } = await connect(t, broker, { protocolVersion, will })
    const { reasonCode, returnCode } = connack
    assert.equal(protocolVersion === 5 ? reasonCode : returnCode, protocolVersion === 5 ? 0x9a : 3)
    await second.expectEnd()
  })
}

test('a packet, an alias and a publish beyond what was told end the connection', async (t) => {
  const broker = await open(t, { packetSize: 1024, topicAliasMaximum: 1, receiveMaximum: 1 })
  const publish = { cmd: 'publish', topic: 'a', dup: false, retain: false } as const
  const { peer: large } = await connect(t, broker)
  large.send({ ...publish, payload: 'x'.repeat(1100), qos: 0 })
  assert.equal((await large.expect('disconnect')).reasonCode, 0x95)

  const { peer: aliased } = await connect(t, broker)
  aliased.send({ ...publish, payload: 'x', qos: 0, properties: { topicAlias: 2 } })
  assert.equal((await aliased.expect('disconnect')).reasonCode, 0x94)

  const { peer: hasty } = await connect(t, broker)
  hasty.send({ ...publish, payload: 'x', qos: 2, messageId: 1 })
  await hasty.expect('pubrec')
  hasty.send({ ...publish, payload: 'x', qos: 2, messageId: 2 })
  assert.equal((await hasty.expect('disconnect')).reasonCode, 0x93)
})

test('topics with an alias have a bound in octets', async (t) => {
  const broker = await open(t, { topicAliasMaximum: 1000 })
  const { peer } = await connect(t, broker)
  const publish = { cmd: 'publish', payload: 'x', qos: 0, dup: false, retain: false } as const
  for (let alias = 1; alias <= 20; alias++) {
    const topic = `${alias}/${'t'.repeat(60_000)}`
    peer.send({ ...publish, topic, properties: { topicAlias: alias } })
  }
  assert.equal((await peer.expect('disconnect')).reasonCode, 0x97)
})
