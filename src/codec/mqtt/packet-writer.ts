import type { AckType } from './packet-parser.ts'
import { encodeProperties, encodeVarint } from './properties.ts'
import { PACKET } from './spec.ts'
import type { Properties, Version } from './spec.ts'

/** A PUBLISH to write. */
export interface PublishOut {
  readonly version: Version
  readonly dup: boolean
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** Looked at only if `qos` is not 0. */
  readonly packetId: number
  /** UTF-8, at most 65,535 octets. */
  readonly topic: Buffer
  /** Encoded, without their length; looked at only in version 5. */
  readonly properties: Buffer
  readonly payloadBytes: number
}

/** Octets in front of the payload. */
function publishHeadSize(out: PublishOut): number {
  const remaining = remainingSize(out)
  return 1 + varintSize(remaining) + remaining - out.payloadBytes
}

/** Octets of the whole packet, to compare with the client's maximum packet size. */
export function publishSize(out: PublishOut): number {
  return publishHeadSize(out) + out.payloadBytes
}

/** Writes all but the payload, which goes behind it. Returns the next index. */
export function writePublishHead(target: Buffer, at: number, out: PublishOut): number {
  const flags = (out.dup ? 8 : 0) | (out.qos << 1) | (out.retain ? 1 : 0)
  target[at] = (PACKET.PUBLISH << 4) | flags
  let next = writeVarint(target, at + 1, remainingSize(out))
  next = writeUint16(target, next, out.topic.length)
  next += out.topic.copy(target, next)
  if (out.qos > 0) next = writeUint16(target, next, out.packetId)
  if (out.version !== 5) return next
  next = writeVarint(target, next, out.properties.length)
  return next + out.properties.copy(target, next)
}

/** The four octets of an acknowledgement that says success, in any version. */
export function writeAck(target: Buffer, at: number, type: AckType, packetId: number): number {
  target[at] = (type << 4) | (type === PACKET.PUBREL ? 2 : 0)
  target[at + 1] = 2
  return writeUint16(target, at + 2, packetId)
}

/** The five octets of an acknowledgement with a reason code; version 5 only. */
export function writeAckReason(
  target: Buffer,
  at: number,
  ack: { readonly type: AckType; readonly packetId: number; readonly reasonCode: number },
): number {
  const next = writeAck(target, at, ack.type, ack.packetId)
  target[at + 1] = 3
  target[next] = ack.reasonCode
  return next + 1
}

/** The same with properties, for the few that explain themselves. */
export function encodeAck(ack: {
  readonly type: AckType
  readonly packetId: number
  readonly reasonCode: number
  readonly properties: Properties
}): Buffer {
  const front = [idBytes(ack.packetId), Buffer.of(ack.reasonCode)]
  const flags = ack.type === PACKET.PUBREL ? 2 : 0
  const own = listed({ version: 5, properties: ack.properties }, ack.type)
  return encodePacket(ack.type, [...front, ...own], flags)
}

/** Section 3.2; `reasonCode` is a return code before version 5. */
export function encodeConnack(packet: {
  readonly version: Version
  readonly sessionPresent: boolean
  readonly reasonCode: number
  readonly properties?: Properties
}): Buffer {
  const front = Buffer.of(packet.sessionPresent ? 1 : 0, packet.reasonCode)
  return encodePacket(PACKET.CONNACK, [front, ...listed(packet, PACKET.CONNACK)])
}

/** SUBACK and UNSUBACK: one code for each filter, in order. */
export interface SubscriptionReply {
  readonly version: Version
  readonly packetId: number
  readonly reasonCodes: readonly number[]
  readonly properties?: Properties
}

/** Section 3.9. */
export function encodeSuback(packet: SubscriptionReply): Buffer {
  const codes = Buffer.from(packet.reasonCodes)
  const parts = [idBytes(packet.packetId), ...listed(packet, PACKET.SUBACK), codes]
  return encodePacket(PACKET.SUBACK, parts)
}

/** Section 3.11; before version 5 it holds no codes. */
export function encodeUnsuback(packet: SubscriptionReply): Buffer {
  const codes = Buffer.from(packet.version === 5 ? packet.reasonCodes : [])
  const parts = [idBytes(packet.packetId), ...listed(packet, PACKET.UNSUBACK), codes]
  return encodePacket(PACKET.UNSUBACK, parts)
}

/** Section 3.14; version 5 only, where a server may send it. */
export function encodeDisconnect(reasonCode: number, properties: Properties = {}): Buffer {
  return encodeReason(PACKET.DISCONNECT, reasonCode, properties)
}

/** Section 3.15; version 5 only. */
export function encodeAuth(reasonCode: number, properties: Properties): Buffer {
  return encodeReason(PACKET.AUTH, reasonCode, properties)
}

export const PINGRESP: Buffer = Buffer.of(PACKET.PINGRESP << 4, 0)

function encodeReason(type: number, reasonCode: number, properties: Properties): Buffer {
  const packet = { version: 5, properties } as const
  return encodePacket(type, [Buffer.of(reasonCode), ...listed(packet, type)])
}

/** Properties behind their length, or nothing before version 5. */
function listed(
  packet: { readonly version: Version; readonly properties?: Properties },
  type: number,
): readonly Buffer[] {
  if (packet.version !== 5) return []
  const octets = encodeProperties(type, packet.properties ?? {})
  return [encodeVarint(octets.length), octets]
}

function encodePacket(type: number, parts: readonly Buffer[], flags = 0): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.of((type << 4) | flags), encodeVarint(size), ...parts])
}

function idBytes(packetId: number): Buffer {
  return Buffer.of(packetId >> 8, packetId & 0xff)
}

function remainingSize(out: PublishOut): number {
  const idSize = out.qos > 0 ? 2 : 0
  const propertiesSize =
    out.version === 5 ? varintSize(out.properties.length) + out.properties.length : 0
  return 2 + out.topic.length + idSize + propertiesSize + out.payloadBytes
}

function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4
}

function writeVarint(target: Buffer, at: number, value: number): number {
  let next = at
  let rest = value
  while (rest >= 0x80) {
    target[next++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[next] = rest
  return next + 1
}

function writeUint16(target: Buffer, at: number, value: number): number {
  target[at] = value >> 8
  target[at + 1] = value & 0xff
  return at + 2
}
