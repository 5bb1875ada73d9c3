/** What the broker sends and sends again: sections 3.3, 4.3, 4.4, 4.8 and 4.9, as sender. */
import assert from 'node:assert/strict'
import {
  type ConnectAs,
  type WirePeer,
  type MqttVersion,
  type Seen,
  valuesOf,
} from '../../support/wire-peer.ts'
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

/** A session that outlives its connection. */
function session(world: World, version: MqttVersion): ConnectAs {
  const properties = [['SessionExpiryInterval', 1000]] as const
  return { version, clientId: world.name(), clean: false, properties }
}

function facts({ payload, qos, packetId, dup }: Seen): unknown[] {
  return [payload, qos, packetId, dup]
}

async function publishAll(
  world: World,
  topic: string,
  qos: 1 | 2,
  list: readonly string[],
): Promise<void> {
  const publisher = await world.open()
  for (const payload of list) await publisher.published({ topic, payload, qos })
}

check(
  'a message goes out for the first time with DUP 0 and an id that is free',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const subscriber = await world.open({ version })
    await subscriber.subscribe(topic, 2)
    const publisher = await world.open({ version })
    // DUP of the publisher is its own affair.
    publisher.publish({ topic, payload: '0' })
    publisher.publish({ topic, payload: '1', qos: 1, dup: true })
    publisher.publish({ topic, payload: '2', qos: 2, dup: true })
    await world.all(publisher)
    const all = await world.all(subscriber)
    assert.deepEqual(
      all.map(({ qos, dup }) => [qos, dup]),
      [
        [0, false],
        [1, false],
        [2, false],
      ],
    )
    const ids = all.map(({ packetId }) => packetId)
    // WirePeer refuses an id in QoS 0 and an id of 0.
    assert.equal(ids[0], 0)
    assert.notEqual(ids[1], ids[2])
  },
)

check(
  'packet ids under way differ, and those of the client are its own',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const peer = await world.open({ version })
    await peer.subscribe(topic, 1)
    const publisher = await world.open()
    for (let count = 0; count < 300; count++) publisher.publish({ topic, payload: `${count}` })
    for (let packetId = 1; packetId <= 15; packetId++) peer.publish({ topic, qos: 1, packetId })
    const all = await world.all(peer)
    const ids = all.filter(({ qos }) => qos > 0).map(({ packetId }) => packetId)
    assert.equal(new Set(ids).size, 15)
  },
)

check(
  'what is not acknowledged is sent again on resumption, with its id, DUP and order',
  BOTH,
  async (world, version) => {
    const as = session(world, version)
    const topic = as.clientId!
    const first = await world.open(as)
    await first.subscribe(topic, 2)
    await publishAll(world, topic, 1, ['a', 'b'])
    await publishAll(world, topic, 2, ['c', 'd'])
    const sent = await world.all(first)
    assert.deepEqual(payloads(sent), ['a', 'b', 'c', 'd'])
    // Not while the connection lasts, however long that is.
    await world.broker.clock.advance('100s')
    assert.deepEqual(await world.all(first), [])
    await first.vanish()
    const second = await world.open(as)
    const again = await world.all(second)
    assert.deepEqual(
      again.map(facts),
      sent.map((one) => facts({ ...one, dup: true })),
    )
    second.ack('PUBACK', again[1]!.packetId)
    second.ack('PUBREC', again[2]!.packetId)
    await second.next('PUBREL')
    await second.vanish()
    const third = await world.open(as)
    const rest = await world.all(third)
    assert.deepEqual(
      rest.map(({ type, packetId }) => [type, packetId]),
      [
        ['PUBREL', sent[2]!.packetId],
        ['PUBLISH', sent[0]!.packetId],
        ['PUBLISH', sent[3]!.packetId],
      ],
    )
  },
)

check('no PUBLISH again behind PUBREL, and PUBREL until PUBCOMP', BOTH, async (world, version) => {
  const as = session(world, version)
  const first = await world.open(as)
  await first.subscribe(as.clientId!, 2)
  await publishAll(world, as.clientId!, 2, ['x'])
  const { packetId } = only(await world.all(first))
  first.ack('PUBREC', packetId)
  assert.equal((await first.next('PUBREL')).packetId, packetId)
  await first.vanish()
  for (let count = 0; count < 2; count++) {
    const again = await world.open(as)
    const packet = only(await world.all(again))
    assert.deepEqual([packet.type, packet.packetId], ['PUBREL', packetId])
    // It may be that the client has not seen PUBREL and repeats its PUBREC.
    again.ack('PUBREC', packetId)
    assert.deepEqual([(await again.next('PUBREL')).packetId], [packetId])
    await again.vanish()
  }
  const last = await world.open(as)
  only(await world.all(last))
  last.ack('PUBCOMP', packetId)
  await last.ping()
  await last.vanish()
  assert.deepEqual(await world.all(await world.open(as)), [])
})

check('a refusal by PUBACK or PUBREC is the end of a message', FIVE, async (world, version) => {
  const as = session(world, version)
  const first = await world.open(as)
  await first.subscribe(as.clientId!, 2)
  await publishAll(world, as.clientId!, 1, ['a'])
  await publishAll(world, as.clientId!, 2, ['b'])
  const [one, two] = await world.all(first)
  first.ack('PUBACK', one!.packetId, 0x83)
  first.ack('PUBREC', two!.packetId, 0x97)
  assert.deepEqual(await world.all(first), [])
  await first.vanish()
  assert.deepEqual(await world.all(await world.open(as)), [])
})

check(
  'PUBREL and PUBCOMP for nothing that is under way say so, and why if it fits',
  FIVE,
  async (world) => {
    const answers = async (peer: WirePeer): Promise<Seen[]> => {
      peer.ack('PUBREC', 77)
      const pubrel = await peer.next('PUBREL')
      peer.ack('PUBREL', 78)
      const pubcomp = await peer.next('PUBCOMP')
      assert.deepEqual([pubrel.packetId, pubcomp.packetId], [77, 78])
      assert.deepEqual([pubrel.reason, pubcomp.reason], [0x92, 0x92])
      return [pubrel, pubcomp]
    }
    const whole = await answers(await world.open())
    const limited = async (sizeMax: number): Promise<WirePeer> => {
      return world.open({ properties: [['MaximumPacketSize', sizeMax]] })
    }
    const size = whole[0]!.bytes.length
    for (const one of whole) assert.equal(valuesOf(one, 'ReasonString').length, 1)
    for (const one of await answers(await limited(size))) assert.equal(one.bytes.length, size)
    for (const one of await answers(await limited(size - 1))) assert.deepEqual(one.properties, [])
  },
)

check('a packet without properties has a property length of 0', FIVE, async (world) => {
  const topic = world.name()
  const peer = await world.open()
  const { bytes } = await peer.subscribe(topic)
  assert.equal(bytes.toString('hex'), '900400090000')
  peer.publish({ topic, payload: 'x' })
  const message = only(await world.all(peer))
  const size = topic.length
  assert.equal(message.bytes.readUInt8(4 + size), 0)
  assert.equal(message.bytes.length, 4 + size + 1 + 1)
  assert.equal((await peer.unsubscribe(topic)).bytes.toString('hex'), 'b004000a0000')
})

check(
  'a message that was sent does not expire before its exchange is over',
  FIVE,
  async (world, version) => {
    const as = session(world, version)
    const first = await world.open(as)
    await first.subscribe(as.clientId!, 2)
    const publisher = await world.open()
    const properties = [['MessageExpiryInterval', 5]] as const
    for (const qos of [1, 2] as const) {
      await publisher.published({ topic: as.clientId!, payload: `${qos}`, qos, properties })
    }
    const sent = await world.all(first)
    await first.vanish()
    await world.broker.clock.advance('60s')
    const again = await world.open(as)
    const all = await world.all(again)
    assert.deepEqual(
      all.map(({ packetId, payload }) => [packetId, payload]),
      sent.map(({ packetId, payload }) => [packetId, payload]),
    )
    again.ack('PUBREC', all[1]!.packetId)
    assert.equal((await again.next('PUBREL')).packetId, all[1]!.packetId)
  },
)

check(
  'no more is under way than the receive maximum, and all else goes on',
  FIVE,
  async (world) => {
    const topic = world.name()
    const peer = await world.open({ properties: [['ReceiveMaximum', 2]] })
    await peer.subscribe(topic, 2)
    await publishAll(world, topic, 1, ['a', 'b', 'c'])
    await publishAll(world, topic, 2, ['d', 'e'])
    const first = await world.all(peer)
    assert.deepEqual(payloads(first), ['a', 'b'])
    // Quota 0: QoS 0 was not subscribed, so it goes through the same queue; another filter's does not.
    await peer.subscribe(`${topic}/0`, 0)
    const publisher = await world.open()
    publisher.publish({ topic: `${topic}/0`, payload: 'zero' })
    await publisher.ping()
    assert.deepEqual(payloads(await world.all(peer)), ['zero'])
    await peer.published({ topic: `${topic}/none`, qos: 2 })
    peer.ack('PUBACK', first[0]!.packetId)
    const second = await world.all(peer)
    assert.deepEqual(payloads(second), ['c'])
    peer.ack('PUBACK', first[1]!.packetId)
    const fourth = only(await world.all(peer))
    assert.equal(fourth.payload, 'd')
    peer.ack('PUBACK', second[0]!.packetId)
    const fifth = only(await world.all(peer))
    // PUBREC alone gives nothing back, PUBCOMP does, and so does a refusal.
    await publishAll(world, topic, 1, ['f', 'g'])
    peer.ack('PUBREC', fourth.packetId)
    assert.equal(only(await world.all(peer)).type, 'PUBREL')
    peer.ack('PUBCOMP', fourth.packetId)
    assert.deepEqual(payloads(await world.all(peer)), ['f'])
    peer.ack('PUBREC', fifth.packetId, 0x80)
    assert.deepEqual(payloads(await world.all(peer)), ['g'])
  },
)

check(
  'the receive maximum counts what a former connection left open',
  FIVE,
  async (world, version) => {
    const as = session(world, version)
    const first = await world.open(as)
    await first.subscribe(as.clientId!, 2)
    await publishAll(world, as.clientId!, 2, ['a', 'b'])
    for (const { packetId } of await world.all(first)) first.ack('PUBREC', packetId)
    await world.all(first)
    await first.vanish()
    await publishAll(world, as.clientId!, 1, ['c'])
    const properties = [...as.properties!, ['ReceiveMaximum', 2]] as const
    const again = await world.open({ ...as, properties })
    const released = await world.all(again)
    assert.deepEqual(
      released.map(({ type }) => type),
      ['PUBREL', 'PUBREL'],
    )
    again.ack('PUBCOMP', released[0]!.packetId)
    assert.deepEqual(payloads(await world.all(again)), ['c'])
  },
)

check(
  'nothing above the maximum packet size of a client is sent, as if it had been',
  FIVE,
  async (world, version) => {
    const as = session(world, version)
    const properties = [...as.properties!, ['MaximumPacketSize', 60]] as const
    const peer = await world.open({ ...as, properties })
    await peer.subscribe(as.clientId!, 2)
    await publishAll(world, as.clientId!, 1, ['x'.repeat(60), 'small'])
    await publishAll(world, as.clientId!, 2, ['x'.repeat(60)])
    const all = await world.all(peer)
    assert.deepEqual(payloads(all), ['small'])
    peer.ack('PUBACK', all[0]!.packetId)
    await peer.ping()
    await peer.vanish()
    assert.deepEqual(await world.all(await world.open(as)), [])
  },
)

check(
  'the broker uses topic aliases up to the maximum of the client, and none without',
  FIVE,
  async (world) => {
    const topic = world.name()
    const topics = ['a', 'b', 'a', 'b', 'c', 'c', 'a'].map((level) => `${topic}/${level}`)
    const aliasesFor = async (maximum: number | null): Promise<unknown[]> => {
      const properties = maximum === null ? [] : ([['TopicAliasMaximum', maximum]] as const)
      const peer = await world.open({ properties })
      await peer.subscribe(`${topic}/+`)
      const publisher = await world.open()
      for (const one of topics) publisher.publish({ topic: one, payload: 'x' })
      await publisher.ping()
      return (await world.all(peer)).map((seen) => [seen.topic, ...valuesOf(seen, 'TopicAlias')])
    }
    for (const none of [null, 0]) {
      assert.deepEqual(
        await aliasesFor(none),
        topics.map((one) => [one]),
      )
    }
    assert.deepEqual(await aliasesFor(2), [
      [topics[0], 1],
      [topics[1], 2],
      ['', 1],
      ['', 2],
      [topics[4]],
      [topics[4]],
      ['', 1],
    ])
  },
)

check(
  'an alias has its meaning before it is used, whatever the QoS',
  FIVE,
  async (world, version) => {
    const as = session(world, version)
    const properties = [...as.properties!, ['TopicAliasMaximum', 2]] as const
    const peer = await world.open({ ...as, properties })
    await peer.subscribe(`${as.clientId}/+`, 2)
    const publisher = await world.open()
    for (let packetId = 1; packetId <= 18; packetId++) {
      // What is to be on disk first may be overtaken by what is not.
      const qos = packetId % 3 === 0 ? 1 : 2
      publisher.publish({ topic: `${as.clientId}/${packetId % 2}`, payload: 'x', qos, packetId })
    }
    await world.all(publisher)
    const meanings = new Map<unknown, string>()
    const all = await world.all(peer)
    assert.equal(all.length, 18)
    for (const seen of all) {
      const [alias] = valuesOf(seen, 'TopicAlias')
      if (seen.topic === '') assert.ok(meanings.has(alias), `alias ${String(alias)} means nothing`)
      else if (alias !== undefined) meanings.set(alias, seen.topic)
    }
    assert.equal(meanings.size, 2)
  },
)

check('an alias of the broker ends with the connection', FIVE, async (world, version) => {
  const as = session(world, version)
  const properties = [...as.properties!, ['TopicAliasMaximum', 5]] as const
  const topicOf = async (peer: WirePeer): Promise<string> => {
    await publishAll(world, as.clientId!, 1, ['x'])
    const packet = only(await world.all(peer))
    peer.ack('PUBACK', packet.packetId)
    return packet.topic
  }
  const first = await world.open({ ...as, properties })
  await first.subscribe(as.clientId!, 1)
  assert.deepEqual([await topicOf(first), await topicOf(first)], [as.clientId, ''])
  await first.vanish()
  const again = await world.open({ ...as, properties })
  assert.deepEqual([await topicOf(again), await topicOf(again)], [as.clientId, ''])
})

check(
  'a session whose client does not read is none the worse for the others',
  BOTH,
  async (world, version) => {
    const topic = world.name()
    const lazy = await world.open({ version })
    await lazy.subscribe(topic, 1)
    lazy.pause(true)
    const awake = await world.open({ version })
    await awake.subscribe(topic, 1)
    await publishAll(world, topic, 1, ['x'.repeat(100_000)])
    only(await world.all(awake))
    lazy.pause(false)
    only(await world.all(lazy))
  },
)

/** Members of one group. */
async function group(
  world: World,
  qos: number,
  list: readonly ConnectAs[],
): Promise<{ topic: string; members: WirePeer[] }> {
  const topic = world.name()
  const members: WirePeer[] = []
  for (const as of list) {
    const member = await world.open(as)
    await member.subscribe(`$share/${topic}/${topic}`, qos)
    members.push(member)
  }
  return { topic, members }
}

check(
  'each message goes to one member of a group, with the QoS that was granted',
  BOTH,
  async (world, version) => {
    for (const qos of [0, 1, 2]) {
      const { topic, members } = await group(world, qos, [{ version }, { version }, { version }])
      const expected = Array.from({ length: 30 }, (_one, index) => `${index}`)
      await publishAll(world, topic, 2, expected)
      const all: Seen[] = []
      for (const member of members) all.push(...(await world.all(member)))
      assert.deepEqual(payloads(all).toSorted(), expected.toSorted())
      assert.deepEqual([...new Set(all.map((one) => one.qos))], [qos])
    }
  },
)

check('a member of a group that refuses a message ends it', FIVE, async (world) => {
  const { topic, members } = await group(world, 2, [{}])
  await publishAll(world, topic, 1, ['a'])
  await publishAll(world, topic, 2, ['b'])
  const [a, b] = await world.all(members[0]!)
  members[0]!.ack('PUBACK', a!.packetId, 0x80)
  members[0]!.ack('PUBREC', b!.packetId, 0x80)
  await members[0]!.ping()
  const other = await world.open()
  await other.subscribe(`$share/${topic}/${topic}`, 2)
  await members[0]!.vanish()
  assert.deepEqual(await world.all(other), [])
})

check(
  'a QoS 2 message under way to a member that is lost waits for it',
  BOTH,
  async (world, version) => {
    const as = session(world, version)
    const { topic, members } = await group(world, 2, [as])
    await publishAll(world, topic, 2, ['mine'])
    const sent = only(await world.all(members[0]!))
    const other = await world.open({ version })
    await other.subscribe(`$share/${topic}/${topic}`, 2)
    await members[0]!.vanish()
    assert.deepEqual(await world.all(other), [])
    const back = await world.open(as)
    assert.deepEqual(facts(only(await world.all(back))), facts({ ...sent, dup: true }))
    back.ack('PUBREC', sent.packetId)
    await back.next('PUBREL')
    back.ack('PUBCOMP', sent.packetId)
    await back.ping()
    await back.vanish()
    assert.deepEqual(await world.all(other), [])
    assert.deepEqual(await world.all(await world.open(as)), [])
  },
)

check(
  'a QoS 2 message under way goes to no other member when the session ends',
  BOTH,
  async (world, version) => {
    const as = session(world, version)
    const lives: ConnectAs[] = [as, { version }]
    for (const one of lives) {
      const { topic, members } = await group(world, 2, [one])
      await publishAll(world, topic, 2, ['mine'])
      only(await world.all(members[0]!))
      const other = await world.open({ version })
      await other.subscribe(`$share/${topic}/${topic}`, 2)
      await members[0]!.vanish()
      if (one === as) await (await world.open({ ...as, clean: true })).vanish()
      assert.deepEqual(await world.all(other), [])
    }
  },
)

check(
  'a QoS 1 message under way to a member that is lost goes to another',
  BOTH,
  async (world, version) => {
    const { topic, members } = await group(world, 1, [{ version }])
    await publishAll(world, topic, 1, ['any'])
    only(await world.all(members[0]!))
    const other = await world.open({ version })
    await other.subscribe(`$share/${topic}/${topic}`, 1)
    await members[0]!.vanish()
    assert.deepEqual(payloads(await world.all(other)), ['any'])
  },
)
