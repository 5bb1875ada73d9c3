import { isUtf8 } from 'node:buffer'
import {
  type BasicProperties,
  encodeContentHeader,
  encodeFieldTable,
  type FieldValue,
  SHORT_STRING_BYTES_MAX,
} from '../../codec/amqp091/index.ts'
import type { CanonicalProperties } from '../../model/canonical-properties.ts'
import { BrokerError } from '../../model/errors.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { CROSSING_HEADER } from './mapping.ts'

/** Headers that mark what did not fit; see docs/crossing.md. */
const MARK = {
  /** Headers whose name is no short string: a list of `[name, value]`. */
  LONG_NAMES: 'x-long-header-names',
  /** How many headers were left out because the frame is too small for all of them. */
  LEFT_OUT: 'x-headers-left-out',
  /** The whole routing key, where the message shows it shortened. */
  LONG_ROUTING_KEY: 'x-routing-key',
} as const

/** Of a message of the broker's own: what fits into the smallest frame that clients agree on. */
const OWN_HEADER_BYTES_MAX = 4096 - 8

/** Enough for the mark that headers were left out. */
const MARK_BYTES = 64

export interface ForeignHeaderOptions {
  readonly bodySize: number
  /** Octets that one frame holds; headers beyond it are left out from the last one on. */
  readonly payloadBytesMax: number
  /** The routing key where it is too long for the place it has; default null: it is not. */
  readonly longRoutingKey?: string | null
}

export interface ForeignHeader {
  /** The payload of a content header. */
  readonly payload: Buffer
  /** Properties and headers that are marked, because they could not be shown as they are. */
  readonly lost: number
}

/** Where a stored message keeps its header. */
interface HeaderRange {
  readonly data: Buffer
  readonly headerStart: number
  readonly headerEnd: number
  readonly form: number
  readonly persistent: boolean
}

/**
 * The content header of a message that another protocol published. Of a form that nobody here
 * knows, or whose bytes it cannot read, there is only the mark `x-unknown-form`.
 */
export function foreignHeader(
  form: NativeForm | undefined,
  message: HeaderRange,
  options: ForeignHeaderOptions,
): ForeignHeader {
  try {
    if (form !== undefined) {
      const { data, headerStart, headerEnd } = message
      return contentHeaderOf(form.canonical(data, headerStart, headerEnd), options)
    }
  } catch {
    // One message must not end the connections of all who are to get it.
  }
  const payload = encodeContentHeader(options.bodySize, {
    deliveryMode: message.persistent ? 2 : 1,
    headers: new Map([['x-unknown-form', message.form]]),
  })
  return { payload, lost: 1 }
}

/** The content header of a message that no client published. Throws `LIMIT_EXCEEDED`. */
export function encodedHeader(canonical: CanonicalProperties, bodySize: number): Buffer {
  const payloadBytesMax = OWN_HEADER_BYTES_MAX
  const { payload, lost } = contentHeaderOf(canonical, { bodySize, payloadBytesMax })
  if (lost === 0) return payload
  throw new BrokerError(
    'LIMIT_EXCEEDED',
    `properties and headers do not fit into ${payloadBytesMax} octets, names not into 255`,
  )
}

/** The payload of a content header that says what `canonical` does. */
export function contentHeaderOf(
  canonical: CanonicalProperties,
  { bodySize, payloadBytesMax, longRoutingKey = null }: ForeignHeaderOptions,
): ForeignHeader {
  const builder = new HeaderBuilder()
  for (const { name, value } of canonical.headers) builder.add(name, value)
  const properties = builder.properties(canonical)
  if (longRoutingKey !== null) builder.addLongRoutingKey(longRoutingKey)
  const { headers } = builder
  if (headers.size === 0) return { payload: encodeContentHeader(bodySize, properties), lost: 0 }
  const whole = encodeContentHeader(bodySize, { ...properties, headers })
  if (whole.length <= payloadBytesMax) return { payload: whole, lost: builder.lost }
  const headersBytesMax = payloadBytesMax - encodeContentHeader(bodySize, properties).length
  const fitting = builder.fitting(headersBytesMax)
  const payload = encodeContentHeader(bodySize, { ...properties, headers: fitting })
  return { payload, lost: builder.lost }
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }

type ShortText =
  | 'contentType'
  | 'contentEncoding'
  | 'replyTo'
  | 'messageId'
  | 'type'
  | 'userId'
  | 'appId'

class HeaderBuilder {
  readonly headers: Map<string, FieldValue> = new Map()
  /** Names that came several times: their value is a list already. */
  readonly #repeated: Set<string> = new Set()
  readonly #properties: Writable<BasicProperties> = {}
  lost = 0

  add(name: string, value: HeaderValue): void {
    const field = fieldValueOf(value)
    if (!isShort(name)) {
      this.lost++
      this.#append(MARK.LONG_NAMES, [name, field])
    } else if (this.headers.has(name)) this.#append(name, field)
    else this.headers.set(name, field)
  }

  addLongRoutingKey(key: string): void {
    this.lost++
    this.#set(MARK.LONG_ROUTING_KEY, key)
  }

  /** All but the headers; what has no place there becomes one of them. */
  properties(canonical: CanonicalProperties): BasicProperties {
    const { correlationId, expirationMs, priority, replyToKey, timestampMs } = canonical
    const properties = this.#properties
    properties.deliveryMode = canonical.persistent ? 2 : 1
    this.#short('contentType', 'x-content-type', canonical.contentType)
    this.#short('contentEncoding', 'x-content-encoding', canonical.contentEncoding)
    this.#short('replyTo', 'x-reply-to', canonical.replyTo)
    this.#short('messageId', 'x-message-id', canonical.messageId)
    this.#short('type', 'x-type', canonical.type)
    this.#short('userId', 'x-user-id', canonical.userId)
    this.#short('appId', 'x-app-id', canonical.appId)
    if (replyToKey !== null) {
      this.#set(CROSSING_HEADER.REPLY_TO_KEY, replyToKey)
      if (isShort(replyToKey)) properties.replyTo = replyToKey
    }
    if (correlationId !== null) this.#setCorrelationId(correlationId)
    if (priority !== null) properties.priority = Math.min(Math.max(priority, 0), 255)
    if (expirationMs !== null) properties.expiration = String(Math.floor(expirationMs))
    if (timestampMs !== null) this.#setTimestamp(Math.max(0, timestampMs))
    if (canonical.isText) this.#set(CROSSING_HEADER.PAYLOAD_FORMAT, 'utf-8')
    return properties
  }

  /** The property has seconds; a header has the rest. */
  #setTimestamp(timestampMs: number): void {
    this.#properties.timestamp = Math.floor(timestampMs / 1000)
    if (timestampMs % 1000 === 0) return
    this.#set(CROSSING_HEADER.TIMESTAMP_MS, { type: 'long', value: Math.floor(timestampMs) })
  }

  /** As text where it is one, else as octets in a header: RabbitMQ's name for it. */
  #setCorrelationId(octets: Buffer): void {
    const isText = octets.length <= SHORT_STRING_BYTES_MAX && isUtf8(octets) && !octets.includes(0)
    if (isText) this.#properties.correlationId = octets.toString('utf8')
    else this.#set(CROSSING_HEADER.CORRELATION_ID, octets)
  }

  /** As many headers as `bytesMax` octets hold, and a mark that tells how many they do not. */
  fitting(bytesMax: number): ReadonlyMap<string, FieldValue> {
    const kept = new Map<string, FieldValue>()
    let bytes = MARK_BYTES
    let leftOut = 0
    for (const [name, value] of this.headers) {
      bytes += encodeFieldTable(new Map([[name, value]])).length
      if (bytes > bytesMax) leftOut++
      else kept.set(name, value)
    }
    this.lost += leftOut
    return kept.set(MARK.LEFT_OUT, leftOut)
  }

  /** In place of whatever the publisher called so. */
  #set(name: string, value: FieldValue): void {
    if (this.headers.delete(name)) this.lost++
    this.headers.set(name, value)
  }

  #append(name: string, field: FieldValue): void {
    const known = this.headers.get(name)
    if (this.#repeated.has(name)) (known as FieldValue[]).push(field)
    else this.headers.set(name, known === undefined ? [field] : [known, field])
    this.#repeated.add(name)
  }

  /** A longer text becomes a header. */
  #short(property: ShortText, header: string, text: string | null): void {
    if (text === null) return
    if (isShort(text)) {
      this.#properties[property] = text
      return
    }
    this.lost++
    this.#set(header, text)
  }
}

function isShort(text: string): boolean {
  // A character of UTF-16 has three octets at most.
  if (text.length * 3 <= SHORT_STRING_BYTES_MAX) return true
  return Buffer.byteLength(text) <= SHORT_STRING_BYTES_MAX
}

/** Integers beyond 64 bits are written as text. */
export function fieldValueOf(value: HeaderValue): FieldValue {
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === 'bigint') {
    return BigInt.asIntN(64, value) === value ? { type: 'long', value } : value.toString()
  }
  if (typeof value !== 'object') return value
  if (Array.isArray(value)) return (value as readonly HeaderValue[]).map(fieldValueOf)
  return new Map(Array.from(value as ReadonlyMap<string, HeaderValue>, fieldEntry))
}

function fieldEntry([name, value]: readonly [string, HeaderValue]): [string, FieldValue] {
  return [name, fieldValueOf(value)]
}
