/** Subscribing, unsubscribing and matching: sections 3.8 to 3.11 and 4.7. */
import assert from 'node:assert/strict'
import { packetOf, text, uint16 } from '../../support/mqtt-octets.ts'
import { type WirePeer, type Qos, type Seen, valuesOf } from '../../support/wire-peer.ts'
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
const NO_LOCAL = 4
const AS_PUBLISHED = 8
const HANDLING_1 = 0x10
const HANDLING_2 = 0x20

async function publish(
  world: World,
  topic: string,
  payload = 'x',
  qos: Qos = 1,
  retain = false,
): Promise<void> {
  const publisher = await world.open()
  await publisher.published({ topic, payload, qos, retain })
}

check(
  'SUBACK has the packet id and a code for each filter, in order',
  BOTH,
  async (world, version) => {
    const peer = await world.open({ version })
    const long = 'x'.repeat(65_001)
    const { reasons } = await peer.subscribe({ a: 2, [long]: 1, b: 0, 'c/#': 1 })
    assert.deepEqual(reasons, [2, version === 5 ? 0x8f : 0x80, 0, 1])
  },
)

check('several filters are as good as several SUBSCRIBEs', BOTH, async (world, version) => {
  const name = world.name()
  const peer = await world.open({ version })
  await peer.subscribe({ [`${name}/a`]: 0, [`${name}/b`]: 1, [`${name}/c`]: 2 })
  for (const level of ['a', 'b', 'c']) await publish(world, `${name}/${level}`, level, 2)
  assert.deepEqual(
    (await world.all(peer)).map(({ payload, qos }) => [payload, qos]),
    [
      ['a', 0],
      ['b', 1],
      ['c', 2],
    ],
  )
  await peer.unsubscribe(`${name}/a`, `${name}/c`)
  for (const level of ['a', 'b', 'c']) await publish(world, `${name}/${level}`, level, 2)
  assert.deepEqual(payloads(await world.all(peer)), ['b'])
})

check('a message is delivered with the lower of the two QoS', BOTH, async (world, version) => {
  for (const granted of QOS) {
    for (const sent of QOS) {
      const topic = world.name()
      const peer = await world.open({ version })
      assert.deepEqual((await peer.subscribe(topic, granted)).reasons, [granted])
      await publish(world, topic, 'x', sent)
      assert.equal(only(await world.all(peer)).qos, Math.min(granted, sent))
    }
  }
})

check('the same filter again takes the place of the subscription', BOTH, async (world, version) => {
  const topic = world.name()
  await publish(world, topic, 'kept', 1, true)
  const peer = await world.open({ version })
  for (const qos of [2, 0, 1] as const) {
    await peer.subscribe(topic, qos)
    const retained = only(await world.all(peer))
    assert.deepEqual([retained.payload, retained.retain], ['kept', true])
    await publish(world, topic, 'live', 2)
    const live = only(await world.all(peer))
    assert.deepEqual([live.payload, live.qos, live.retain], ['live', qos, false])
  }
  await peer.unsubscribe(topic)
  await publish(world, topic)
  assert.deepEqual(await world.all(peer), [])
})

check('nothing is lost while a subscription is replaced', BOTH, async (world, version) => {
  const topic = world.name()
  const peer = await world.open({ version })
  await peer.subscribe(topic, 1)
  const publisher = await world.open()
  const expected: string[] = []
  for (let round = 0; round < 15; round++) {
    // Nobody waits for the other.
    publisher.publish({ topic, payload: `${round}`, qos: 1, packetId: round + 1 })
    const parts = [uint16(1), ...peer.own(), text(topic), Buffer.of([1, 0, 2][round % 3]!)]
    peer.send(packetOf(0x82, parts))
    expected.push(`${round}`)
  }
  await world.all(publisher)
  const all = payloads(await world.all(peer))
  // A replaced subscription may bring a message that came in between once more.
  assert.deepEqual([...new Set(all)].toSorted(), expected.toSorted())
})

check(
  'UNSUBSCRIBE is answered, also when there was nothing to end',
  BOTH,
  async (world, version) => {
    const name = world.name()
    const peer = await world.open({ version })
    await peer.subscribe({ [`${name}/a`]: 1, [`${name}/+`]: 1 })
    const { reasons } = await peer.unsubscribe(`${name}/none`, `${name}/+`, `${name}/a`)
    assert.deepEqual(reasons, version === 5 ? [0x11, 0, 0] : [])
  },
)

check('only a filter that is the same octet by octet is ended', BOTH, async (world, version) => {
  const name = world.name()
  const peer = await world.open({ version })
  await peer.subscribe(`${name}/a/+`, 1)
  const others = [`${name}/A/+`, `${name}/a/#`, `${name}/a/b`, `${name}/a/+/`, `/${name}/a/+`]
  await peer.unsubscribe(...others)
  await publish(world, `${name}/a/b`)
  assert.equal((await world.all(peer)).length, 1)
  await peer.unsubscribe(`${name}/a/+`)
  await publish(world, `${name}/a/b`)
  assert.deepEqual(await world.all(peer), [])
})

check('a delivery that has begun is finished behind UNSUBSCRIBE', BOTH, async (world, version) => {
  const clientId = world.name()
  const properties = [['SessionExpiryInterval', 100]] as const
  const as = { version, clientId, clean: false, properties } as const
  const peer = await world.open(as)
  await peer.subscribe(clientId, 2)
  await publish(world, clientId, 'one', 1)
  await publish(world, clientId, 'two', 2)
  const sent = await world.all(peer)
  await peer.unsubscribe(clientId)
  await publish(world, clientId, 'too late', 2)
  peer.ack('PUBACK', sent[0]!.packetId)
  assert.deepEqual(await world.all(peer), [])
  await peer.vanish()
  const again = await world.open(as)
  const { payload, packetId, qos, dup } = only(await world.all(again))
  assert.deepEqual([payload, packetId, qos, dup], ['two', sent[1]!.packetId, 2, true])
  again.ack('PUBREC', packetId)
  await again.next('PUBREL')
  again.ack('PUBCOMP', packetId)
  await again.ping()
  await again.vanish()
  assert.deepEqual(await world.all(await world.open(as)), [])
})

check('retain handling: always, only for a new subscription, never', FIVE, async (world) => {
  const topic = world.name()
  await publish(world, topic, 'kept', 1, true)
  const peer = await world.open()
  const got = async (options: number): Promise<string[]> => {
    await peer.subscribe(topic, options)
    return payloads(await world.all(peer))
  }
  assert.deepEqual(await got(1 | HANDLING_2), [])
  assert.deepEqual(await got(1 | HANDLING_1), [])
  assert.deepEqual(await got(1), ['kept'])
  await peer.unsubscribe(topic)
  assert.deepEqual(await got(1 | HANDLING_1), ['kept'])
  assert.deepEqual(await got(0 | HANDLING_1), [])
  assert.deepEqual(await got(0), ['kept'])
})

check(
  'a new subscription gets the retained message of every topic that matches',
  BOTH,
  async (world, version) => {
    const name = world.name()
    const topics = ['', '/a', '/b', '/a/b', '/b/c', '/a/b/c'].map((rest) => `${name}${rest}`)
    for (const topic of topics) await publish(world, topic, topic, 1, true)
    const found = async (filter: string): Promise<string[]> => {
      const peer = await world.open({ version })
      await peer.subscribe(filter, 1)
      const all = await world.all(peer)
      assert.ok(all.every(({ retain }) => retain))
      return payloads(all.filter(({ topic }) => topic.startsWith(name))).toSorted()
    }
    assert.deepEqual(await found(`${name}/#`), topics.toSorted())
    assert.deepEqual(await found(`${name}/+`), [topics[1], topics[2]])
    assert.deepEqual(await found(`${name}/+/b/#`), [topics[3], topics[5]])
    assert.deepEqual(await found(`+/b`), [topics[2]])
    assert.deepEqual(await found(`$share/g/${name}/#`), [])
  },
)

check('RETAIN is 0 for who is subscribed already', FOUR, async (world, version) => {
  const topic = world.name()
  const peer = await world.open({ version })
  await peer.subscribe(topic, 1)
  await publish(world, topic, 'x', 1, true)
  assert.equal(only(await world.all(peer)).retain, false)
})

check('retain as published keeps RETAIN, or it is 0', FIVE, async (world) => {
  for (const qos of QOS) {
    const topic = world.name()
    const plain = await world.open()
    await plain.subscribe(topic, qos)
    const same = await world.open()
    await same.subscribe(topic, qos | AS_PUBLISHED)
    for (const retain of [true, false]) {
      await publish(world, topic, 'x', 2, retain)
      assert.equal(only(await world.all(plain)).retain, false)
      assert.equal(only(await world.all(same)).retain, retain)
    }
  }
})

check('no local: what a client publishes does not come back to it', FIVE, async (world) => {
  for (const qos of QOS) {
    const topic = world.name()
    const peer = await world.open()
    await peer.subscribe(topic, qos | NO_LOCAL)
    await peer.published({ topic, payload: 'mine', qos: 1 })
    await publish(world, topic, 'theirs')
    assert.deepEqual(payloads(await world.all(peer)), ['theirs'])
    await peer.subscribe(topic, qos)
    peer.publish({ topic, payload: 'mine' })
    assert.deepEqual(payloads(await world.all(peer)), ['mine'])
  }
})

check(
  'one subscription of no local and one without: the message comes, for the second',
  FIVE,
  async (world) => {
    const topic = world.name()
    const peer = await world.open()
    await peer.subscribe(topic, 2 | NO_LOCAL, [['SubscriptionIdentifier', 1]])
    await peer.subscribe(`${topic}/#`, 1, [['SubscriptionIdentifier', 2]])
    peer.publish({ topic, payload: 'mine', qos: 2 })
    const mine = only((await world.all(peer)).filter(({ type }) => type === 'PUBLISH'))
    assert.deepEqual([mine.qos, valuesOf(mine, 'SubscriptionIdentifier')], [1, [2]])
  },
)

check('overlapping subscriptions: the highest QoS, and one copy', BOTH, async (world, version) => {
  const name = world.name()
  const peer = await world.open({ version })
  await peer.subscribe({ [`${name}/#`]: 0, [`${name}/+`]: 2, [`${name}/a`]: 1 })
  await publish(world, `${name}/a`, 'x', 2)
  assert.equal(only(await world.all(peer)).qos, 2)
  await publish(world, `${name}/a/b`, 'x', 2)
  assert.equal(only(await world.all(peer)).qos, 0)
})

check('a message names the identifiers of all subscriptions it is for', FIVE, async (world) => {
  const name = world.name()
  const peer = await world.open()
  await peer.subscribe(`${name}/#`, 0, [['SubscriptionIdentifier', 1]])
  await peer.subscribe(`${name}/+`, 1, [['SubscriptionIdentifier', 268_435_455]])
  await peer.subscribe(`${name}/a`, 1)
  const identifiers = async (topic: string): Promise<unknown[]> => {
    await publish(world, topic)
    const values = valuesOf(only(await world.all(peer)), 'SubscriptionIdentifier')
    return values.map(Number).toSorted((a, b) => a - b)
  }
  assert.deepEqual(await identifiers(`${name}/a`), [1, 268_435_455])
  assert.deepEqual(await identifiers(`${name}/b/c`), [1])
  // Subscribed again it has another one, or none.
  await peer.subscribe(`${name}/#`, 0, [['SubscriptionIdentifier', 7]])
  assert.deepEqual(await identifiers(`${name}/b/c`), [7])
  await peer.subscribe(`${name}/#`, 0)
  assert.deepEqual(await identifiers(`${name}/b/c`), [])
  // A group's copy is one of its own and has the identifier of that subscription.
  await peer.subscribe(`$share/g/${name}/s/+`, 1, [['SubscriptionIdentifier', 9]])
  await publish(world, `${name}/s/x`)
  const copies = await world.all(peer)
  const identifiersOf = copies.map((one) => `${valuesOf(one, 'SubscriptionIdentifier').join(' ')}`)
  assert.deepEqual(identifiersOf.toSorted(), ['', '9'])
})

/** Filter, topics it matches, topics it does not match (section 4.7). */
const MATCHES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['a/b', ['a/b'], ['a', 'a/b/', '/a/b', 'A/b', 'a/B', 'a/bc']],
  ['a/#', ['a', 'a/', 'a/b', 'a/b/c'], ['ab', '/a', 'A']],
  ['a/+', ['a/', 'a/b'], ['a', 'a/b/', 'a/b/c']],
  ['+/b', ['a/b', '/b'], ['b', 'a/b/c', '$a/b']],
  ['+', ['a', ' '], ['/a', '/', '$a']],
  ['+/+', ['/a', '/', 'a/b'], ['a', '$a/b']],
  ['/+', ['/a', '/'], ['a', '//']],
  ['#', ['a', '/', 'a/b/c'], ['$a', '$a/b']],
  ['+/#', ['a', 'a/b'], ['$a', '$a/b']],
  ['$a/#', ['$a', '$a/b'], ['a', 'a/b']],
  ['$a/+', ['$a/b'], ['$a', 'a/b']],
  ['a/+/c', ['a/b/c', 'a//c', 'a/$b/c'], ['a/c', 'a/b/b/c']],
  ['a/+/#', ['a/b', 'a/b/c', 'a//'], ['a']],
  ['caf\u00e9', ['caf\u00e9'], ['cafe\u0301', 'cafe', 'CAF\u00c9']],
  [' a', [' a'], ['a', 'a ']],
  ['a.b/*', ['a.b/*'], ['a/b/*', 'a.b/c']],
]

check('a filter matches its topics and no others', BOTH, async (world, version) => {
  for (const [filter, matching, others] of MATCHES) {
    const peer = await world.open({ version })
    await peer.subscribe(filter, 1)
    const publisher = await world.open()
    for (const topic of [...matching, ...others]) await publisher.published({ topic, qos: 1 })
    const live = (await world.all(peer)).filter(({ retain }) => !retain)
    const topics = live.map(({ topic }) => topic)
    assert.deepEqual(topics, matching, filter)
    await peer.vanish()
  }
})

check(
  'a filter may have 65,000 octets; more are refused and the connection goes on',
  BOTH,
  async (world, version) => {
    const peer = await world.open({ version })
    const code = async (size: number): Promise<number | undefined> => {
      return (await peer.subscribe('y'.repeat(size), 1)).reasons[0]
    }
    assert.equal(await code(65_000), 1)
    for (const size of [65_001, 65_535]) assert.equal(await code(size), version === 5 ? 0x8f : 0x80)
  },
)

check(
  'a refused filter is explained if asked and if it fits, without a user property',
  FIVE,
  async (world) => {
    const long = 'x'.repeat(65_001)
    const whole = await (await world.open()).subscribe(long)
    assert.equal(valuesOf(whole, 'ReasonString').length, 1)
    const wholeUnsuback = await (await world.open()).unsubscribe(long)
    assert.equal(valuesOf(wholeUnsuback, 'ReasonString').length, 1)
    const replies = async (peer: WirePeer): Promise<Seen[]> => {
      return [await peer.subscribe(long), await peer.unsubscribe(long)]
    }
    const limited = async (sizeMax: number): Promise<WirePeer> => {
      return world.open({ properties: [['MaximumPacketSize', sizeMax]] })
    }
    const fits = await replies(await limited(wholeUnsuback.bytes.length))
    assert.equal(valuesOf(fits[1]!, 'ReasonString').length, 1)
    const silent = await world.open({ properties: [['RequestProblemInformation', 0]] })
    for (const peer of [silent, await limited(whole.bytes.length - 1)]) {
      for (const { reasons, properties } of await replies(peer)) {
        assert.deepEqual([reasons, properties], [[0x8f], []])
      }
    }
  },
)
