import { checkName, FieldReader } from './field-reader.ts'
import { malformed, protocolError } from './packet-error.ts'
import { decodeProperties, PropertyScan } from './properties.ts'
import { PACKET } from './spec.ts'
import type { Properties, Version } from './spec.ts'

/**
 * A PUBLISH as it lies in the read buffer: ranges into `bytes`, nothing copied.
 *
 * One view serves a connection; it and its bytes are valid until the handler returns. Its octets
 * have been checked, save the payload: whether text is UTF-8 is for its readers to say.
 */
export class PublishView {
  bytes: Buffer = NOTHING
  version: Version = 4
  dup = false
  qos: 0 | 1 | 2 = 0
  retain = false
  topicStart = 0
  topicEnd = 0
  /** Whether the topic is ASCII only. */
  isAscii = true
  /** 0 when `qos` is 0. */
  packetId = 0
  /** The properties without their length; an empty range when there are none. */
  propertiesStart = 0
  propertiesEnd = 0
  payloadStart = 0
  payloadEnd = 0
  /** 0 when there is none. */
  topicAlias = 0
  /** -1 when it never expires. */
  expirySeconds = -1
  /** 1 when the payload is said to be UTF-8. */
  payloadFormat = 0
  readonly #reader = new FieldReader()
  readonly #scan = new PropertyScan()

  topic(): string {
    return this.bytes.toString(this.isAscii ? 'latin1' : 'utf8', this.topicStart, this.topicEnd)
  }

  properties(): Properties {
    this.#reader.open(this.bytes, this.propertiesStart, this.propertiesEnd)
    return decodeProperties(this.#reader)
  }

  /**
   * Section 3.3: topic, packet id if QoS > 0, properties (5), payload. Called by the parser;
   * `flags` are the low four bits of the first octet.
   */
  open(
    version: Version,
    flags: number,
    range: { bytes: Buffer; start: number; end: number },
  ): void {
    const qos = (flags >> 1) & 3
    if (qos === 3) throw malformed('a PUBLISH with QoS 3')
    this.dup = (flags & 8) !== 0
    if (this.dup && qos === 0) throw malformed('a PUBLISH with DUP and QoS 0')
    this.version = version
    this.qos = qos as 0 | 1 | 2
    this.retain = (flags & 1) !== 0
    this.bytes = range.bytes
    const reader = this.#reader
    reader.open(range.bytes, range.start, range.end)
    this.topicStart = reader.span()
    this.topicEnd = reader.at
    this.isAscii = checkTopic(range.bytes, this.topicStart, this.topicEnd)
    this.packetId = qos === 0 ? 0 : reader.uint16()
    if (qos !== 0 && this.packetId === 0) throw protocolError('a PUBLISH with the packet id 0')
    this.#openProperties(reader)
    this.payloadStart = reader.at
    this.payloadEnd = range.end
    if (this.topicStart === this.topicEnd && this.topicAlias === 0) {
      throw protocolError('a PUBLISH without a topic and without an alias')
    }
  }

  #openProperties(reader: FieldReader): void {
    const scan = this.#scan
    if (this.version === 5) {
      scan.run(reader, PACKET.PUBLISH)
      this.propertiesStart = scan.start
      this.propertiesEnd = reader.at
    } else {
      this.propertiesStart = reader.at
      this.propertiesEnd = reader.at
    }
    const hasFacts = this.propertiesEnd > this.propertiesStart
    this.topicAlias = hasFacts ? scan.topicAlias : 0
    this.expirySeconds = hasFacts ? scan.expirySeconds : -1
    this.payloadFormat = hasFacts ? scan.payloadFormat : 0
  }
}

const NOTHING = Buffer.alloc(0)

const PLUS = 0x2b
const HASH = 0x23

/** A topic holds no wildcard (section 3.3.2.1). Returns whether it is ASCII only. */
export function checkTopic(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const octet = bytes[at]!
    if (octet === PLUS || octet === HASH) throw malformed('a topic with a wildcard')
  }
  return checkName(bytes, start, end)
}
