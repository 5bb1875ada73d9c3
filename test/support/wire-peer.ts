/**
 * MQTT packet by packet, for what client libraries hide or never send. It acknowledges nothing by
 * itself. Every packet that comes is held to what the standard lets a server send: flags, packet
 * ids, properties by table 2-4, reason codes by table 2-6.
 */
import assert from 'node:assert/strict'
import { packetOf, text, uint16 } from './mqtt-octets.ts'
import { Fields, MQTT_TABLES, propertyBytes, type PropertyList } from './mqtt-properties.ts'
import { MqttSocket } from './mqtt-socket.ts'

export type MqttVersion = 3 | 4 | 5
export type Qos = 0 | 1 | 2

export interface ConnectAs {
  readonly version?: MqttVersion
  readonly clientId?: string
  readonly clean?: boolean
  readonly keepAlive?: number
  readonly will?: Will
  readonly user?: string
  readonly password?: string
  readonly properties?: PropertyList
}

export interface Will {
  readonly topic: string
  readonly payload: string
  readonly qos?: Qos
  readonly retain?: boolean
  readonly properties?: PropertyList
}

export interface PublishAs {
  readonly topic: string
  readonly payload?: string | Uint8Array
  readonly qos?: Qos
  readonly packetId?: number
  readonly dup?: boolean
  readonly retain?: boolean
  readonly properties?: PropertyList
}

export type AckName = 'PUBACK' | 'PUBREC' | 'PUBREL' | 'PUBCOMP'

/** A packet of the server. */
export interface Seen {
  readonly type: string
  /** 0 when it has none. */
  readonly packetId: number
  /** Of CONNACK, acknowledgements, DISCONNECT, AUTH; 0 when it is left out. */
  readonly reason: number
  /** Of SUBACK and UNSUBACK. */
  readonly reasons: readonly number[]
  readonly sessionPresent: boolean
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly dup: boolean
  readonly retain: boolean
  readonly properties: PropertyList
  readonly bytes: Buffer
}

const NAMES = [
  ...['', 'CONNECT', 'CONNACK', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBSCRIBE'],
  ...['SUBACK', 'UNSUBSCRIBE', 'UNSUBACK', 'PINGREQ', 'PINGRESP', 'DISCONNECT', 'AUTH'],
]
const FROM_SERVER = new Set([
  ...['CONNACK', 'PUBLISH', 'PUBACK', 'PUBREC', 'PUBREL', 'PUBCOMP', 'SUBACK', 'UNSUBACK'],
  ...['PINGRESP', 'DISCONNECT', 'AUTH'],
])
const PING: Buffer = Buffer.of(0xc0, 0)

export class WirePeer {
  readonly version: MqttVersion
  readonly #socket: MqttSocket

  constructor(port: number, version: MqttVersion) {
    this.version = version
    this.#socket = new MqttSocket(port)
  }

  /** Connects, and checks that CONNACK says success. */
  static async open(port: number, as: ConnectAs = {}): Promise<{ peer: WirePeer; connack: Seen }> {
    const peer = new WirePeer(port, as.version ?? 5)
    peer.connect(as)
    const connack = await peer.next('CONNACK')
    assert.equal(connack.reason, 0, `CONNACK ${connack.reason}`)
    return { peer, connack }
  }

  send(...packets: readonly Uint8Array[]): void {
    this.#socket.write(Buffer.concat(packets))
  }

  connect(as: ConnectAs = {}): void {
    this.send(connectPacket({ ...as, version: this.version }))
  }

  publish(as: PublishAs): void {
    this.send(publishPacket(this.version, as))
  }

  /** Publishes and waits for the PUBACK, or the whole exchange of QoS 2. */
  async published(as: PublishAs): Promise<Seen> {
    this.publish(as)
    const { qos = 0, packetId = 1 } = as
    if (qos === 0) return this.ping()
    const first = await this.next(qos === 1 ? 'PUBACK' : 'PUBREC')
    assert.equal(first.packetId, packetId)
    if (qos === 2 && first.reason < 0x80) {
      this.ack('PUBREL', packetId)
      await this.next('PUBCOMP')
    }
    return first
  }

  /** `options` is the octet behind the filter: QoS, and in 5 no local 4, as published 8, handling 16. */
  async subscribe(
    filters: string | Readonly<Record<string, number>>,
    options = 0,
    properties: PropertyList = [],
  ): Promise<Seen> {
    const list = typeof filters === 'string' ? { [filters]: options } : filters
    const parts = Object.entries(list).flatMap(([one, octet]) => [text(one), Buffer.of(octet)])
    this.send(packetOf(0x82, [uint16(9), ...this.own(properties), ...parts]))
    const suback = await this.next('SUBACK')
    assert.equal(suback.packetId, 9)
    return suback
  }

  async unsubscribe(...filters: readonly string[]): Promise<Seen> {
    const parts = filters.map((filter) => text(filter))
    this.send(packetOf(0xa2, [uint16(10), ...this.own(), ...parts]))
    const unsuback = await this.next('UNSUBACK')
    assert.equal(unsuback.packetId, 10)
    return unsuback
  }

  ack(type: AckName, packetId: number, reason = 0): void {
    const first = (NAMES.indexOf(type) << 4) | (type === 'PUBREL' ? 2 : 0)
    this.send(packetOf(first, [uint16(packetId), ...(reason === 0 ? [] : [Buffer.of(reason)])]))
  }

  disconnect(reason?: number, properties?: PropertyList): void {
    const parts = reason === undefined ? [] : [Buffer.of(reason)]
    this.send(packetOf(0xe0, [...parts, ...(properties === undefined ? [] : this.own(properties))]))
  }

  /** Properties behind their length; nothing before MQTT 5. */
  own(properties: PropertyList = []): readonly Buffer[] {
    return this.version === 5 ? [propertyBytes(properties)] : []
  }

  /** The next packet, which must be there and of that type. */
  async next(type: string): Promise<Seen> {
    const bytes = await this.#socket.packet()
    assert.ok(bytes !== null, `closed, where ${type} was expected`)
    const seen = decode(bytes, this.version)
    assert.equal(seen.type, type, `${bytes.toString('hex')} came`)
    return seen
  }

  /** All that has come before the answer to a PINGREQ. */
  async upToPing(): Promise<Seen[]> {
    this.send(PING)
    const all: Seen[] = []
    for (;;) {
      const bytes = await this.#socket.packet()
      assert.ok(bytes !== null, 'closed, where PINGRESP was expected')
      const seen = decode(bytes, this.version)
      if (seen.type === 'PINGRESP') return all
      all.push(seen)
    }
  }

  async ping(): Promise<Seen> {
    this.send(PING)
    return this.next('PINGRESP')
  }

  /** Reads up to the end, which must come; what came before it. */
  async rest(): Promise<Seen[]> {
    const all: Seen[] = []
    for (;;) {
      const bytes = await this.#socket.packet()
      if (bytes === null) return all
      all.push(decode(bytes, this.version))
    }
  }

  pause(isPaused: boolean): void {
    this.#socket.pause(isPaused)
  }

  /** Ends the connection without a word. */
  async vanish(): Promise<void> {
    await this.#socket.destroy()
  }
}

export function connectPacket(as: ConnectAs): Buffer {
  const { version = 5, clientId = '', clean = true, keepAlive = 60, will, user, password } = as
  const own = (list: PropertyList = []): Buffer[] => (version === 5 ? [propertyBytes(list)] : [])
  const willFlags = 4 | ((will?.qos ?? 0) << 3) | (will?.retain === true ? 0x20 : 0)
  const flags =
    (clean ? 2 : 0) |
    (will === undefined ? 0 : willFlags) |
    (user === undefined ? 0 : 0x80) |
    (password === undefined ? 0 : 0x40)
  const willParts =
    will === undefined ? [] : [...own(will.properties), text(will.topic), text(will.payload)]
  const login = [user, password].flatMap((one) => (one === undefined ? [] : [text(one)]))
  const name = text(version === 3 ? 'MQIsdp' : 'MQTT')
  const head = [name, Buffer.of(version, flags), uint16(keepAlive), ...own(as.properties)]
  return packetOf(0x10, [...head, text(clientId), ...willParts, ...login])
}

export function publishPacket(version: MqttVersion, as: PublishAs): Buffer {
  const { qos = 0, packetId = 1, dup = false, retain = false, payload = '' } = as
  const parts = [
    text(as.topic),
    ...(qos > 0 ? [uint16(packetId)] : []),
    ...(version === 5 ? [propertyBytes(as.properties ?? [])] : []),
    Buffer.from(payload as string),
  ]
  return packetOf(0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0), parts)
}

/** Values of one property, in order. */
export function valuesOf({ properties }: Seen, name: string): unknown[] {
  return properties.filter(([found]) => found === name).map(([, value]) => value)
}

type Draft = { -readonly [Key in keyof Seen]: Seen[Key] }

function decode(bytes: Buffer, version: MqttVersion): Seen {
  const type = NAMES[bytes[0]! >> 4]!
  const flags = bytes[0]! & 15
  assert.ok(FROM_SERVER.has(type), `a server sent ${type} ${bytes.toString('hex')}`)
  if (type !== 'PUBLISH') assert.equal(flags, type === 'PUBREL' ? 2 : 0, `flags of ${type}`)
  const fields = new Fields(bytes)
  fields.at = 1
  const size = fields.varint()
  assert.equal(size, fields.left)
  const seen: Draft = {
    ...{ type, bytes, packetId: 0, reason: 0, reasons: [], sessionPresent: false, topic: '' },
    ...{ payload: '', qos: (flags >> 1) & 3, dup: (flags & 8) !== 0, retain: (flags & 1) !== 0 },
    properties: [],
  }
  const properties = (): PropertyList => (version === 5 ? fields.properties(type) : [])
  switch (type) {
    case 'CONNACK': {
      const octet = fields.uint8()
      assert.ok(octet <= 1, 'reserved bits in CONNACK')
      seen.sessionPresent = octet === 1
      seen.reason = fields.uint8()
      // A refusal of the version has the form of MQTT 3.1.1.
      if (fields.left > 0) seen.properties = properties()
      break
    }
    case 'PUBLISH':
      seen.topic = fields.text()
      if (seen.qos > 0) seen.packetId = nonZero(fields.uint16())
      assert.ok(seen.qos < 3 && (seen.qos > 0 || !seen.dup), 'flags of PUBLISH')
      seen.properties = properties()
      seen.payload = fields.octets(fields.left).toString('utf8')
      break
    case 'SUBACK':
    case 'UNSUBACK':
      seen.packetId = nonZero(fields.uint16())
      seen.properties = properties()
      seen.reasons = [...fields.octets(fields.left)]
      break
    case 'PINGRESP':
      break
    default:
      assert.ok(type.startsWith('PUB') || version === 5, `${type} before MQTT 5`)
      if (type.startsWith('PUB')) seen.packetId = nonZero(fields.uint16())
      if (fields.left > 0 && version === 5) seen.reason = fields.uint8()
      if (fields.left > 0) seen.properties = properties()
  }
  assert.equal(fields.left, 0, `octets behind the end of ${type}`)
  checkReasons(seen, version)
  return seen
}

function nonZero(packetId: number): number {
  assert.notEqual(packetId, 0, 'the packet id 0')
  return packetId
}

function checkReasons({ type, reason, reasons }: Seen, version: MqttVersion): void {
  for (const code of [reason, ...reasons]) {
    const isKnown =
      version === 5
        ? reasonsOf(type).includes(code) || (type === 'CONNACK' && code === 1)
        : code === 0 || (type === 'CONNACK' ? code <= 5 : code <= 2 || code === 0x80)
    assert.ok(isKnown || type === 'PUBLISH' || type === 'PINGRESP', `${type} with ${code}`)
  }
}

function reasonsOf(type: string): readonly number[] {
  const found = MQTT_TABLES.reasonCodes.filter(({ packets }) => packets.includes(type))
  // SUBACK and UNSUBACK have no code in front, so theirs is 0 here.
  return [0, ...found.map(({ code }) => code)]
}
