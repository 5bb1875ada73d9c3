/** The few MQTT packets the load program sends, built once and outside any timed loop. */

/** What CONNECT says: 3.1.1 or 5.0. */
export type Version = 4 | 5

export type Qos = 0 | 1 | 2

/** The upper four bits of the first octet. */
export const PACKET = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14,
} as const

export const PINGREQ: Buffer = Buffer.of(PACKET.PINGREQ << 4, 0)
export const PINGRESP: Buffer = Buffer.of(PACKET.PINGRESP << 4, 0)
export const DISCONNECT: Buffer = Buffer.of(PACKET.DISCONNECT << 4, 0)
/** Of every acknowledgement that only says success: two octets, then the packet id. */
export const ACK_BYTES = 4

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u16(bytes.length), bytes])
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff)
}

export function packet(firstOctet: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const size: number[] = []
  for (let rest = body.length; size.length === 0 || rest > 0; rest >>>= 7) {
    size.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
  }
  return Buffer.concat([Buffer.of(firstOctet), Buffer.from(size), body])
}

export interface ConnectOptions {
  readonly clientId: string
  readonly version: Version
  /** The session ends with the connection and starts empty. */
  readonly clean: boolean
  /** 0: the broker never waits for a sign of life. */
  readonly keepAliveSeconds: number
  /** Absent: nobody's name is given. */
  readonly user?: string | undefined
  readonly password?: string | undefined
}

export function connectPacket(options: ConnectOptions): Buffer {
  const { clientId, version, clean, keepAliveSeconds, user, password = '' } = options
  const login = user === undefined ? [] : [text(user), text(password)]
  const flags = Buffer.of(version, (clean ? 2 : 0) | (user === undefined ? 0 : 0xc0))
  // Session expiry never, which is what a kept session of 3.1.1 has.
  const expiry = clean ? Buffer.of(0) : Buffer.of(5, 0x11, 0xff, 0xff, 0xff, 0xff)
  const properties = version === 5 ? expiry : Buffer.alloc(0)
  const head = [text('MQTT'), flags, u16(keepAliveSeconds), properties]
  return packet(PACKET.CONNECT << 4, ...head, text(clientId), ...login)
}

export function subscribePacket(version: Version, filters: readonly string[], qos: Qos): Buffer {
  const entries = filters.flatMap((filter) => [text(filter), Buffer.of(qos)])
  return packet((PACKET.SUBSCRIBE << 4) | 2, u16(1), noProperties(version), ...entries)
}

export function unsubscribePacket(version: Version, filters: readonly string[]): Buffer {
  const names = filters.map(text)
  return packet((PACKET.UNSUBSCRIBE << 4) | 2, u16(1), noProperties(version), ...names)
}

export interface PublishOptions {
  readonly version: Version
  readonly topic: string
  readonly qos: Qos
  /** Looked at unless `qos` is 0. */
  readonly packetId: number
  readonly body: Buffer
  readonly retain?: boolean
}

export function publishPacket(options: PublishOptions): Buffer {
  const { version, topic, qos, packetId, body, retain = false } = options
  const id = qos === 0 ? Buffer.alloc(0) : u16(packetId)
  const flags = (qos << 1) | (retain ? 1 : 0)
  const head = (PACKET.PUBLISH << 4) | flags
  return packet(head, text(topic), id, noProperties(version), body)
}

/** What CONNECT, SUBSCRIBE and PUBLISH of MQTT 5 have where there are no properties. */
function noProperties(version: Version): Buffer {
  return version === 5 ? Buffer.of(0) : Buffer.alloc(0)
}

/**
 * Where packets of a read start and end.
 *
 * `next` finds the packet at `at`; its first octet is `first` and what follows its length lies from
 * `body` to `end`. False when it is not whole yet.
 */
export class PacketRange {
  first = 0
  body = 0
  end = 0

  next(view: DataView, at: number, filled: number): boolean {
    if (filled - at < 2) return false
    let index = at + 1
    let octet = view.getUint8(index++)
    let size = octet & 0x7f
    for (let shift = 7; octet >= 0x80; shift += 7) {
      if (index >= filled) return false
      octet = view.getUint8(index++)
      size |= (octet & 0x7f) << shift
    }
    this.first = view.getUint8(at)
    this.body = index
    this.end = index + size
    return this.end <= filled
  }
}

/**
 * Where the payload of the PUBLISH in `range` starts; its packet id, if it has one, lies behind
 * its topic.
 */
export function payloadStart(view: DataView, range: PacketRange, version: Version): number {
  let at = packetIdStart(view, range)
  if ((range.first & 6) !== 0) at += 2
  if (version !== 5) return at
  let octet = view.getUint8(at++)
  let size = octet & 0x7f
  for (let shift = 7; octet >= 0x80; shift += 7) {
    octet = view.getUint8(at++)
    size |= (octet & 0x7f) << shift
  }
  return at + size
}

export function packetIdStart(view: DataView, range: PacketRange): number {
  return range.body + 2 + view.getUint16(range.body)
}

/** What every body starts with: its sequence number and its publisher, each counted from 0. */
export const BODY_SEQUENCE_OFFSET = 0
export const BODY_PUBLISHER_OFFSET = 4
