import type { FieldReader } from './field-reader.ts'
import { malformed, MqttPacketError, protocolError } from './packet-error.ts'
import { PropertyScan, readProperties } from './properties.ts'
import { checkTopic } from './publish-view.ts'
import { PACKET, REASON, WILL } from './spec.ts'
import type { Properties, Version } from './spec.ts'

/** Everything in these packets is a copy and may be kept. */
export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly properties: Properties
}

export interface ConnectPacket {
  readonly version: Version
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  /** Empty when the client left it to the server. */
  readonly clientId: string
  readonly will: Will | null
  readonly username: string | null
  readonly password: Buffer | null
  readonly properties: Properties
}

export interface Subscription {
  /** Not empty; its wildcards and `$share` are for the session to check. */
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0 send retained messages, 1 only if the subscription is new, 2 never. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly packetId: number
  readonly subscriptions: readonly Subscription[]
  readonly properties: Properties
}

export interface UnsubscribePacket {
  readonly packetId: number
  readonly filters: readonly string[]
  readonly properties: Properties
}

/** DISCONNECT and AUTH: what is left out means success. */
export interface ReasonPacket {
  readonly reasonCode: number
  readonly properties: Properties
}

/** Decodes what is not on the hot path. Each method takes the packet behind its fixed header. */
export class PacketDecoder {
  readonly #scan = new PropertyScan()
  /** Of the CONNECT, as soon as it was read; whatever else is wrong with it. */
  version: Version | 0 = 0

  /** Section 3.1. */
  connect(reader: FieldReader, headFlags: number): ConnectPacket {
    const version = readVersion(reader)
    this.version = version
    // MQTT 3.1 leaves these bits unused (its section 3.1), later ones reserve them.
    if (version !== 3 && headFlags !== 0) throw malformed(`flags ${headFlags} in a CONNECT`)
    const flags = reader.uint8()
    checkConnectFlags(flags, version)
    const keepAliveSeconds = reader.uint16()
    const properties = this.#properties(reader, version, PACKET.CONNECT)
    const clientId = reader.name()
    const will = (flags & 0x04) === 0 ? null : this.#will(reader, version, flags)
    const username = (flags & 0x80) === 0 ? null : reader.name()
    const password = (flags & 0x40) === 0 ? null : reader.binary()
    checkAllRead(reader)
    const cleanStart = (flags & 0x02) !== 0
    return {
      version,
      cleanStart,
      keepAliveSeconds,
      clientId,
      will,
      username,
      password,
      properties,
    }
  }

  /** Section 3.8. */
  subscribe(reader: FieldReader, version: Version): SubscribePacket {
    const packetId = readPacketId(reader)
    const properties = this.#properties(reader, version, PACKET.SUBSCRIBE)
    const subscriptions: Subscription[] = []
    while (reader.left > 0) subscriptions.push(readSubscription(reader, version))
    if (subscriptions.length === 0) throw protocolError('a SUBSCRIBE without a topic filter')
    return { packetId, subscriptions, properties }
  }

  /** Section 3.10. */
  unsubscribe(reader: FieldReader, version: Version): UnsubscribePacket {
    const packetId = readPacketId(reader)
    const properties = this.#properties(reader, version, PACKET.UNSUBSCRIBE)
    const filters: string[] = []
    while (reader.left > 0) filters.push(readFilter(reader))
    if (filters.length === 0) throw protocolError('an UNSUBSCRIBE without a topic filter')
    return { packetId, filters, properties }
  }

  /** Sections 3.14 and 3.15: reason code and properties may both be left out. */
  reason(reader: FieldReader, type: number): ReasonPacket {
    if (reader.left === 0) return { reasonCode: 0, properties: {} }
    const reasonCode = reader.uint8()
    const codes = type === PACKET.AUTH ? AUTH_CODES : DISCONNECT_CODES
    if (!codes.has(reasonCode)) throw protocolError(`reason code ${reasonCode} in type ${type}`)
    const properties = reader.left === 0 ? {} : readProperties(reader, this.#scan, type)
    checkAllRead(reader)
    return { reasonCode, properties }
  }

  #properties(reader: FieldReader, version: Version, scope: number): Properties {
    return version === 5 ? readProperties(reader, this.#scan, scope) : {}
  }

  #will(reader: FieldReader, version: Version, flags: number): Will {
    const properties = this.#properties(reader, version, WILL)
    const start = reader.span()
    if (start === reader.at) throw malformed('a will without a topic')
    checkTopic(reader.bytes, start, reader.at)
    const topic = reader.bytes.toString('utf8', start, reader.at)
    const payload = reader.binary()
    const qos = ((flags >> 3) & 3) as 0 | 1 | 2
    return { topic, payload, qos, retain: (flags & 0x20) !== 0, properties }
  }
}

/** From a client only what table 2-6 lets it send. */
const DISCONNECT_CODES = new Set([
  0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
])
const AUTH_CODES = new Set([0x00, 0x18, 0x19])

export function readPacketId(reader: FieldReader): number {
  const packetId = reader.uint16()
  if (packetId === 0) throw protocolError('the packet id 0')
  return packetId
}

export function checkAllRead(reader: FieldReader): void {
  if (reader.left > 0) throw malformed(`${reader.left} octets behind the end of a packet`)
}

/** The name and level go together: `MQIsdp` 3, `MQTT` 4 and 5. */
function readVersion(reader: FieldReader): Version {
  const name = reader.utf8()
  const level = reader.uint8()
  if (name === 'MQTT' && (level === 4 || level === 5)) return level
  if (name === 'MQIsdp' && level === 3) return level
  if (name !== 'MQTT' && name !== 'MQIsdp') throw malformed('a CONNECT of an unknown protocol')
  throw new MqttPacketError(REASON.UNSUPPORTED_PROTOCOL_VERSION, `${name} of level ${level}`)
}

function checkConnectFlags(flags: number, version: Version): void {
  // MQTT 3.1 leaves the lowest bit unused (its section 3.1), later ones reserve it.
  if ((flags & 1) !== 0 && version !== 3) throw malformed('the reserved flag of CONNECT is set')
  const willQos = (flags >> 3) & 3
  if (willQos === 3) throw malformed('a will with QoS 3')
  if ((flags & 0x04) === 0 && (flags & 0x38) !== 0) throw malformed('will flags without a will')
  if (version < 5 && (flags & 0xc0) === 0x40) throw malformed('a password without a user name')
}

function readFilter(reader: FieldReader): string {
  const filter = reader.name()
  if (filter === '') throw malformed('an empty topic filter')
  return filter
}

function readSubscription(reader: FieldReader, version: Version): Subscription {
  const filter = readFilter(reader)
  const options = reader.uint8()
  const reserved = version === 5 ? 0xc0 : version === 4 ? 0xfc : 0
  if ((options & reserved) !== 0) throw malformed('reserved subscription options are set')
  const qos = options & 3
  if (qos === 3) throw malformed('a subscription with QoS 3')
  const more = version === 5 ? options : 0
  const retainHandling = (more >> 4) & 3
  if (retainHandling === 3) throw protocolError('a subscription with retain handling 3')
  return {
    filter,
    qos: qos as 0 | 1 | 2,
    noLocal: (more & 4) !== 0,
    retainAsPublished: (more & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  }
}
