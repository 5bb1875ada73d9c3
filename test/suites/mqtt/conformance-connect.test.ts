/** CONNECT, CONNACK, sessions, wills and the end of a connection: sections 3.1, 3.2, 3.12, 3.14. */
import assert from 'node:assert/strict'
import { packetOf, text } from '../../support/mqtt-octets.ts'
import { type Seen, valuesOf } from '../../support/wire-peer.ts'
import {
  BOTH,
  conformance,
  only,
  payloads,
  type Versions,
  type World,
} from './conformance-world.ts'

const check = conformance()
const FIVE: Versions = [5]
const FOUR: Versions = [4]
const ALL: Versions = [3, 4, 5]
const NOT_OVER = [['SessionExpiryInterval', 100]] as const

check(
  'CONNACK comes first, once, with success and no reserved bits',
  ALL,
  async (world, version) => {
    const peer = world.raw(version)
    peer.connect({ clientId: world.name() })
    const connack = await peer.next('CONNACK')
    assert.deepEqual([connack.reason, connack.sessionPresent], [0, false])
    // No method was named in CONNECT, so none comes back, nor an AUTH.
    assert.deepEqual(valuesOf(connack, 'AuthenticationMethod'), [])
    assert.deepEqual(await world.all(peer), [])
  },
)

check('every field of CONNECT is read in its place', BOTH, async (world, version) => {
  const topic = world.name()
  const watcher = await world.open()
  await watcher.subscribe(topic, 2)
  const will = { topic, payload: 'will', qos: 2 as const, retain: false }
  const login = { user: 'guest', password: 'guest' }
  const peer = await world.open({ version, clientId: `${topic}é`, will, ...login })
  const again = await world.open({ version, clientId: `${topic}é`, ...login })
  await again.ping()
  await peer.rest()
  const { payload, qos } = only(await world.all(watcher))
  assert.deepEqual([payload, qos], ['will', 2])
})

check('an unknown protocol level gets return code 1', BOTH, async (world) => {
  for (const level of [0, 6, 0x84]) {
    const peer = world.raw(4)
    const fields = [text('MQTT'), Buffer.of(level, 2, 0, 60), text('x')]
    peer.send(packetOf(0x10, fields))
    assert.equal(only(await peer.rest()).bytes.toString('hex'), '20020001')
  }
})

check(
  'a session begins where there is none and is resumed where there is',
  BOTH,
  async (world, version) => {
    const clientId = world.name()
    const kept = { version, clientId, clean: false, properties: NOT_OVER }
    const first = await world.connected(kept)
    assert.equal(first.connack.sessionPresent, false)
    await first.peer.subscribe(`${clientId}/+`, 1)
    await first.peer.vanish()
    const publisher = await world.open()
    await publisher.published({ topic: `${clientId}/a`, payload: 'one', qos: 1 })
    await publisher.published({ topic: `${clientId}/a`, payload: 'two', qos: 2 })
    const second = await world.connected(kept)
    assert.equal(second.connack.sessionPresent, true)
    assert.deepEqual(payloads(await world.all(second.peer)), ['one', 'two'])
  },
)

check('a session goes on after the broker was stopped', BOTH, async (world, version) => {
  const clientId = world.name()
  const kept = { version, clientId, clean: false, properties: NOT_OVER }
  const first = await world.open(kept)
  await first.subscribe(clientId, 1)
  await first.vanish()
  const publisher = await world.open()
  await publisher.published({ topic: clientId, payload: 'kept', qos: 1 })
  await world.broker.restart()
  const { connack, peer } = await world.connected(kept)
  assert.equal(connack.sessionPresent, true)
  assert.deepEqual(payloads(await world.all(peer)), ['kept'])
})

check('a clean start ends the session there was', BOTH, async (world, version) => {
  const clientId = world.name()
  const kept = { version, clientId, clean: false, properties: NOT_OVER }
  const first = await world.open(kept)
  await first.subscribe(clientId, 1)
  await first.vanish()
  const publisher = await world.open()
  await publisher.published({ topic: clientId, payload: 'lost', qos: 1 })
  const { connack, peer } = await world.connected({ ...kept, clean: true })
  assert.equal(connack.sessionPresent, false)
  await publisher.published({ topic: clientId, payload: 'nobody is subscribed', qos: 1 })
  assert.deepEqual(await world.all(peer), [])
  await peer.vanish()
})

check('a session without an expiry ends with its connection', BOTH, async (world, version) => {
  const clientId = world.name()
  // In MQTT 3.1.1 that is what a clean session is.
  const first = await world.open({ version, clientId, clean: version === 4 })
  await first.subscribe(clientId, 1)
  first.disconnect()
  await first.rest()
  const { connack, peer } = await world.connected({ version, clientId, clean: false })
  assert.equal(connack.sessionPresent, false)
  const publisher = await world.open()
  await publisher.published({ topic: clientId, payload: 'x', qos: 1 })
  assert.deepEqual(await world.all(peer), [])
})

check('a session ends when its expiry interval is over, not before', FIVE, async (world) => {
  const clientId = world.name()
  const kept = { clientId, clean: false, properties: [['SessionExpiryInterval', 10]] } as const
  await (await world.open(kept)).vanish()
  await world.broker.clock.advance('9s')
  const second = await world.connected(kept)
  assert.equal(second.connack.sessionPresent, true)
  // While it is connected no time counts.
  await world.broker.clock.advance('60s')
  await second.peer.ping()
  await second.peer.vanish()
  await world.broker.clock.advance('11s')
  assert.equal((await world.connected(kept)).connack.sessionPresent, false)
})

check('DISCONNECT may shorten the expiry and may not begin one', FIVE, async (world) => {
  const clientId = world.name()
  const first = await world.open({ clientId, properties: NOT_OVER })
  first.disconnect(0, [['SessionExpiryInterval', 0]])
  await first.rest()
  const second = await world.connected({ clientId, clean: false })
  assert.equal(second.connack.sessionPresent, false)
  second.peer.disconnect(0, NOT_OVER)
  assert.equal(only(await second.peer.rest()).reason, 0x82)
})

check('retained messages outlive the sessions', BOTH, async (world, version) => {
  const topic = world.name()
  const first = await world.open({ version })
  await first.published({ topic, payload: 'stays', qos: 1, retain: true })
  first.disconnect()
  await first.rest()
  const later = await world.open({ version })
  await later.subscribe(topic)
  assert.deepEqual(payloads(await world.all(later)), ['stays'])
})

interface WillCase {
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
}

async function watch(world: World, topic: string): Promise<() => Promise<Seen[]>> {
  const watcher = await world.open()
  // Retain as published, so that it shows what it was published with; nothing that is kept.
  await watcher.subscribe(topic, 2 | 8 | 0x20)
  return async () => world.all(watcher)
}

check(
  'a will is published with its QoS and retain when the connection breaks',
  BOTH,
  async (world, version) => {
    const cases: readonly WillCase[] = [
      { qos: 0, retain: false },
      { qos: 1, retain: true },
      { qos: 2, retain: false },
    ]
    for (const { qos, retain } of cases) {
      const topic = world.name()
      const seen = await watch(world, topic)
      const peer = await world.open({ version, will: { topic, payload: 'gone', qos, retain } })
      assert.deepEqual(await seen(), [])
      await peer.vanish()
      const will = only(await seen())
      assert.deepEqual([will.payload, will.qos, will.retain], ['gone', qos, retain])
      const later = await world.open()
      await later.subscribe(topic)
      assert.deepEqual(payloads(await world.all(later)), retain ? ['gone'] : [])
    }
  },
)

check(
  'a will is published once, and for the connection that named it',
  BOTH,
  async (world, version) => {
    const clientId = world.name()
    const seen = await watch(world, clientId)
    const will = { topic: clientId, payload: 'gone', qos: 1 as const }
    const kept = { version, clientId, clean: false, properties: NOT_OVER }
    await (await world.open({ ...kept, will })).vanish()
    only(await seen())
    await (await world.open(kept)).vanish()
    assert.deepEqual(await seen(), [])
  },
)

check('DISCONNECT takes the will away', BOTH, async (world, version) => {
  const topic = world.name()
  const seen = await watch(world, topic)
  const peer = await world.open({ version, will: { topic, payload: 'gone' } })
  peer.disconnect()
  // Nothing is taken behind it, and the broker closes.
  peer.publish({ topic, payload: 'too late' })
  assert.deepEqual(await peer.rest(), [])
  assert.deepEqual(await seen(), [])
})

check('DISCONNECT with reason 4 publishes the will', FIVE, async (world) => {
  const topic = world.name()
  const seen = await watch(world, topic)
  const peer = await world.open({ will: { topic, payload: 'gone' } })
  peer.disconnect(4)
  await peer.rest()
  only(await seen())
})

check('a connection without a will leaves none', BOTH, async (world, version) => {
  const seen = await watch(world, '#')
  await (await world.open({ version })).vanish()
  assert.deepEqual(await seen(), [])
})

check('a will has the properties that CONNECT gave it', FIVE, async (world) => {
  const topic = world.name()
  const seen = await watch(world, topic)
  const properties = [
    ['PayloadFormatIndicator', 1],
    ['ContentType', 'a/b'],
    ['ResponseTopic', 'r'],
    ['CorrelationData', Buffer.of(1, 255)],
    ['UserProperty', ['k', 'v']],
    ['UserProperty', ['k', 'w']],
  ] as const
  await (await world.open({ will: { topic, payload: 'gone', properties } })).vanish()
  const will = only(await seen())
  assert.deepEqual(will.properties, properties)
})

check(
  'a will waits for its delay, and a client that is back takes it away',
  FIVE,
  async (world) => {
    const clientId = world.name()
    const seen = await watch(world, clientId)
    const properties = [['WillDelayInterval', 10]] as const
    const will = { topic: clientId, payload: 'gone', properties }
    const kept = { clientId, clean: false, properties: NOT_OVER, will }
    await (await world.open(kept)).vanish()
    await world.broker.clock.advance('9s')
    const back = await world.open(kept)
    await world.broker.clock.advance('20s')
    assert.deepEqual(await seen(), [])
    await back.ping()
    await back.vanish()
    await world.broker.clock.advance('9s')
    assert.deepEqual(await seen(), [])
    await world.broker.clock.advance('2s')
    only(await seen())
  },
)

check('a will waits no longer than its session', FIVE, async (world) => {
  const clientId = world.name()
  const seen = await watch(world, clientId)
  const properties = [['WillDelayInterval', 1000]] as const
  const will = { topic: clientId, payload: 'gone', properties }
  await (await world.open({ clientId, will })).vanish()
  only(await seen())
  await (await world.open({ clientId, properties: NOT_OVER, will })).vanish()
  assert.deepEqual(await seen(), [])
  const fresh = await world.open({ clientId, clean: true })
  only(await seen())
  await fresh.ping()
})

check(
  'whoever is silent for one and a half times the keep-alive is closed',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const seen = await watch(world, topic)
    const startMs = performance.now()
    const silent = await world.open({ version, keepAlive: 1, will: { topic, payload: 'gone' } })
    const never = await world.open({ version, keepAlive: 0 })
    const rest = await silent.rest()
    const tookMs = performance.now() - startMs
    assert.ok(tookMs > 1_400, `closed after ${tookMs} ms`)
    assert.deepEqual(
      rest.map(({ type, reason }) => [type, reason]),
      version === 5 ? [['DISCONNECT', 0x8d]] : [],
    )
    only(await seen())
    await never.ping()
  },
)

check('the keep-alive of CONNECT counts where CONNACK names none', FIVE, async (world) => {
  const { connack } = await world.connected({ keepAlive: 7 })
  assert.deepEqual(valuesOf(connack, 'ServerKeepAlive'), [])
})

check('PINGREQ is answered', BOTH, async (world, version) => {
  const peer = await world.open({ version })
  assert.equal((await peer.ping()).bytes.toString('hex'), 'd000')
})

check(
  'client ids of 1 to 23 letters and digits are taken, and longer ones',
  ALL,
  async (world, version) => {
    const ids = ['a', '0', 'Z', '0123456789abcdefghijklm', 'NOPQRSTUVWXYZnopqrstuvw', 'é', '-/+#']
    const all = version === 3 ? ids : [...ids, 'x'.repeat(100)]
    for (const clientId of all) await (await world.open({ version, clientId })).vanish()
  },
)

check('a client id of more than 64,990 octets is refused', BOTH, async (world, version) => {
  // With what stands around it, it names queues; mosquitto takes 65,535.
  const longest = world.name().padEnd(64_990, 'x')
  const peer = await world.open({ version, clientId: longest, clean: false, properties: NOT_OVER })
  await peer.subscribe({ '$SYS/broker/version': 0, [longest]: 1 })
  await world.all(peer)
  await peer.published({ topic: world.name(), qos: 2 })
  for (const clientId of ['x'.repeat(64_991), 'x'.repeat(65_535), 'é'.repeat(32_496)]) {
    const refused = world.raw(version)
    refused.connect({ clientId })
    assert.equal(only(await refused.rest()).reason, version === 5 ? 0x85 : 2)
  }
})

check('a client without an id gets one of its own', BOTH, async (world, version) => {
  const topic = world.name()
  const one = await world.connected({ version, clientId: '' })
  const two = await world.connected({ version, clientId: '' })
  await one.peer.subscribe(topic, 1)
  await two.peer.subscribe(topic, 1)
  one.peer.publish({ topic, payload: 'x' })
  for (const { peer } of [one, two]) assert.deepEqual(payloads(await world.all(peer)), ['x'])
})

check('an assigned client id is new, and names the session from then on', FIVE, async (world) => {
  const asked = { clientId: '', properties: NOT_OVER }
  const one = await world.connected(asked)
  const two = await world.connected(asked)
  const [first] = valuesOf(one.connack, 'AssignedClientIdentifier') as string[]
  const [second] = valuesOf(two.connack, 'AssignedClientIdentifier') as string[]
  assert.ok(first !== undefined && second !== undefined && first !== second && first !== '')
  await one.peer.vanish()
  const again = await world.connected({ clientId: first, clean: false, properties: NOT_OVER })
  assert.equal(again.connack.sessionPresent, true)
  assert.deepEqual(valuesOf(again.connack, 'AssignedClientIdentifier'), [])
})

check('no id and a session to keep: return code 2', FOUR, async (world, version) => {
  const peer = world.raw(version)
  peer.connect({ clientId: '', clean: false })
  assert.equal(only(await peer.rest()).bytes.toString('hex'), '20020002')
})

check('an id of MQTT 3.1 must be there', [3], async (world, version) => {
  const peer = world.raw(version)
  peer.connect({ clientId: '' })
  assert.equal(only(await peer.rest()).bytes.toString('hex'), '20020002')
})

check(
  'a connection with the same client id takes the place of the first',
  BOTH,
  async (world, version) => {
    const clientId = world.name()
    const seen = await watch(world, clientId)
    const will = { topic: clientId, payload: 'gone' }
    const first = await world.open({ version, clientId, will })
    const second = await world.open({ version, clientId })
    assert.deepEqual(
      (await first.rest()).map(({ type, reason }) => [type, reason]),
      version === 5 ? [['DISCONNECT', 0x8e]] : [],
    )
    await second.ping()
    only(await seen())
  },
)

check('a refused login gets its code, no session, and the end', BOTH, async (world, version) => {
  const clientId = world.name()
  const peer = world.raw(version)
  peer.connect({ clientId, clean: false, user: 'guest', password: 'wrong' })
  // Nothing that comes behind it is taken.
  peer.publish({ topic: clientId, payload: 'x', retain: true })
  const connack = only(await peer.rest())
  const expected = version === 5 ? 0x86 : 4
  assert.deepEqual(
    [connack.type, connack.reason, connack.sessionPresent],
    ['CONNACK', expected, false],
  )
  const later = await world.open()
  await later.subscribe(clientId)
  assert.deepEqual(await world.all(later), [])
})

check(
  'a refused CONNACK says nothing of the session that is there',
  BOTH,
  async (world, version) => {
    const clientId = world.name()
    await (await world.open({ version, clientId, clean: false, properties: NOT_OVER })).vanish()
    const peer = world.raw(version)
    peer.connect({ clientId, clean: false, user: 'guest', password: 'wrong' })
    assert.equal(only(await peer.rest()).sessionPresent, false)
  },
)

check(
  'a user name may come without a password, and a password without a user name',
  FIVE,
  async (world) => {
    const peer = world.raw(5)
    peer.connect({ clientId: world.name(), user: 'guest' })
    assert.equal(only(await peer.rest()).reason, 0x86)
    await world.open({ password: 'guest' })
  },
)

check('CONNACK tells of the limits that are below those of the standard', FIVE, async (world) => {
  const { connack } = await world.connected()
  assert.deepEqual(valuesOf(connack, 'ReceiveMaximum'), [20])
  assert.deepEqual(valuesOf(connack, 'TopicAliasMaximum'), [10])
  assert.equal(valuesOf(connack, 'MaximumPacketSize').length, 1)
  // What there is not is not announced: QoS 2, retained messages, wildcards, shared subscriptions.
  for (const name of ['MaximumQoS', 'RetainAvailable', 'WildcardSubscriptionAvailable']) {
    assert.deepEqual(valuesOf(connack, name), [])
  }
})

check('no response information is given, asked for or not', FIVE, async (world) => {
  for (const asked of [0, 1]) {
    const { connack } = await world.connected({
      properties: [['RequestResponseInformation', asked]],
    })
    assert.deepEqual(valuesOf(connack, 'ResponseInformation'), [])
  }
})

check('a reason string is left out of a CONNACK that would be too large', FIVE, async (world) => {
  const size = async (sizeMax: number | null): Promise<Seen> => {
    const peer = world.raw(5)
    const properties = sizeMax === null ? [] : ([['MaximumPacketSize', sizeMax]] as const)
    peer.connect({ clientId: world.name(), user: 'guest', password: 'wrong', properties })
    return only(await peer.rest())
  }
  const whole = await size(null)
  assert.equal(valuesOf(whole, 'ReasonString').length, 1)
  assert.equal((await size(whole.bytes.length)).bytes.length, whole.bytes.length)
  const cut = await size(whole.bytes.length - 1)
  assert.deepEqual([cut.reason, cut.properties], [whole.reason, []])
})

check(
  'a client that takes no packet as large as CONNACK is closed without one',
  FIVE,
  async (world) => {
    const peer = world.raw(5)
    peer.connect({ clientId: world.name(), properties: [['MaximumPacketSize', 4]] })
    assert.deepEqual(await peer.rest(), [])
  },
)

check(
  'a reason string is left out of a DISCONNECT that would be too large',
  FIVE,
  async (world) => {
    const fault = Buffer.of(0xc1, 0)
    const whole = await world.open()
    whole.send(fault)
    const disconnect = only(await whole.rest())
    assert.equal(valuesOf(disconnect, 'ReasonString').length, 1)
    assert.deepEqual(valuesOf(disconnect, 'SessionExpiryInterval'), [])
    const sizeMax = disconnect.bytes.length - 1
    const cut = await world.open({ properties: [['MaximumPacketSize', sizeMax]] })
    cut.send(fault)
    const { reason, properties } = only(await cut.rest())
    assert.deepEqual([reason, properties], [disconnect.reason, []])
  },
)
