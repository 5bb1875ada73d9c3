/** MQTT packets by hand, right or wrong, apart from the broker's codec. */
import { packetOf, text, uint16, varint } from '../support/mqtt-octets.ts'
import type { Draw } from './sessions.ts'

export interface Packet {
  readonly label: string
  readonly bytes: Buffer
}

function packet(label: string, first: number, ...parts: readonly Uint8Array[]): Packet {
  return { label, bytes: packetOf(first, parts) }
}

export interface ConnectAs {
  readonly version: 4 | 5
  readonly clientId: string
  readonly clean: boolean
  readonly will?: boolean
  readonly properties?: Uint8Array
}

export function connect({ version, clientId, clean, will = false, properties }: ConnectAs): Packet {
  const flags = (clean ? 2 : 0) | (will ? 0x0c : 0)
  const own = version === 5 ? sized(properties ?? Buffer.alloc(0)) : Buffer.alloc(0)
  const willProperties = version === 5 && will ? [Buffer.of(0)] : []
  const willParts = will ? [...willProperties, text('fuzz/will'), text('gone')] : []
  const head = [text('MQTT'), Buffer.of(version, flags, 0, 60), own]
  return packet('CONNECT', 0x10, ...head, text(clientId), ...willParts)
}

/** Behind their length, as properties are. */
function sized(bytes: Uint8Array): Buffer {
  return Buffer.concat([varint(bytes.length), bytes])
}

export interface PublishOf {
  readonly version: 4 | 5
  readonly topic: string | Uint8Array
  readonly qos: number
  readonly packetId?: number
  readonly retain?: boolean
  readonly properties?: Uint8Array
  readonly payload?: Uint8Array
}

export function publish(of: PublishOf): Packet {
  const { version, topic, qos, packetId = 1, retain = false } = of
  const parts = [
    text(topic),
    ...(qos > 0 ? [uint16(packetId)] : []),
    ...(version === 5 ? [sized(of.properties ?? Buffer.alloc(0))] : []),
    of.payload ?? Buffer.from('x'),
  ]
  return packet(`PUBLISH ${qos}`, 0x30 | (qos << 1) | (retain ? 1 : 0), ...parts)
}

export function subscribe(
  version: 4 | 5,
  filters: readonly (string | Uint8Array)[],
  qos = 1,
): Packet {
  const own = version === 5 ? [Buffer.of(0)] : []
  const list = filters.flatMap((filter) => [text(filter), Buffer.of(qos)])
  return packet('SUBSCRIBE', 0x82, uint16(7), ...own, ...list)
}

function unsubscribe(version: 4 | 5, filters: readonly (string | Uint8Array)[]): Packet {
  const own = version === 5 ? [Buffer.of(0)] : []
  return packet('UNSUBSCRIBE', 0xa2, uint16(8), ...own, ...filters.map(text))
}

function ack(type: number, packetId: number): Packet {
  return packet(`ACK ${type}`, (type << 4) | (type === 6 ? 2 : 0), uint16(packetId))
}

const PING: Packet = packet('PINGREQ', 0xc0)
const DISCONNECT: Packet = packet('DISCONNECT', 0xe0)

const TOPICS = [
  'fuzz/a',
  'fuzz/b/c',
  'fuzz',
  '/',
  'fuzz//',
  '$delayed/1/fuzz/a',
  '$queue/none',
  'fuzz/é',
]
const FILTERS = [
  'fuzz/+',
  'fuzz/#',
  '#',
  '+/+',
  '/',
  '$share/g/fuzz/#',
  'fuzz/a',
  '$SYS/#',
  '$queue/none',
]

const PROPERTIES: readonly Buffer[] = [
  Buffer.alloc(0),
  Buffer.of(1, 1),
  Buffer.of(2, 0, 0, 0, 9),
  Buffer.concat([Buffer.of(0x26), text('k'), text('v'), Buffer.of(0x26), text('k'), text('w')]),
  Buffer.concat([Buffer.of(3), text('a/b'), Buffer.of(9), text('77'), Buffer.of(8), text('r/t')]),
  Buffer.of(0x23, 0, 3),
]

/** A session as a client that knows the protocol might have it. */
export function randomMqttSession(draw: Draw): Packet[] {
  const version = draw.one([4, 5] as const)
  const kept = version === 5 && draw.chance(30)
  const packets: Packet[] = [
    connect({
      version,
      clientId: draw.chance(10) ? '' : `fuzz-${draw.below(40)}`,
      clean: draw.chance(70),
      will: draw.chance(20),
      ...(kept ? { properties: Buffer.of(0x11, 0, 0, 0, 2) } : {}),
    }),
  ]
  for (let left = 1 + draw.below(12); left > 0; left--) packets.push(randomPacket(draw, version))
  if (draw.chance(60)) packets.push(DISCONNECT)
  return packets
}

function randomPacket(draw: Draw, version: 4 | 5): Packet {
  const packetId = 1 + draw.below(20)
  switch (draw.below(8)) {
    case 0:
      return subscribe(version, [draw.one(FILTERS), draw.one(FILTERS)], draw.below(3))
    case 1:
      return unsubscribe(version, [draw.one(FILTERS)])
    case 2:
      return ack(4 + draw.below(4), packetId)
    case 3:
      return PING
    default:
      return publish({
        version,
        packetId,
        topic: draw.one(TOPICS),
        qos: draw.below(3),
        retain: draw.chance(15),
        properties: draw.one(PROPERTIES),
        payload: draw.random.bytes(draw.below(60)),
      })
  }
}

const NAMES: readonly Buffer[] = [
  Buffer.alloc(300, 'n'),
  Buffer.alloc(65_535, '/'),
  Buffer.from([0xff, 0xfe]),
  Buffer.from('a\0b'),
  Buffer.from('a/#/b'),
  Buffer.from('a+'),
  Buffer.from('$share//x'),
  Buffer.from('$share/g/'),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.alloc(0),
]

type Mutation = (packets: readonly Packet[], draw: Draw) => Packet[]

function onOne(change: (bytes: Buffer, draw: Draw) => Buffer): Mutation {
  return (packets, draw) => {
    const at = draw.below(packets.length)
    const { label, bytes } = packets[at]!
    return packets.with(at, { label: `${label}*`, bytes: change(Buffer.from(bytes), draw) })
  }
}

function inserted(make: (draw: Draw) => Packet): Mutation {
  return (packets, draw) => packets.toSpliced(draw.below(packets.length + 1), 0, make(draw))
}

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'as it is': (packets) => [...packets],
  'flipped octets': onOne((bytes, draw) => {
    for (let left = 1 + draw.below(3); left > 0; left--) {
      bytes[draw.below(bytes.length)]! ^= 1 << draw.below(8)
    }
    return bytes
  }),
  'other octets': onOne((bytes, draw) => {
    bytes[draw.below(bytes.length)] = draw.below(256)
    return bytes
  }),
  'wrong type or flags': onOne((bytes, draw) => {
    bytes[0] = draw.below(256)
    return bytes
  }),
  'cut, and its length with it': onOne((bytes, draw) => {
    const body = bytes.subarray(2, 2 + draw.below(Math.max(1, bytes.length - 2)))
    return Buffer.concat([bytes.subarray(0, 1), varint(body.length), body])
  }),
  'cut, and its length not': onOne((bytes, draw) =>
    bytes.subarray(0, 1 + draw.below(bytes.length)),
  ),
  'longer than it says': onOne((bytes, draw) => Buffer.concat([bytes, draw.random.bytes(9)])),
  'a long length': onOne((bytes, draw) => {
    const size = draw.one([2_097_152, 16_777_216 + 131_072, 16_777_217 + 131_072, 268_435_455])
    return Buffer.concat([bytes.subarray(0, 1), varint(size), bytes.subarray(2)])
  }),
  'a length of five octets': onOne((bytes) => {
    return Buffer.concat([bytes.subarray(0, 1), Buffer.of(0x80, 0x80, 0x80, 0x80, 1)])
  }),
  dropped: (packets, draw) => packets.toSpliced(draw.below(packets.length), 1),
  doubled: (packets, draw) => {
    const at = draw.below(packets.length)
    return packets.toSpliced(at, 0, packets[at]!)
  },
  swapped: (packets, draw) => {
    const one = draw.below(packets.length)
    const other = draw.below(packets.length)
    return packets.with(one, packets[other]!).with(other, packets[one]!)
  },
  'an odd topic': inserted((draw) => {
    return publish({ version: draw.one([4, 5]), topic: draw.one(NAMES), qos: draw.below(4) })
  }),
  'an odd filter': inserted((draw) =>
    subscribe(draw.one([4, 5]), [draw.one(NAMES)], draw.below(5)),
  ),
  'many filters': inserted((draw) => {
    const filters = Array.from({ length: 500 }, (_, index) => `fuzz/${index}/+`)
    return subscribe(draw.one([4, 5]), filters, draw.below(3))
  }),
  'odd properties': inserted((draw) => {
    return publish({
      version: 5,
      topic: 'fuzz/a',
      qos: draw.below(3),
      properties: draw.random.bytes(draw.below(20)),
    })
  }),
  'an odd alias': inserted((draw) => {
    const alias = draw.one([0, 1, 10, 11, 65_535])
    const properties = Buffer.of(0x23, alias >> 8, alias & 0xff)
    return publish({ version: 5, topic: draw.one(['', 'fuzz/a']), qos: draw.below(3), properties })
  }),
  'a packet of a server': inserted((draw) => {
    return packet('server', draw.one([0x20, 0x90, 0xb0, 0xd0, 0xf0, 0x00]), draw.random.bytes(4))
  }),
  'octets of anything': inserted((draw) => {
    return { label: 'random', bytes: draw.random.bytes(1 + draw.below(80)) }
  }),
  'another protocol': (packets, draw) => [
    {
      label: 'other',
      bytes: Buffer.from(draw.one(['AMQP\0\0\x09\x01', 'GET / HTTP/1.1\r\n\r\n'])),
    },
    ...packets,
  ],
}

/** The session with one or two things wrong. */
export function mutateMqtt(
  packets: readonly Packet[],
  draw: Draw,
): { readonly packets: readonly Packet[]; readonly note: string } {
  const names = Object.keys(MUTATIONS)
  const first = draw.one(names)
  const once = MUTATIONS[first]!(packets, draw)
  if (draw.chance(70) || once.length === 0) return { packets: once, note: first }
  const second = draw.one(names)
  return { packets: MUTATIONS[second]!(once, draw), note: `${first}, ${second}` }
}
