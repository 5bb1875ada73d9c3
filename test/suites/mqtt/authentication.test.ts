/** Enhanced authentication of MQTT 5 (section 4.12), by MQTT.js and packet by packet. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type IClientOptions, type MqttClient, connect } from 'mqtt'
import { generate, type IAuthPacket, type IConnackPacket } from 'mqtt-packet'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'
import { MqttPeer } from '../../support/mqtt-peer.ts'
import { ScramClient } from '../../support/scram-client.ts'

const CONTINUE = 0x18
const RE_AUTHENTICATE = 0x19
const PROTOCOL_ERROR = 0x82
const NOT_AUTHORIZED = 0x87
const BAD_METHOD = 0x8c

const GUEST = { username: 'guest', password: 'guest' }

async function open(t: TestContext): Promise<TestBroker> {
  const broker = await startTestBroker({ listen: { mqtt: 0 } })
  t.after(() => broker[Symbol.asyncDispose]())
  return broker
}

/** A client of MQTT.js that proves its password; `finals` are the server's proofs. */
async function connectJs(
  t: TestContext,
  broker: TestBroker,
  method: string,
): Promise<{ client: MqttClient; finals: Buffer[]; scram: { now: ScramClient } }> {
  const scram = { now: new ScramClient(method, GUEST) }
  const finals: Buffer[] = []
  const options: IClientOptions = {
    clientId: 'js',
    protocolVersion: 5,
    reconnectPeriod: 0,
    properties: { authenticationMethod: method, authenticationData: scram.now.first() },
  }
  const handleAuth: MqttClient['handleAuth'] = (packet, callback) => {
    const data = packet.properties!.authenticationData!
    if (packet.reasonCode === 0) {
      finals.push(data)
      callback()
      return
    }
    const authenticationData = scram.now.final(data)
    const properties = { authenticationMethod: method, authenticationData }
    callback(undefined, { cmd: 'auth', reasonCode: CONTINUE, properties } as IAuthPacket)
  }
  const client = connect(`mqtt://127.0.0.1:${broker.port('mqtt')}`, options)
  t.after(() => client.endAsync(true))
  client.handleAuth = handleAuth
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve())
    client.once('error', reject)
  })
  return { client, finals, scram }
}

for (const method of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
  test(`MQTT.js logs in with ${method}, and again while it is connected`, async (t) => {
    const broker = await open(t)
    const { client, finals, scram } = await connectJs(t, broker, method)
    const received: string[] = []
    client.on('message', (topic) => received.push(topic))
    await client.subscribeAsync('a/#', { qos: 1 })
    scram.now = new ScramClient(method, GUEST)
    const properties = { authenticationMethod: method, authenticationData: scram.now.first() }
    // MQTT.js answers a re-authentication, but has no call that begins one.
    const begin = { cmd: 'auth', reasonCode: RE_AUTHENTICATE, properties } as IAuthPacket
    client.stream.write(generate(begin, { protocolVersion: 5 }))
    await client.publishAsync('a/b', 'x', { qos: 1 })
    await broker.waitFor(() => finals.length === 1 && received.length === 1)
    assert.ok(scram.now.trusts(finals[0]!), 'the server knows the password too')
    assert.ok(client.connected)
  })
}

function connectPacket(method: string, authenticationData?: Buffer, more: object = {}): never {
  const properties = {
    authenticationMethod: method,
    ...(authenticationData === undefined ? {} : { authenticationData }),
  }
  const packet = { cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: true }
  return { ...packet, clientId: 'raw', keepalive: 0, properties, ...more } as never
}

function authPacket(reasonCode: number, method: string, data?: Buffer): never {
  const properties = {
    authenticationMethod: method,
    ...(data === undefined ? {} : { authenticationData: data }),
  }
  return { cmd: 'auth', reasonCode, properties } as never
}

/** Runs the exchange; what the server says to the proof is the caller's to read. */
async function prove(peer: MqttPeer, scram: ScramClient, method: string): Promise<void> {
  const challenge = await peer.expect('auth')
  assert.equal(challenge.reasonCode, CONTINUE)
  assert.equal(challenge.properties?.authenticationMethod, method)
  const proof = scram.final(challenge.properties.authenticationData!)
  peer.send(authPacket(CONTINUE, method, proof))
}

async function logIn(peer: MqttPeer, more: object = {}): Promise<IConnackPacket> {
  const method = 'SCRAM-SHA-256'
  const scram = new ScramClient(method, GUEST)
  peer.send(connectPacket(method, scram.first(), more))
  await prove(peer, scram, method)
  const connack = await peer.expect('connack')
  if (connack.reasonCode === 0) {
    assert.equal(connack.properties?.authenticationMethod, method)
    assert.ok(scram.trusts(connack.properties.authenticationData!))
  }
  return connack
}

test('CONNACK names the method and brings the proof of the server', async (t) => {
  const broker = await open(t)
  assert.equal((await logIn(await MqttPeer.open(t, broker.port('mqtt')))).reasonCode, 0)
  const named = await logIn(await MqttPeer.open(t, broker.port('mqtt')), { username: '/:guest' })
  assert.equal(named.reasonCode, 0)
  for (const username of ['other', 'nowhere:']) {
    const peer = await MqttPeer.open(t, broker.port('mqtt'))
    assert.equal((await logIn(peer, { username })).reasonCode, NOT_AUTHORIZED, username)
    await peer.expectEnd()
  }
})

test('a method that is not here is refused with 0x8C, and those that are get named', async (t) => {
  const broker = await open(t)
  for (const method of ['GS2-KRB5', 'EXTERNAL', 'scram-sha-256', '']) {
    const peer = await MqttPeer.open(t, broker.port('mqtt'))
    peer.send(connectPacket(method, Buffer.from('x')))
    const connack = await peer.expect('connack')
    assert.equal(connack.reasonCode, BAD_METHOD)
    assert.equal(connack.properties?.authenticationMethod, undefined)
    assert.match(connack.properties?.reasonString ?? '', /SCRAM-SHA-512, SCRAM-SHA-256, PLAIN$/)
    await peer.expectEnd()
  }
})

test('a wrong password and an unknown user are asked alike and refused alike', async (t) => {
  const broker = await open(t)
  const method = 'SCRAM-SHA-256'
  const answers: unknown[] = []
  for (const username of ['guest', 'nobody']) {
    const peer = await MqttPeer.open(t, broker.port('mqtt'))
    const scram = new ScramClient(method, { username, password: 'wrong' })
    peer.send(connectPacket(method, scram.first()))
    await prove(peer, scram, method)
    const { reasonCode, properties } = await peer.expect('connack')
    assert.equal(reasonCode, NOT_AUTHORIZED)
    answers.push(properties)
    await peer.expectEnd()
  }
  assert.deepEqual(answers[0], answers[1])
})

test('a message that is no SCRAM is refused with 0x87', async (t) => {
  const broker = await open(t)
  const peer = await MqttPeer.open(t, broker.port('mqtt'))
  peer.send(connectPacket('SCRAM-SHA-256', Buffer.from('hello')))
  assert.equal((await peer.expect('connack')).reasonCode, NOT_AUTHORIZED)
  await peer.expectEnd()
})

test('a client that sends no data with CONNECT is asked for it', async (t) => {
  const broker = await open(t)
  const peer = await MqttPeer.open(t, broker.port('mqtt'))
  peer.send(connectPacket('PLAIN'))
  assert.equal((await peer.expect('auth')).reasonCode, CONTINUE)
  peer.send(authPacket(CONTINUE, 'PLAIN', Buffer.from('\0guest\0guest')))
  const connack = await peer.expect('connack')
  assert.equal(connack.reasonCode, 0)
  assert.equal(connack.properties?.authenticationMethod, 'PLAIN')
})

test('before CONNACK only AUTH and DISCONNECT may come', async (t) => {
  const broker = await open(t)
  const method = 'SCRAM-SHA-256'
  const bad: readonly object[] = [
    { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, dup: false, retain: false },
    { cmd: 'pingreq' },
    { cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] },
    { cmd: 'puback', messageId: 1 },
    { cmd: 'pubrel', messageId: 1 },
    authPacket(CONTINUE, 'SCRAM-SHA-512', Buffer.from('x')),
    authPacket(RE_AUTHENTICATE, method, Buffer.from('x')),
    authPacket(0, method, Buffer.from('x')),
    { cmd: 'auth', reasonCode: CONTINUE },
  ]
  for (const packet of bad) {
    const peer = await MqttPeer.open(t, broker.port('mqtt'))
    peer.send(connectPacket(method, new ScramClient(method, GUEST).first()))
    await peer.expect('auth')
    peer.send(packet as never)
    const connack = await peer.expect('connack')
    assert.equal(connack.reasonCode, PROTOCOL_ERROR, JSON.stringify(packet))
    await peer.expectEnd()
  }
  const leaver = await MqttPeer.open(t, broker.port('mqtt'))
  leaver.send(connectPacket(method, new ScramClient(method, GUEST).first()))
  await leaver.expect('auth')
  leaver.send({ cmd: 'disconnect', reasonCode: 0 })
  await leaver.expectEnd()
})

test('a re-authentication that fails ends the connection, and so does one out of order', async (t) => {
  const broker = await open(t)
  const method = 'SCRAM-SHA-256'
  const port = broker.port('mqtt')

  const failing = await MqttPeer.open(t, port)
  await logIn(failing)
  const wrong = new ScramClient(method, { username: 'guest', password: 'wrong' })
  failing.send(authPacket(RE_AUTHENTICATE, method, wrong.first()))
  await prove(failing, wrong, method)
  assert.equal((await failing.expect('disconnect')).reasonCode, NOT_AUTHORIZED)
  await failing.expectEnd()

  const first = new ScramClient(method, GUEST).first()
  const outOfOrder: readonly (readonly never[])[] = [
    [authPacket(CONTINUE, method, first)],
    [authPacket(RE_AUTHENTICATE, 'SCRAM-SHA-512', first)],
    [{ cmd: 'auth', reasonCode: RE_AUTHENTICATE } as never],
  ]
  for (const packets of outOfOrder) {
    const peer = await MqttPeer.open(t, port)
    await logIn(peer)
    for (const packet of packets) peer.send(packet)
    assert.equal((await peer.expect('disconnect')).reasonCode, PROTOCOL_ERROR)
    await peer.expectEnd()
  }

  const twice = await MqttPeer.open(t, port)
  await logIn(twice)
  twice.send(authPacket(RE_AUTHENTICATE, method, first))
  await twice.expect('auth')
  twice.send(authPacket(RE_AUTHENTICATE, method, first))
  assert.equal((await twice.expect('disconnect')).reasonCode, PROTOCOL_ERROR)

  const without = await MqttPeer.open(t, port)
  without.send({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 5,
    clientId: 'w',
    clean: true,
  })
  await without.expect('connack')
  without.send(authPacket(RE_AUTHENTICATE, method, first))
  assert.equal((await without.expect('disconnect')).reasonCode, PROTOCOL_ERROR)
})
