/**
 * What a client may not send: the connection ends, in MQTT 5 with a reason, and nobody else's does.
 * docs/mqtt-conformance.md names these rows by their first words.
 */
import assert from 'node:assert/strict'
import { packetOf, text, uint16, varint } from '../../support/mqtt-octets.ts'
import { connectPacket, type MqttVersion, publishPacket } from '../../support/wire-peer.ts'
import { propertyBytes, type PropertyList } from '../../support/mqtt-properties.ts'
import { BOTH, conformance, type Versions } from './conformance-world.ts'

const check = conformance()

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const FIVE: Versions = [5]
const FOUR: Versions = [4]

type Bytes = (version: MqttVersion) => Buffer

/** One thing that is wrong in a packet behind CONNECT. */
type Row = readonly [what: string, reason: number, bytes: Bytes, versions?: Versions]

const ILL_FORMED = Buffer.from([0x61, 0xff, 0xfe])
const SURROGATE = Buffer.from([0x61, 0xed, 0xa0, 0x80])
const NUL = Buffer.from('a\0b')

/** Of MQTT 5; nothing before it. */
function own(version: MqttVersion, properties: PropertyList = []): readonly Buffer[] {
  return version === 5 ? [propertyBytes(properties)] : []
}

function publish(topic: string | Buffer, first = 0x32): Bytes {
  return (version) => packetOf(first, [text(topic), uint16(1), ...own(version)])
}

function published(properties: PropertyList, topic = 'a'): Bytes {
  return () => publishPacket(5, { topic, qos: 1, properties })
}

function subscribe(filter: string | Buffer, options = 0, properties: PropertyList = []): Bytes {
  return (version) => {
    const parts = [uint16(1), ...own(version, properties), text(filter), Buffer.of(options)]
    return packetOf(0x82, parts)
  }
}

function unsubscribe(filter: string | Buffer): Bytes {
  return (version) => packetOf(0xa2, [uint16(1), ...own(version), text(filter)])
}

function octets(...values: readonly number[]): Bytes {
  return () => Buffer.from(values)
}

/** A property of a PUBLISH whose octets are given. */
function rawProperty(...parts: readonly Uint8Array[]): Bytes {
  const properties = Buffer.concat(parts)
  const list = [text('a'), uint16(1), varint(properties.length), properties]
  return () => packetOf(0x32, list)
}

const ROWS: readonly Row[] = [
  ['a topic that is not UTF-8', MALFORMED, publish(ILL_FORMED)],
  ['a topic with a surrogate', MALFORMED, publish(SURROGATE)],
  ['a topic with U+0000', MALFORMED, publish(NUL)],
  ['a topic with #', MALFORMED, publish('a/#')],
  ['a topic with +', MALFORMED, publish('a/+')],
  ['an empty topic', PROTOCOL_ERROR, publish('')],
  ['a filter that is not UTF-8', MALFORMED, subscribe(ILL_FORMED)],
  ['a filter with a surrogate', MALFORMED, subscribe(SURROGATE)],
  ['a filter with U+0000', MALFORMED, subscribe(NUL)],
  ['an empty filter', MALFORMED, subscribe('')],
  ['a filter with # before its end', MALFORMED, subscribe('a/#/b')],
  ['a filter with # inside a level', MALFORMED, subscribe('a/b#')],
  ['a filter with + inside a level', MALFORMED, subscribe('a/b+/c')],
  ['a shared filter without a name', MALFORMED, subscribe('$share//a')],
  ['a shared filter without a filter', MALFORMED, subscribe('$share/g')],
  ['a shared filter with an empty filter', MALFORMED, subscribe('$share/g/')],
  ['a shared filter with + in its name', MALFORMED, subscribe('$share/g+/a')],
  ['a shared filter with # in its name', MALFORMED, subscribe('$share/g#/a')],
  ['a filter to end that is not UTF-8', MALFORMED, unsubscribe(ILL_FORMED)],
  ['a filter to end with U+0000', MALFORMED, unsubscribe(NUL)],
  ['an empty filter to end', MALFORMED, unsubscribe('')],
  [
    'a user property whose name is not UTF-8',
    MALFORMED,
    rawProperty(Buffer.of(0x26), text(ILL_FORMED), text('v')),
    FIVE,
  ],
  [
    'a user property whose value is not UTF-8',
    MALFORMED,
    rawProperty(Buffer.of(0x26), text('k'), text(SURROGATE)),
    FIVE,
  ],
  [
    'a response topic that is not UTF-8',
    MALFORMED,
    rawProperty(Buffer.of(8), text(ILL_FORMED)),
    FIVE,
  ],
  [
    'a content type that is not UTF-8',
    MALFORMED,
    rawProperty(Buffer.of(3), text(ILL_FORMED)),
    FIVE,
  ],
  ['a response topic with #', PROTOCOL_ERROR, published([['ResponseTopic', 'a/#']]), FIVE],
  ['a response topic with +', PROTOCOL_ERROR, published([['ResponseTopic', '+/a']]), FIVE],
  ['a remaining length that is longer than needed', MALFORMED, octets(0xc0, 0x80, 0), FIVE],
  ['a remaining length of five octets', MALFORMED, octets(0xc0, 0x80, 0x80, 0x80, 0x80, 1)],
  [
    'a property length that is longer than needed',
    MALFORMED,
    () => packetOf(0x30, [text('a'), Buffer.of(0x80, 0)]),
    FIVE,
  ],
  ['a property of no known id', MALFORMED, rawProperty(Buffer.of(0x7f, 0)), FIVE],
  ['a property of another packet', MALFORMED, published([['ServerKeepAlive', 1]]), FIVE],
  [
    'a property that stands twice',
    PROTOCOL_ERROR,
    published([
      ['ContentType', 'a'],
      ['ContentType', 'b'],
    ]),
    FIVE,
  ],
  ['a payload format of 2', PROTOCOL_ERROR, published([['PayloadFormatIndicator', 2]]), FIVE],
  ['reserved flags in PUBACK', MALFORMED, octets(0x41, 2, 0, 1)],
  ['reserved flags in PUBREC', MALFORMED, octets(0x52, 2, 0, 1)],
  ['reserved flags in PUBREL', MALFORMED, octets(0x60, 2, 0, 1)],
  ['reserved flags in PUBCOMP', MALFORMED, octets(0x74, 2, 0, 1)],
  [
    'reserved flags in SUBSCRIBE',
    MALFORMED,
    (version) => packetOf(0x80, [uint16(1), ...own(version), text('a'), Buffer.of(0)]),
  ],
  [
    'reserved flags in UNSUBSCRIBE',
    MALFORMED,
    (version) => packetOf(0xa0, [uint16(1), ...own(version), text('a')]),
  ],
  ['reserved flags in PINGREQ', MALFORMED, octets(0xc1, 0)],
  ['reserved flags in DISCONNECT', MALFORMED, octets(0xe1, 0)],
  ['reserved flags in AUTH', MALFORMED, octets(0xf1, 0), FIVE],
  ['a PUBLISH of QoS 3', MALFORMED, publish('a', 0x36)],
  ['a PUBLISH of QoS 0 with DUP', MALFORMED, publish('a', 0x38)],
  [
    'a PUBLISH with the packet id 0',
    PROTOCOL_ERROR,
    (version) => packetOf(0x32, [text('a'), uint16(0), ...own(version)]),
  ],
  [
    'a SUBSCRIBE with the packet id 0',
    PROTOCOL_ERROR,
    (version) => packetOf(0x82, [uint16(0), ...own(version), text('a'), Buffer.of(0)]),
  ],
  [
    'an UNSUBSCRIBE with the packet id 0',
    PROTOCOL_ERROR,
    (version) => packetOf(0xa2, [uint16(0), ...own(version), text('a')]),
  ],
  [
    'a SUBSCRIBE without a filter',
    PROTOCOL_ERROR,
    (version) => packetOf(0x82, [uint16(1), ...own(version)]),
  ],
  [
    'an UNSUBSCRIBE without a filter',
    PROTOCOL_ERROR,
    (version) => packetOf(0xa2, [uint16(1), ...own(version)]),
  ],
  ['a subscription of QoS 3', MALFORMED, subscribe('a', 3)],
  ['a subscription with reserved bits', MALFORMED, subscribe('a', 0x40)],
  ['a subscription with bits that 3.1.1 reserves', MALFORMED, subscribe('a', 4), FOUR],
  ['a subscription with retain handling 3', PROTOCOL_ERROR, subscribe('a', 0x30), FIVE],
  ['no local on a shared subscription', PROTOCOL_ERROR, subscribe('$share/g/a', 4), FIVE],
  [
    'a subscription identifier of 0',
    PROTOCOL_ERROR,
    subscribe('a', 0, [['SubscriptionIdentifier', 0]]),
    FIVE,
  ],
  [
    'a subscription identifier in a PUBLISH',
    PROTOCOL_ERROR,
    published([['SubscriptionIdentifier', 1]]),
    FIVE,
  ],
  ['a topic alias of 0', 0x94, published([['TopicAlias', 0]]), FIVE],
  ['a topic alias above the maximum', 0x94, published([['TopicAlias', 11]]), FIVE],
  ['a topic alias without a meaning', PROTOCOL_ERROR, published([['TopicAlias', 3]], ''), FIVE],
  ['a second CONNECT', PROTOCOL_ERROR, (version) => connectPacket({ version, clientId: 'x' })],
  ['a packet of type 0', PROTOCOL_ERROR, octets(0, 0)],
  ['a CONNACK of a client', PROTOCOL_ERROR, octets(0x20, 2, 0, 0)],
  ['a SUBACK of a client', PROTOCOL_ERROR, octets(0x90, 3, 0, 1, 0)],
  ['an UNSUBACK of a client', PROTOCOL_ERROR, octets(0xb0, 2, 0, 1)],
  ['a PINGRESP of a client', PROTOCOL_ERROR, octets(0xd0, 0)],
  ['a packet of type 15', PROTOCOL_ERROR, octets(0xf0, 0), FOUR],
  ['a reason that PUBACK does not have', PROTOCOL_ERROR, octets(0x40, 3, 0, 1, 0x92), FIVE],
  ['a reason that PUBREC does not have', PROTOCOL_ERROR, octets(0x50, 3, 0, 1, 0x8e), FIVE],
  ['a reason that PUBREL does not have', PROTOCOL_ERROR, octets(0x62, 3, 0, 1, 0x10), FIVE],
  ['a reason that PUBCOMP does not have', PROTOCOL_ERROR, octets(0x70, 3, 0, 1, 0x10), FIVE],
  ['a reason that DISCONNECT does not have', PROTOCOL_ERROR, octets(0xe0, 1, 0x01), FIVE],
  ['a reason that AUTH does not have', PROTOCOL_ERROR, octets(0xf0, 1, 0x01), FIVE],
  ['an AUTH where CONNECT named no method', PROTOCOL_ERROR, octets(0xf0, 1, 0x19), FIVE],
  ['a packet above the maximum size', 0x95, octets(0x30, 0xff, 0xff, 0xff, 0x7f)],
  ['octets behind the end of a packet', MALFORMED, octets(0xc0, 1, 0)],
]

for (const [what, reason, bytes, versions = BOTH] of ROWS) {
  check(`${what} ends the connection`, versions, async (world, version) => {
    const neighbour = await world.open({ version })
    const peer = await world.open({ version })
    peer.send(bytes(version))
    const rest = await peer.rest()
    assert.deepEqual(
      rest.map(({ type, reason: code }) => [type, code]),
      version === 5 ? [['DISCONNECT', reason]] : [],
    )
    await neighbour.ping()
  })
}

/** A CONNECT with one thing wrong; what CONNACK says of it in MQTT 5, null for no CONNACK. */
type ConnectRow = readonly [what: string, reason: number | null, bytes: Bytes, versions?: Versions]

interface Parts {
  readonly name?: string
  readonly level?: number
  readonly flags?: number
  readonly payload?: readonly Uint8Array[]
  readonly properties?: PropertyList
}

function connect(given: Parts): Bytes {
  return (version) => {
    const { name = 'MQTT', level = version, flags = 2, payload = [text('bad')] } = given
    const head = [text(name), Buffer.of(level, flags, 0, 60), ...own(version, given.properties)]
    return packetOf(0x10, [...head, ...payload])
  }
}

/** With a will; its properties stand first in MQTT 5. */
function withWill(flags: number, ...fields: readonly Uint8Array[]): Bytes {
  return (version) =>
    connect({ flags, payload: [text('bad'), ...own(version), ...fields] })(version)
}

const NOT_CONNECTED: readonly ConnectRow[] = [
  ['a PUBLISH before CONNECT', null, (version) => publishPacket(version, { topic: 'a' })],
  ['a PINGREQ before CONNECT', null, octets(0xc0, 0)],
  ['a protocol name other than MQTT', null, connect({ name: 'HTTP' })],
  ['reserved flags of CONNECT', null, (version) => flagged(connect({})(version))],
  ['the reserved connect flag', MALFORMED, connect({ flags: 3 })],
  ['a will of QoS 3', MALFORMED, withWill(0x1e, text('t'), text('p'))],
  ['a will QoS without a will', MALFORMED, connect({ flags: 0x0a })],
  ['a will retain without a will', MALFORMED, connect({ flags: 0x22 })],
  ['a will flag without will fields', MALFORMED, connect({ flags: 0x06 })],
  ['a will topic that is not UTF-8', MALFORMED, withWill(6, text(ILL_FORMED), text('p'))],
  ['a will topic with a wildcard', MALFORMED, withWill(6, text('a/#'), text('p'))],
  ['will fields without a will flag', MALFORMED, withWill(2, text('t'), text('p'))],
  ['a user name flag without a user name', MALFORMED, connect({ flags: 0x82 })],
  ['a user name without its flag', MALFORMED, connect({ payload: [text('bad'), text('guest')] })],
  [
    'a password flag without a password',
    MALFORMED,
    connect({ flags: 0xc2, payload: [text('bad'), text('guest')] }),
  ],
  [
    'a password without its flag',
    MALFORMED,
    connect({ flags: 0x82, payload: [text('bad'), text('guest'), text('guest')] }),
  ],
  [
    'a password flag without the user name flag',
    null,
    connect({ flags: 0x42, payload: [text('bad'), text('guest')] }),
    FOUR,
  ],
  ['a client id that is not UTF-8', MALFORMED, connect({ payload: [text(ILL_FORMED)] })],
  ['a client id with U+0000', MALFORMED, connect({ payload: [text(NUL)] })],
  ['a CONNECT without a client id', MALFORMED, connect({ payload: [] })],
  [
    'a user name that is not UTF-8',
    MALFORMED,
    connect({ flags: 0x82, payload: [text('bad'), text(SURROGATE)] }),
  ],
  [
    'a receive maximum of 0',
    PROTOCOL_ERROR,
    connect({ properties: [['ReceiveMaximum', 0]] }),
    FIVE,
  ],
  [
    'a maximum packet size of 0',
    PROTOCOL_ERROR,
    connect({ properties: [['MaximumPacketSize', 0]] }),
    FIVE,
  ],
  [
    'authentication data without a method',
    PROTOCOL_ERROR,
    connect({ properties: [['AuthenticationData', Buffer.of(1)]] }),
    FIVE,
  ],
]

function flagged(bytes: Buffer): Buffer {
  bytes[0]! |= 1
  return bytes
}

for (const [what, reason, bytes, versions = BOTH] of NOT_CONNECTED) {
  check(`${what} is not answered with success`, versions, async (world, version) => {
    const peer = world.raw(version)
    // Whatever follows is not looked at.
    peer.send(bytes(version), publishPacket(version, { topic: 'refused', retain: true }))
    const rest = await peer.rest()
    // In MQTT 3.1.1 there is no code for it, so nothing is said.
    if (version === 5 && reason !== null) {
      assert.deepEqual(
        rest.map(({ type, reason: code }) => [type, code]),
        [['CONNACK', reason]],
      )
    } else for (const { type, reason: code } of rest) assert.ok(type === 'CONNACK' && code >= 0x80)
    if (version !== 5) assert.deepEqual(rest, [])
    const later = await world.open()
    await later.subscribe('refused')
    assert.deepEqual(await world.all(later), [], 'a PUBLISH behind a refused CONNECT was taken')
  })
}
