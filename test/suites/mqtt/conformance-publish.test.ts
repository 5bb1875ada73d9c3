/** What a client publishes and what becomes of it: sections 3.3 and 4.3 to 4.6, as receiver. */
import assert from 'node:assert/strict'
import { packetOf, text } from '../../support/mqtt-octets.ts'
import { type WirePeer, type Qos, type Seen, valuesOf } from '../../support/wire-peer.ts'
import type { PropertyList } from '../../support/mqtt-properties.ts'
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
const QOS: readonly Qos[] = [0, 1, 2]

/** A subscriber of MQTT 5 that sees what was published, as it was published. */
async function watch(world: World, filter: string, qos: Qos = 2): Promise<() => Promise<Seen[]>> {
  const watcher = await world.open()
  await watcher.subscribe(filter, qos | 8)
  return async () => world.all(watcher)
}

/** What a new subscriber finds. */
async function kept(world: World, topic: string): Promise<string[]> {
  const later = await world.open()
  await later.subscribe(topic, 2)
  return payloads(await world.all(later))
}

check('a PUBLISH is answered by its QoS, with its packet id', BOTH, async (world, version) => {
  const topic = world.name()
  const seen = await watch(world, topic)
  const peer = await world.open({ version })
  peer.publish({ topic, payload: '0' })
  assert.deepEqual(await world.all(peer), [])
  peer.publish({ topic, payload: '1', qos: 1, packetId: 65_535 })
  assert.equal((await peer.next('PUBACK')).packetId, 65_535)
  peer.publish({ topic, payload: '2', qos: 2, packetId: 258 })
  assert.equal((await peer.next('PUBREC')).packetId, 258)
  peer.ack('PUBREL', 258)
  assert.equal((await peer.next('PUBCOMP')).packetId, 258)
  assert.deepEqual(
    (await seen()).map(({ payload, qos }) => [payload, qos]),
    [
      ['0', 0],
      ['1', 1],
      ['2', 2],
    ],
  )
})

check(
  'after PUBACK and after PUBCOMP a packet id stands for a new message',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const seen = await watch(world, topic)
    const peer = await world.open({ version })
    for (const qos of [1, 2] as const) {
      await peer.published({ topic, payload: `${qos}a`, qos, packetId: 7 })
      // Also with DUP: whoever took the first one cannot know it again.
      await peer.published({ topic, payload: `${qos}b`, qos, packetId: 7, dup: true })
    }
    assert.deepEqual(payloads(await seen()), ['1a', '1b', '2a', '2b'])
  },
)

check(
  'a message of QoS 2 goes on once, however often it is sent before PUBREL',
  BOTH,
  async (world, version) => {
    const clientId = world.name()
    const seen = await watch(world, clientId)
    const session = { version, clientId, clean: false } as const
    const properties = [['SessionExpiryInterval', 100]] as const
    const peer = await world.open({ ...session, properties })
    const message = { topic: clientId, payload: 'once', qos: 2, packetId: 7 } as const
    peer.publish(message)
    await peer.next('PUBREC')
    peer.publish({ ...message, dup: true })
    await peer.next('PUBREC')
    await peer.vanish()
    const again = await world.open({ ...session, properties })
    again.publish({ ...message, dup: true })
    await again.next('PUBREC')
    again.ack('PUBREL', 7)
    await again.next('PUBCOMP')
    // And PUBREL may come again, too.
    again.ack('PUBREL', 7)
    const { reason } = await again.next('PUBCOMP')
    assert.equal(reason, version === 5 ? 0x92 : 0)
    assert.deepEqual(payloads(await seen()), ['once'])
  },
)

check('the exchange of QoS 2 goes on when the message has expired', FIVE, async (world) => {
  const topic = world.name()
  const peer = await world.open()
  peer.publish({ topic, qos: 2, properties: [['MessageExpiryInterval', 1]] })
  await peer.next('PUBREC')
  await world.broker.clock.advance('10s')
  peer.publish({ topic, qos: 2, dup: true })
  await peer.next('PUBREC')
  peer.ack('PUBREL', 1)
  assert.equal((await peer.next('PUBCOMP')).reason, 0)
})

check('what may not be published is refused, and its packet id is free', FIVE, async (world) => {
  const topic = world.name()
  const seen = await watch(world, topic)
  const peer = await world.open()
  for (const qos of [1, 2] as const) {
    const refusal = await peer.published({ topic: '$SYS/broker/uptime', qos })
    assert.equal(refusal.reason, 0x87)
    assert.equal(valuesOf(refusal, 'ReasonString').length, 1)
    await peer.published({ topic, payload: `${qos}`, qos })
  }
  assert.deepEqual(payloads(await seen()), ['1', '2'])
})

check('what may not be published is acknowledged and dropped', FOUR, async (world, version) => {
  const seen = await watch(world, '$SYS/broker/mine')
  const peer = await world.open({ version })
  for (const qos of QOS) await peer.published({ topic: '$SYS/broker/mine', qos })
  assert.deepEqual(await seen(), [])
})

check('nobody is subscribed: reason 0x10', FIVE, async (world) => {
  const peer = await world.open()
  for (const qos of [1, 2] as const) {
    assert.equal((await peer.published({ topic: world.name(), qos })).reason, 0x10)
  }
})

check('acknowledgements come in the order of what they answer', BOTH, async (world, version) => {
  const topic = world.name()
  const peer = await world.open({ version })
  const ids = [5, 3, 9, 1, 8]
  for (const packetId of ids) peer.publish({ topic, qos: 1, packetId })
  for (const packetId of ids) peer.publish({ topic, qos: 2, packetId: packetId + 10 })
  const all = await world.all(peer)
  const idsOf = (type: string): number[] =>
    all.filter((one) => one.type === type).map(({ packetId }) => packetId)
  assert.deepEqual(idsOf('PUBACK'), ids)
  assert.deepEqual(
    idsOf('PUBREC'),
    ids.map((id) => id + 10),
  )
  for (const packetId of ids) peer.ack('PUBREL', packetId + 10)
  assert.deepEqual(
    (await world.all(peer)).map(({ type, packetId }) => [type, packetId]),
    ids.map((id) => ['PUBCOMP', id + 10]),
  )
})

check('messages of one topic and QoS keep their order', BOTH, async (world, version) => {
  for (const qos of QOS) {
    const topic = world.name()
    const subscriber = await world.open({ version })
    await subscriber.subscribe(topic, qos)
    const peer = await world.open({ version })
    const expected = Array.from({ length: 19 }, (_one, index) => `${index}`)
    for (const [index, payload] of expected.entries()) {
      peer.publish({ topic, payload, qos, packetId: index + 1 })
    }
    await world.all(peer)
    assert.deepEqual(payloads(await world.all(subscriber)), expected)
  }
})

check(
  'an accepted message goes to every session with a subscription that matches',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const properties = [['SessionExpiryInterval', 100]] as const
    const away = { version, clientId: world.name(), clean: false, properties } as const
    const first = await world.open(away)
    await first.subscribe(`${topic}/+`, 1)
    await first.vanish()
    const others = [await watch(world, `${topic}/#`), await watch(world, `${topic}/a`, 0)]
    const not = await watch(world, `${topic}/a/b`)
    const peer = await world.open({ version })
    await peer.published({ topic: `${topic}/a`, payload: 'all', qos: 1 })
    for (const seen of others) assert.deepEqual(payloads(await seen()), ['all'])
    assert.deepEqual(await not(), [])
    assert.deepEqual(payloads(await world.all(await world.open(away))), ['all'])
  },
)

check(
  'a retained message takes the place of the one before, whatever its QoS',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const peer = await world.open({ version })
    for (const qos of QOS) {
      await peer.published({ topic, payload: `of ${qos}`, qos, retain: true })
      assert.deepEqual(await kept(world, topic), [`of ${qos}`])
    }
    await peer.published({ topic, payload: 'of 0 again', retain: true })
    const later = await world.open({ version })
    await later.subscribe(topic, 2)
    const { payload, qos, retain } = only(await world.all(later))
    assert.deepEqual([payload, qos, retain], ['of 0 again', 0, true])
  },
)

check(
  'an empty retained message ends what is kept, is not kept, and goes on',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const peer = await world.open({ version })
    await peer.published({ topic, payload: 'kept', retain: true })
    const seen = await watch(world, topic)
    assert.deepEqual(payloads(await seen()), ['kept'])
    await peer.published({ topic, payload: '', retain: true, qos: 1 })
    assert.deepEqual(payloads(await seen()), [''])
    assert.deepEqual(await kept(world, topic), [])
  },
)

check('a message without RETAIN leaves what is kept', BOTH, async (world, version) => {
  const topic = world.name()
  const peer = await world.open({ version })
  await peer.published({ topic, payload: 'first', qos: 1 })
  assert.deepEqual(await kept(world, topic), [])
  await peer.published({ topic, payload: 'kept', qos: 1, retain: true })
  for (const payload of ['other', '']) await peer.published({ topic, payload, qos: 1 })
  assert.deepEqual(await kept(world, topic), ['kept'])
})

check('properties go on unchanged and in their order', FIVE, async (world) => {
  const topic = world.name()
  const properties: PropertyList = [
    ['UserProperty', ['b', '2']],
    ['PayloadFormatIndicator', 1],
    ['UserProperty', ['a', '1']],
    ['ContentType', 'text/plain; é'],
    ['ResponseTopic', 'answers/to/é'],
    ['CorrelationData', Buffer.from([0, 255, 128])],
    ['UserProperty', ['b', '1']],
    ['UserProperty', ['', '']],
  ]
  const publisher = await world.open()
  for (const qos of QOS) {
    const seen = await watch(world, topic)
    await publisher.published({ topic, payload: 'x', qos, properties, retain: qos === 2 })
    assert.deepEqual(only(await seen()).properties, properties)
  }
  // So do those of a retained message.
  const seen = await watch(world, topic)
  assert.deepEqual(only(await seen()).properties, properties)
})

check('U+FEFF is kept wherever it stands', BOTH, async (world, version) => {
  const topic = `\ufeff${world.name()}\ufeff`
  const seen = await watch(world, '#')
  await seen()
  const peer = await world.open({ version })
  await peer.published({ topic, payload: 'x', qos: 1 })
  const { bytes } = only((await seen()).filter((one) => one.payload === 'x'))
  assert.ok(bytes.includes(Buffer.from([0xef, 0xbb, 0xbf])))
  const exact = await watch(world, topic)
  const without = await watch(world, topic.replaceAll('\ufeff', ''))
  await peer.published({ topic, payload: 'y', qos: 1 })
  assert.equal(only(await exact()).topic, topic)
  assert.deepEqual(await without(), [])
})

check('the message expiry is lowered by the time a message waits', FIVE, async (world) => {
  const away = { clientId: world.name(), properties: [['SessionExpiryInterval', 900]] } as const
  const first = await world.open(away)
  await first.subscribe(away.clientId, 1)
  await first.vanish()
  const publisher = await world.open()
  const send = async (seconds: number, retain: boolean): Promise<void> => {
    const properties = [['MessageExpiryInterval', seconds]] as const
    await publisher.published({
      topic: away.clientId,
      payload: `${seconds}`,
      qos: 1,
      retain,
      properties,
    })
  }
  await send(10, false)
  await send(100, true)
  await world.broker.clock.advance('40s')
  const packet = only(await world.all(await world.open({ ...away, clean: false })))
  assert.equal(packet.payload, '100')
  assert.deepEqual(valuesOf(packet, 'MessageExpiryInterval'), [60])
  const later = await world.open()
  await later.subscribe(away.clientId, 1)
  assert.deepEqual(valuesOf(only(await world.all(later)), 'MessageExpiryInterval'), [60])
  await world.broker.clock.advance('61s')
  assert.deepEqual(await kept(world, away.clientId), [])
})

check(
  'a topic alias stands for its topic, up to the maximum, for one connection',
  FIVE,
  async (world) => {
    const topic = world.name()
    const seen = await watch(world, `${topic}/#`)
    const peer = await world.open()
    for (let alias = 1; alias <= 10; alias++) {
      const properties = [['TopicAlias', alias]] as const
      peer.publish({ topic: `${topic}/${alias}`, payload: 'named', properties })
      peer.publish({ topic: '', payload: 'by alias', properties })
    }
    // It may be given another meaning.
    peer.publish({ topic: `${topic}/new`, properties: [['TopicAlias', 3]] })
    peer.publish({ topic: '', properties: [['TopicAlias', 3]] })
    await peer.ping()
    const topics = (await seen()).map((one) => one.topic)
    const expected = Array.from({ length: 10 }, (_one, index) => `${topic}/${index + 1}`)
    assert.deepEqual(topics, [
      ...expected.flatMap((one) => [one, one]),
      `${topic}/new`,
      `${topic}/new`,
    ])
    const other = await world.open()
    other.publish({ topic: '', properties: [['TopicAlias', 3]] })
    assert.equal(only(await other.rest()).reason, 0x82)
  },
)

check('no more publishes may be under way than the receive maximum', FIVE, async (world) => {
  const topic = world.name()
  const peer = await world.open()
  for (let packetId = 1; packetId <= 20; packetId++) peer.publish({ topic, qos: 2, packetId })
  assert.equal((await world.all(peer)).length, 20)
  // Not those of QoS 0, nor one that is sent again.
  peer.publish({ topic })
  peer.publish({ topic, qos: 2, packetId: 20, dup: true })
  await peer.next('PUBREC')
  peer.ack('PUBREL', 1)
  await peer.next('PUBCOMP')
  peer.publish({ topic, qos: 2, packetId: 1 })
  await peer.next('PUBREC')
  peer.publish({ topic, qos: 1, packetId: 100 })
  assert.equal(only(await peer.rest()).reason, 0x93)
})

check('payloads are any octets, 65,535 of them in a will', BOTH, async (world, version) => {
  // Any octets may be a payload, and 65,535 of them go into a will.
  const topic = world.name()
  const seen = await watch(world, topic)
  const peer = await world.open({ version, will: { topic, payload: 'x'.repeat(65_535) } })
  await peer.published({ topic, payload: Buffer.from([0, 255, 254]), qos: 1 })
  await peer.vanish()
  assert.deepEqual(
    (await seen()).map(({ payload }) => Buffer.byteLength(payload)),
    [7, 65_535],
  )
})

check(
  'a topic may have 65,000 octets; more are refused and the connection goes on',
  BOTH,
  async (world, version) => {
    const peer = await world.open({ version })
    const seen = await watch(world, 'x'.repeat(65_000))
    await peer.published({ topic: 'x'.repeat(65_000), payload: 'fits', qos: 1 })
    assert.deepEqual(payloads(await seen()), ['fits'])
    const { reason } = await peer.published({ topic: 'x'.repeat(65_535), qos: 1 })
    assert.equal(reason, version === 5 ? 0x90 : 0)
  },
)

check(
  'an acknowledgement has no user property, and a reason string only if asked and if it fits',
  FIVE,
  async (world) => {
    const topic = '$SYS/broker/uptime'
    const refused = async (peer: WirePeer, qos: Qos): Promise<Seen> => {
      const seen = await peer.published({ topic, qos })
      assert.equal(seen.reason, 0x87)
      assert.deepEqual(valuesOf(seen, 'UserProperty'), [])
      return seen
    }
    for (const qos of [1, 2] as const) {
      const whole = await refused(await world.open(), qos)
      assert.equal(valuesOf(whole, 'ReasonString').length, 1)
      const size = (sizeMax: number): { properties: PropertyList } => {
        return { properties: [['MaximumPacketSize', sizeMax]] }
      }
      const fits = await refused(await world.open(size(whole.bytes.length)), qos)
      assert.deepEqual(fits.properties, whole.properties)
      const cut = await refused(await world.open(size(whole.bytes.length - 1)), qos)
      assert.deepEqual(cut.properties, [])
      const silent = await world.open({ properties: [['RequestProblemInformation', 0]] })
      assert.deepEqual((await refused(silent, qos)).properties, [])
      // But DISCONNECT may give its reason even then.
      silent.send(packetOf(0x31, [text('#')]))
      assert.equal(valuesOf(only(await silent.rest()), 'ReasonString').length, 1)
    }
  },
)
