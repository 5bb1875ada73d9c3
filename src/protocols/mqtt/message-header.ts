import { encodeProperties, PACKET, type PublishView } from '../../codec/mqtt/index.ts'
import type { StoredMessage } from '../../broker/index.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'

/**
 * The header of a stored MQTT message:
 *
 *     flags (1), [length (2), client id] when HAS_PUBLISHER, [length (2), filter] when OF_GROUP,
 *     properties as in a PUBLISH of MQTT 5
 *
 * Of the properties, topic alias and subscription identifiers are left out, and a message expiry
 * interval stands first, so that what is left of it can be written in its place.
 */
export const HEADER = {
  RETAIN: 1,
  QOS: 6,
  /** The publisher is named, because it does not want its own messages back. */
  HAS_PUBLISHER: 8,
  /** A copy of a retained message for a new subscription. */
  RETAINED_COPY: 16,
  /** A copy for the session of a member of a group, whose filter is named. */
  OF_GROUP: 32,
} as const

const EXPIRY_ID = 2
const EXPIRY_BYTES = 5
const NOTHING: Buffer = Buffer.alloc(0)

/** What of a PUBLISH goes into the header. */
export interface HeaderParts {
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** null: nobody asks who it was. */
  readonly publisher: Buffer | null
}

/** Properties as stored: a copy only where something has to be changed. */
export function storedProperties(view: PublishView): Buffer {
  const { bytes, propertiesStart, propertiesEnd, topicAlias, expirySeconds } = view
  if (propertiesEnd === propertiesStart) return NOTHING
  if (topicAlias === 0 && expirySeconds < 0) return bytes.subarray(propertiesStart, propertiesEnd)
  const { topicAlias: _alias, messageExpiryInterval: _expiry, ...rest } = view.properties()
  return Buffer.concat([expiryProperty(expirySeconds), encodeProperties(PACKET.PUBLISH, rest)])
}

export function expiryProperty(seconds: number): Buffer {
  if (seconds < 0) return NOTHING
  const property = Buffer.alloc(EXPIRY_BYTES)
  property[0] = EXPIRY_ID
  property.writeUInt32BE(seconds, 1)
  return property
}

/** Octets that `writeHeader` writes. */
export function headerSize(parts: HeaderParts, properties: Buffer): number {
  return 1 + (parts.publisher === null ? 0 : 2 + parts.publisher.length) + properties.length
}

export function writeHeader(target: Buffer, parts: HeaderParts, properties: Buffer): number {
  const { publisher } = parts
  target[0] = (parts.retain ? HEADER.RETAIN : 0) | (parts.qos << 1)
  let at = 1
  if (publisher !== null) {
    target[0] |= HEADER.HAS_PUBLISHER
    at = target.writeUInt16BE(publisher.length, at)
    at += publisher.copy(target, at)
  }
  return at + properties.copy(target, at)
}

/** Where the properties start in a header that starts at `start`. */
export function propertiesStart(header: Buffer, start: number): number {
  const flags = header[start]!
  let at = start + 1
  if ((flags & (HEADER.HAS_PUBLISHER | HEADER.OF_GROUP)) === 0) return at
  if ((flags & HEADER.HAS_PUBLISHER) !== 0) at += 2 + header.readUInt16BE(at)
  if ((flags & HEADER.OF_GROUP) !== 0) at += 2 + header.readUInt16BE(at)
  return at
}

/** The header of a copy that a group's member is to have; the header has no group yet. */
export function withGroup(header: Buffer, filter: Buffer): Buffer {
  const at = propertiesStart(header, 0)
  const size = Buffer.of(filter.length >> 8, filter.length & 0xff)
  const copy = Buffer.concat([header.subarray(0, at), size, filter, header.subarray(at)])
  copy[0]! |= HEADER.OF_GROUP
  return copy
}

/** The filter of the group that a copy came from; null for every other message. */
export function groupOf(message: StoredMessage): string | null {
  if ((flagsOf(message) & HEADER.OF_GROUP) === 0) return null
  const { data, headerStart } = message
  let at = headerStart + 1
  if ((data[headerStart]! & HEADER.HAS_PUBLISHER) !== 0) at += 2 + data.readUInt16BE(at)
  return data.toString('utf8', at + 2, at + 2 + data.readUInt16BE(at))
}

/** Flags of a message of ours; a message of another protocol has the QoS that suits it. */
export function flagsOf(message: StoredMessage): number {
  if (message.form === NATIVE_FORM.MQTT && message.headerEnd > message.headerStart) {
    return message.data[message.headerStart]!
  }
  return message.persistent ? 2 : 0
}

export function isPublishedBy(message: StoredMessage, clientId: Buffer): boolean {
  if ((flagsOf(message) & HEADER.HAS_PUBLISHER) === 0) return false
  const { data, headerStart } = message
  const start = headerStart + 3
  const size = data.readUInt16BE(headerStart + 1)
  return clientId.equals(data.subarray(start, start + size))
}

/** Writes what is left of the message's time into the copy `properties`. */
export function patchExpiry(properties: Buffer, seconds: number): void {
  if (properties[0] === EXPIRY_ID) properties.writeUInt32BE(seconds, 1)
}
