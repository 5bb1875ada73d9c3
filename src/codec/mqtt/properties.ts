import type { FieldReader } from './field-reader.ts'
import { malformed, MqttPacketError, protocolError } from './packet-error.ts'
import { PACKET, PROPERTIES, PROPERTY, REASON } from './spec.ts'
import type { Properties, PropertyScope, PropertySpec } from './spec.ts'

const LISTS = new Set<number>([PROPERTY.USER_PROPERTY, PROPERTY.SUBSCRIPTION_IDENTIFIER])

/**
 * Reads a property length and passes over the properties, checking all that section 2.2.2 asks:
 * known, allowed in this packet, at most once, in bounds. Leaves the reader behind them.
 */
export class PropertyScan {
  /** Where the properties start, behind their length. */
  start = 0
  /** The few facts of a PUBLISH: -1 and 0 stand for absent. */
  expirySeconds = -1
  topicAlias = 0
  payloadFormat = 0

  run(reader: FieldReader, scope: PropertyScope): void {
    this.expirySeconds = -1
    this.topicAlias = 0
    this.payloadFormat = 0
    const size = reader.varint()
    this.start = reader.at
    if (size === 0) return
    if (size > reader.left) throw malformed(`${size} octets of properties, ${reader.left} are left`)
    const packetEnd = reader.end
    reader.end = reader.at + size
    let seenLow = 0
    let seenHigh = 0
    while (reader.at < reader.end) {
      const spec = nextSpec(reader, scope)
      const { id } = spec
      const bit = 1 << (id & 31)
      if (id !== PROPERTY.USER_PROPERTY) {
        if (((id < 32 ? seenLow : seenHigh) & bit) !== 0) {
          throw protocolError(`${spec.name} stands twice in a packet`)
        }
        if (id < 32) seenLow |= bit
        else seenHigh |= bit
      }
      if (id === PROPERTY.SUBSCRIPTION_IDENTIFIER && scope === PACKET.PUBLISH) {
        // Section 3.3.2.3.8: only a server sends it.
        throw protocolError('a subscription identifier in a PUBLISH of a client')
      }
      this.#value(reader, spec)
    }
    reader.end = packetEnd
    // Authentication data without a method (sections 3.1.2.11.10, 3.15.2.2.3).
    const method = 1 << PROPERTY.AUTHENTICATION_METHOD
    const data = 1 << PROPERTY.AUTHENTICATION_DATA
    if ((seenLow & data) !== 0 && (seenLow & method) === 0) {
      throw protocolError('authentication data without a method')
    }
  }

  #value(reader: FieldReader, spec: PropertySpec): void {
    switch (spec.kind) {
      case 'utf8': {
        const start = reader.utf8Span()
        if (spec.id === PROPERTY.RESPONSE_TOPIC) checkResponseTopic(reader, start)
        return
      }
      case 'binary':
        reader.span()
        return
      case 'utf8-pair':
        reader.utf8Span()
        reader.utf8Span()
        return
      default: {
        const value = readNumber(reader, spec)
        if (spec.id === PROPERTY.MESSAGE_EXPIRY_INTERVAL) this.expirySeconds = value
        else if (spec.id === PROPERTY.TOPIC_ALIAS) this.topicAlias = value
        else if (spec.id === PROPERTY.PAYLOAD_FORMAT_INDICATOR) this.payloadFormat = value
      }
    }
  }
}

/** Values of the properties in `[reader.at, reader.end)`, which a scan has checked. */
export function decodeProperties(reader: FieldReader): Properties {
  const values: Record<string, unknown> = {}
  while (reader.at < reader.end) {
    const spec = PROPERTIES[reader.varint()]!
    const value = readValue(reader, spec)
    if (!LISTS.has(spec.id)) {
      values[spec.name] = value
      continue
    }
    const list = values[spec.name]
    if (Array.isArray(list)) list.push(value)
    else values[spec.name] = [value]
  }
  // The table gives each name the kind that `Properties` declares for it.
  return values as Properties
}

/** A property length, the scan of what is behind it, and its values. */
export function readProperties(
  reader: FieldReader,
  scan: PropertyScan,
  scope: PropertyScope,
): Properties {
  scan.run(reader, scope)
  const packetEnd = reader.end
  reader.end = reader.at
  reader.at = scan.start
  const values = decodeProperties(reader)
  reader.end = packetEnd
  return values
}

/** The octets of properties without their length, in the order of their ids. */
export function encodeProperties(scope: PropertyScope, properties: Properties): Buffer {
  const parts: Buffer[] = []
  for (const spec of PROPERTIES) {
    if (spec === undefined) continue
    const value = properties[spec.name]
    if (value === undefined) continue
    if ((spec.scopes & (1 << scope)) === 0) {
      throw new RangeError(`${spec.name} has no place in a packet of type ${scope}`)
    }
    const values: readonly unknown[] = LISTS.has(spec.id) ? (value as readonly unknown[]) : [value]
    for (const one of values) parts.push(Buffer.of(spec.id), encodeValue(spec, one))
  }
  return Buffer.concat(parts)
}

export function encodeVarint(value: number): Buffer {
  const octets: number[] = []
  let rest = value
  do {
    octets.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80)
    rest >>>= 7
  } while (rest > 0)
  return Buffer.from(octets)
}

function nextSpec(reader: FieldReader, scope: PropertyScope): PropertySpec {
  const id = reader.varint()
  const spec = PROPERTIES[id]
  if (spec === undefined) throw malformed(`no property has the id ${id}`)
  if ((spec.scopes & (1 << scope)) === 0) {
    throw malformed(`${spec.name} has no place in a packet of type ${scope}`)
  }
  return spec
}

function readNumber(reader: FieldReader, spec: PropertySpec): number {
  const value = numberOf(reader, spec)
  if (value < spec.min || value > spec.max) {
    const code = spec.id === PROPERTY.TOPIC_ALIAS ? REASON.TOPIC_ALIAS_INVALID : 0x82
    throw new MqttPacketError(code, `${spec.name} is ${value}, from ${spec.min} to ${spec.max} go`)
  }
  return value
}

function numberOf(reader: FieldReader, spec: PropertySpec): number {
  if (spec.kind === 'byte') return reader.uint8()
  if (spec.kind === 'uint16') return reader.uint16()
  return spec.kind === 'uint32' ? reader.uint32() : reader.varint()
}

function readValue(reader: FieldReader, spec: PropertySpec): unknown {
  if (spec.kind === 'utf8') return reader.utf8()
  if (spec.kind === 'binary') return reader.binary()
  if (spec.kind === 'utf8-pair') return [reader.utf8(), reader.utf8()]
  return readNumber(reader, spec)
}

function checkResponseTopic(reader: FieldReader, start: number): void {
  if (start === reader.at) throw protocolError('an empty response topic')
  for (let at = start; at < reader.at; at += 1) {
    const octet = reader.bytes[at]!
    if (octet === 0x23 || octet === 0x2b) throw protocolError('a response topic with a wildcard')
  }
}

function encodeValue(spec: PropertySpec, value: unknown): Buffer {
  switch (spec.kind) {
    case 'utf8':
      return sized(Buffer.from(value as string))
    case 'binary':
      return sized(value as Buffer)
    case 'utf8-pair':
      return Buffer.concat((value as readonly string[]).map((text) => sized(Buffer.from(text))))
    default:
      return encodeNumber(spec, value as number)
  }
}

function encodeNumber(spec: PropertySpec, value: number): Buffer {
  if (!Number.isInteger(value) || value < spec.min || value > spec.max) {
    throw new RangeError(`${spec.name} is ${value}, from ${spec.min} to ${spec.max} go`)
  }
  if (spec.kind === 'varint') return encodeVarint(value)
  const octets = Buffer.alloc(spec.kind === 'byte' ? 1 : spec.kind === 'uint16' ? 2 : 4)
  octets.writeUIntBE(value, 0, octets.length)
  return octets
}

function sized(octets: Buffer): Buffer {
  if (octets.length > 65_535) throw new RangeError(`a field of ${octets.length} octets, 65535 go`)
  return Buffer.concat([Buffer.of(octets.length >> 8, octets.length & 0xff), octets])
}
