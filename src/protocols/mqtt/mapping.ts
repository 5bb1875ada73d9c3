import {
  encodeProperties,
  PACKET,
  type Properties,
  PROPERTY,
  PublishView,
  type Version,
} from '../../codec/mqtt/index.ts'
import {
  type CanonicalHeader,
  type CanonicalProperties,
  NO_PROPERTIES,
} from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { type HeaderEdit, NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import { expiryProperty, HEADER, propertiesStart } from './message-header.ts'
import { keyTextOfTopic, topicOfKey } from './topic-key.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/** Octets of a string in MQTT (section 1.5.4). */
const TEXT_BYTES_MAX = 65_535
const EXPIRY_SECONDS_MAX = 0xffff_ffff

/** A topic that stands for a destination by its name. */
const DESTINATION_TOPIC = /^\$(?:queue|stream)\/(.+)$/s

/** How the broker looks into stored MQTT messages: flags, publisher if any, properties of MQTT 5. */
export const MQTT_FORM: NativeForm = {
  id: NATIVE_FORM.MQTT,
  name: 'mqtt',
  headers(header, start, end) {
    const { userProperties } = propertiesOf(header, start, end)
    return userProperties === undefined ? null : headerMapOf(userProperties)
  },
  property(header, start, end, name) {
    if (name !== 'correlation-id') return null
    const { correlationData } = propertiesOf(header, start, end)
    // Whoever asks compares or hashes it, so octets that are no text may look different.
    return correlationData?.toString('latin1') ?? null
  },
  extraKeys: () => null,
  expiration(header, start, end) {
    const { messageExpiryInterval } = propertiesOf(header, start, end)
    return messageExpiryInterval === undefined ? null : String(messageExpiryInterval * 1000)
  },
  canonical(header, start, end) {
    const isPersistent = end > start && (header[start]! & HEADER.QOS) !== 0
    return canonicalOf(propertiesOf(header, start, end), isPersistent)
  },
  edited: editedHeader,
}

/** Property bytes of a PUBLISH, and what they do not say. */
export interface MqttProperties {
  /** As in a packet of MQTT 5, without their length; a message expiry interval stands first. */
  readonly properties: Buffer
  /** Properties and headers that are marked or left out. */
  readonly lost: number
}

/**
 * What a PUBLISH says of a message that another protocol published: properties where MQTT 5 has
 * them, user properties for all else. Before MQTT 5 there are none, and all of it is lost.
 */
export function mqttPropertiesOf(canonical: CanonicalProperties, version: Version): MqttProperties {
  const writer = new PropertyWriter()
  const values: Properties = {
    payloadFormatIndicator: canonical.isText ? 1 : undefined,
    contentType: writer.text('content-type', canonical.contentType),
    responseTopic: writer.responseTopic(canonical),
    correlationData: writer.octets('correlation-id', canonical.correlationId),
  }
  writer.named(canonical)
  for (const { name, value } of canonical.headers) writer.header(name, value)
  if (version < 5) return { properties: NOTHING, lost: writer.countAll(values) }
  const parts = [
    expiryOf(canonical.expirationMs),
    encodeProperties(PACKET.PUBLISH, values),
    userPropertyBytes(writer.userProperties),
  ]
  return { properties: Buffer.concat(parts), lost: writer.lost }
}

/**
 * The same for a message as it is stored: of a protocol that is not known here, or whose bytes it
 * cannot read, the user property `unknown-form` is all there is.
 */
export function foreignPropertiesOf(
  form: NativeForm | undefined,
  { header, start, end }: { readonly header: Buffer; readonly start: number; readonly end: number },
  version: Version,
): MqttProperties {
  try {
    if (form !== undefined) return mqttPropertiesOf(form.canonical(header, start, end), version)
  } catch {
    // One message must not end the connections of all who are to get it.
  }
  const value = form?.name ?? 'none'
  const unknown = { ...NO_PROPERTIES, headers: [{ name: 'unknown-form', value }] }
  return { ...mqttPropertiesOf(unknown, version), lost: 1 }
}

const view = new PublishView()

function propertiesOf(header: Buffer, start: number, end: number): Properties {
  view.bytes = header
  view.propertiesStart = startOf(header, start, end)
  view.propertiesEnd = end
  return view.properties()
}

/** A header without an octet says nothing. */
function startOf(header: Buffer, start: number, end: number): number {
  return end === start ? end : propertiesStart(header, start)
}

/** A name that stands several times has the list of its values. */
function headerMapOf(pairs: readonly (readonly [string, string])[]): Map<string, HeaderValue> {
  const map = new Map<string, string | string[]>()
  for (const [name, value] of pairs) {
    const known = map.get(name)
    if (known === undefined) map.set(name, value)
    else if (typeof known === 'string') map.set(name, [known, value])
    else known.push(value)
  }
  return map
}

function canonicalOf(properties: Properties, persistent: boolean): CanonicalProperties {
  const { contentType, correlationData, messageExpiryInterval, responseTopic } = properties
  const destination = DESTINATION_TOPIC.exec(responseTopic ?? '')
  const isKey = responseTopic !== undefined && destination === null
  return {
    ...NO_PROPERTIES,
    contentType: contentType ?? null,
    correlationId: correlationData ?? null,
    replyTo: destination?.[1] ?? null,
    replyToKey: isKey ? keyTextOfTopic(responseTopic) : null,
    expirationMs: messageExpiryInterval === undefined ? null : messageExpiryInterval * 1000,
    persistent,
    isText: properties.payloadFormatIndicator === 1,
    headers: (properties.userProperties ?? []).map(canonicalHeader),
  }
}

function canonicalHeader([name, value]: readonly [string, string]): CanonicalHeader {
  return { name, value }
}

function editedHeader(header: Buffer, { set, remove }: HeaderEdit): Buffer {
  const start = startOf(header, 0, header.length)
  const { messageExpiryInterval, ...rest } = propertiesOf(header, 0, header.length)
  const kept = (rest.userProperties ?? []).filter(
    ([name]) => !set.has(name) && !remove.includes(name),
  )
  const userProperties = [...kept, ...set]
  const expiry = expiryOf(messageExpiryInterval === undefined ? null : messageExpiryInterval * 1000)
  const front = start === 0 ? Buffer.of(0) : header.subarray(0, start)
  return Buffer.concat([
    front,
    expiry,
    encodeProperties(PACKET.PUBLISH, { ...rest, userProperties }),
  ])
}

/** The property by itself: it goes first, so that what is left can be written in its place. */
function expiryOf(milliseconds: number | null): Buffer {
  if (milliseconds === null || !Number.isFinite(milliseconds)) return NOTHING
  // Rounded up: 0 would mean that it has expired already.
  const seconds = Math.min(Math.max(Math.ceil(milliseconds / 1000), 0), EXPIRY_SECONDS_MAX)
  return expiryProperty(seconds)
}

/** As `encodeProperties` writes them, without a buffer for each. */
function userPropertyBytes(pairs: readonly (readonly [string, string])[]): Buffer {
  if (pairs.length === 0) return NOTHING
  let bytes = 0
  for (const [name, value] of pairs) bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(value)
  const out = Buffer.allocUnsafe(bytes)
  let at = 0
  for (const [name, value] of pairs) {
    out[at] = PROPERTY.USER_PROPERTY
    at = writeText(out, writeText(out, at + 1, name), value)
  }
  return out
}

function writeText(out: Buffer, at: number, text: string): number {
  const size = out.write(text, at + 2)
  out.writeUInt16BE(size, at)
  return at + 2 + size
}

/** Gathers user properties and counts what cannot be said as it is. */
class PropertyWriter {
  readonly userProperties: [string, string][] = []
  /** With a mark, or not at all. */
  lost = 0
  #leftOut = 0

  /** How many properties there are beside the expiry, which the broker sees to. */
  countAll(values: Properties): number {
    const present = Object.values(values).filter((value) => value !== undefined).length
    return present + this.userProperties.length + this.#leftOut
  }

  /** What AMQP has properties for and MQTT has none. */
  named(canonical: CanonicalProperties): void {
    const { timestampMs } = canonical
    this.#named('content-encoding', canonical.contentEncoding)
    this.#named('message-id', canonical.messageId)
    this.#named('timestamp', timestampMs === null ? null : timestampMs / 1000)
    this.#named('type', canonical.type)
    this.#named('user-id', canonical.userId)
    this.#named('app-id', canonical.appId)
    this.#named('priority', canonical.priority)
  }

  /** A text that MQTT 5 has a property for, where it can be one. */
  text(name: string, text: string | null): string | undefined {
    if (text === null) return undefined
    if (isText(text)) return text
    this.#named(name, text)
    return undefined
  }

  octets(name: string, octets: Buffer | null): Buffer | undefined {
    if (octets === null) return undefined
    if (octets.length <= TEXT_BYTES_MAX) return octets
    this.#named(name, octets)
    return undefined
  }

  responseTopic({ replyTo, replyToKey }: CanonicalProperties): string | undefined {
    if (replyTo === null && replyToKey === null) return undefined
    const topic = replyTo === null ? topicOfKey(replyToKey!) : `$queue/${replyTo}`
    if (isText(topic) && !/[+#]/.test(topic)) return topic
    this.#named('reply-to', replyTo)
    return undefined
  }

  /** A list of plain values becomes several user properties of one name. */
  header(name: string, value: HeaderValue): void {
    const values: readonly HeaderValue[] = isList(value) ? value : [value]
    const texts = values.map(plainText)
    if (isText(name) && texts.length > 0 && texts.every((text) => text !== null)) {
      for (const text of texts) this.userProperties.push([name, text])
    } else this.#marked(name, value)
  }

  #named(name: string, value: HeaderValue): void {
    if (value !== null) this.header(`amqp-${name}`, value)
  }

  /** Other values are text with a mark behind the name; what is too long for that is left out. */
  #marked(name: string, value: HeaderValue): void {
    this.lost++
    const isBytes = value instanceof Uint8Array
    const marked = `${name};${isBytes ? 'base64' : 'json'}`
    const text = isBytes ? base64(value) : JSON.stringify(jsonOf(value))
    if (isText(marked) && isText(text)) this.userProperties.push([marked, text])
    else this.#leftOut++
  }
}

/** Null for what is no plain value, or none that a string of MQTT can hold. */
function plainText(value: HeaderValue): string | null {
  if (value === null || typeof value === 'object') return null
  const text = String(value)
  return isText(text) ? text : null
}

function isText(text: string): boolean {
  return !text.includes('\0') && Buffer.byteLength(text) <= TEXT_BYTES_MAX
}

function jsonOf(value: HeaderValue): unknown {
  if (value instanceof Uint8Array) return base64(value)
  if (typeof value === 'bigint') return value.toString()
  if (isList(value)) return value.map(jsonOf)
  if (!(value instanceof Map)) return value
  const entries = Array.from(value as ReadonlyMap<string, HeaderValue>)
  return Object.fromEntries(entries.map(([key, inner]) => [key, jsonOf(inner)]))
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function isList(value: HeaderValue): value is readonly HeaderValue[] {
  return Array.isArray(value)
}
