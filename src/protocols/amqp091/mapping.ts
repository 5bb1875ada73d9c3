import type { Annotations, DeathRecord } from '../../broker/index.ts'
import {
  ContentHeaderView,
  editContentHeader,
  fieldNumber,
  type FieldTable,
  type FieldValue,
  isFieldArray,
  isFieldTable,
  PROPERTY,
} from '../../codec/amqp091/index.ts'
import type { CanonicalHeader, CanonicalProperties } from '../../model/canonical-properties.ts'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import { NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import { SCHEDULE_HEADER } from '../../model/schedule-order.ts'

/** A field value without its wire type: what filters, headers exchanges and listings look at. */
export function headerValueOf(value: FieldValue): HeaderValue {
  if (value === null || typeof value !== 'object') return value
  if (isFieldTable(value)) return headerMapOf(value)
  if (isFieldArray(value)) return value.map(headerValueOf)
  if (value instanceof Uint8Array) return value
  if (value.type === 'decimal') return value.value / 10 ** value.scale
  return value.value
}

export function headerMapOf(table: FieldTable): HeaderMap {
  const map = new Map<string, HeaderValue>()
  for (const [key, value] of table) map.set(key, headerValueOf(value))
  return map
}

/** The routing keys in a CC or BCC header; null where it is no list. Only strings count. */
export function keysOf(value: FieldValue): readonly string[] | null {
  if (!isFieldArray(value)) return null
  return value.filter((key) => typeof key === 'string')
}

const view = new ContentHeaderView()

/**
 * Headers for what AMQP 0-9-1 has no property for. The first two are named as RabbitMQ names them
 * when a message goes from MQTT to AMQP 0-9-1, and understood on the way back.
 */
export const CROSSING_HEADER = {
  /** The routing key on the topic exchange that the answer is wanted with. */
  REPLY_TO_KEY: 'x-reply-to-topic',
  /** A correlation id that is no short string. */
  CORRELATION_ID: 'x-correlation-id',
  /** `utf-8` where the publisher says that the body is text. */
  PAYLOAD_FORMAT: 'x-payload-format',
  /** A time in milliseconds, which the property rounds down to seconds; RabbitMQ's name for it. */
  TIMESTAMP_MS: 'timestamp_in_ms',
} as const

/** How the broker looks into stored AMQP 0-9-1 content headers. */
export const AMQP091_FORM: NativeForm = {
  id: NATIVE_FORM.AMQP091,
  name: 'amqp-0-9-1',
  headers(header, start, end) {
    view.read(header, start, end)
    const table = view.headers()
    return table === null ? null : headerMapOf(table)
  },
  header(header, start, end, name) {
    view.read(header, start, end)
    const value = view.header(name)
    return value === undefined ? undefined : headerValueOf(value)
  },
  property(header, start, end, name) {
    view.read(header, start, end)
    if (name === 'message-id') return view.text(PROPERTY.MESSAGE_ID)
    if (name === 'correlation-id') return view.text(PROPERTY.CORRELATION_ID)
    const timestamp = view.timestamp()
    return timestamp === null ? null : String(timestamp)
  },
  extraKeys(header, start, end) {
    view.read(header, start, end)
    // BCC was taken out when the message was published.
    const value = view.header('CC')
    return value === undefined ? null : keysOf(value)
  },
  expiration(header, start, end) {
    view.read(header, start, end)
    return view.text(PROPERTY.EXPIRATION)
  },
  canonical(header, start, end) {
    view.read(header, start, end)
    return canonicalOf(view, header)
  },
  edited(header, { set, remove, bodyBytes }) {
    const size = bodyBytes === undefined ? {} : { bodySize: bodyBytes }
    if (set.size === 0 && remove.length === 0) return editContentHeader(header, size)
    const headers = { setHeaders: new Map(set), removeHeaders: remove }
    return editContentHeader(header, { ...headers, ...size })
  },
}

/** Of two headers with one name the first counts, as everywhere here; the cluster id is nobody's. */
function canonicalOf(read: ContentHeaderView, bytes: Buffer): CanonicalProperties {
  const table = new Map(read.headers())
  const replyTo = read.text(PROPERTY.REPLY_TO)
  // A message that came from MQTT and was sent on says the key in both places.
  const replyToKey = takeText(table, CROSSING_HEADER.REPLY_TO_KEY, replyTo ?? undefined)
  const seconds = read.timestamp()
  const expiration = read.text(PROPERTY.EXPIRATION)
  return {
    contentType: read.text(PROPERTY.CONTENT_TYPE),
    contentEncoding: read.text(PROPERTY.CONTENT_ENCODING),
    correlationId: correlationIdOf(read, bytes, table),
    replyTo: replyToKey === null ? replyTo : null,
    replyToKey,
    messageId: read.text(PROPERTY.MESSAGE_ID),
    timestampMs: seconds === null ? null : timestampOf(Number(seconds), table),
    type: read.text(PROPERTY.TYPE),
    userId: read.text(PROPERTY.USER_ID),
    appId: read.text(PROPERTY.APP_ID),
    // Publishing has refused what is no number.
    expirationMs: expiration === null ? null : Number(expiration),
    priority: read.priority < 0 ? null : read.priority,
    persistent: read.deliveryMode === 2,
    isText: takeText(table, CROSSING_HEADER.PAYLOAD_FORMAT, 'utf-8') !== null,
    headers: Array.from(table, canonicalHeader),
  }
}

/** To the millisecond where a header says it, and means the same second. */
function timestampOf(seconds: number, table: Map<string, FieldValue>): number {
  const name = CROSSING_HEADER.TIMESTAMP_MS
  const exactMs = fieldNumber(table.get(name))
  if (exactMs === null || Math.floor(exactMs / 1000) !== seconds) return seconds * 1000
  table.delete(name)
  return exactMs
}

function canonicalHeader([name, value]: readonly [string, FieldValue]): CanonicalHeader {
  return { name, value: headerValueOf(value) }
}

function correlationIdOf(
  read: ContentHeaderView,
  bytes: Buffer,
  table: Map<string, FieldValue>,
): Buffer | null {
  const start = read.textStart(PROPERTY.CORRELATION_ID)
  if (start >= 0) return Buffer.from(bytes.subarray(start, read.textEnd(PROPERTY.CORRELATION_ID)))
  const name = CROSSING_HEADER.CORRELATION_ID
  const value = headerValueOf(table.get(name) ?? null)
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) return null
  table.delete(name)
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value)
}

/** Takes a header out where it is a text, and, if one is given, that text. */
function takeText(table: Map<string, FieldValue>, name: string, wanted?: string): string | null {
  const value = table.get(name)
  if (typeof value !== 'string' || (wanted !== undefined && value !== wanted)) return null
  table.delete(name)
  return value
}

/** How a delay is asked for; the first one counts. */
const DELAY_HEADERS = [SCHEDULE_HEADER.AFTER, SCHEDULE_HEADER.AT, 'x-delay']

/** What the broker knows about a delivery and the publisher could not. */
export interface Decoration {
  readonly annotations: Annotations | null
  /** Failed attempts of a destination that counts them; 0: none. */
  readonly attempts: number
  /** Offset in a stream; -1: no stream. */
  readonly streamOffset: number
}

/** A copy of a content header's payload with the broker's headers in it, as RabbitMQ sets them. */
export function decoratedHeader(payload: Buffer, decoration: Decoration): Buffer {
  const { annotations, attempts, streamOffset } = decoration
  const setHeaders = new Map<string, FieldValue>()
  if (annotations !== null) {
    addDeaths(setHeaders, annotations)
    if (annotations.delayedMs > 0) addDelay(setHeaders, payload, annotations)
  }
  const redrives = annotations?.redrives ?? 0
  if (redrives > 0) setHeaders.set('x-redrive-count', { type: 'long', value: redrives })
  if (attempts > 0) setHeaders.set('x-delivery-count', { type: 'long', value: attempts })
  if (streamOffset >= 0) setHeaders.set('x-stream-offset', { type: 'long', value: streamOffset })
  const died = annotations !== null && annotations.deaths.length > 0
  // An expiration that did its work must not do it again in the next queue.
  return editContentHeader(payload, died ? { setHeaders, remove: ['expiration'] } : { setHeaders })
}

function addDeaths(headers: Map<string, FieldValue>, annotations: Annotations): void {
  const { deaths, firstDeath, lastDeath } = annotations
  if (deaths.length > 0) headers.set('x-death', deaths.map(deathTable))
  if (firstDeath !== null) {
    headers.set('x-first-death-exchange', firstDeath.exchange)
    headers.set('x-first-death-queue', firstDeath.queue)
    headers.set('x-first-death-reason', firstDeath.reason)
    if (firstDeath.error !== undefined) headers.set('x-first-death-error', firstDeath.error)
  }
  const attempts = deaths[0]?.attempts
  if (attempts !== undefined) {
    headers.set('x-last-death-attempts', { type: 'long', value: attempts })
  }
  if (lastDeath !== null) {
    headers.set('x-last-death-exchange', lastDeath.exchange)
    headers.set('x-last-death-queue', lastDeath.queue)
    headers.set('x-last-death-reason', lastDeath.reason)
    if (lastDeath.error !== undefined) headers.set('x-last-death-error', lastDeath.error)
  }
}

/** What was asked for, negative: it has been waited for, and is not when it is sent on. */
function addDelay(headers: Map<string, FieldValue>, payload: Buffer, found: Annotations): void {
  view.read(payload, 0, payload.length)
  for (const name of DELAY_HEADERS) {
    const asked = view.header(name)
    if (asked === undefined) continue
    const value = typeof asked === 'string' ? Number(asked) : fieldNumber(asked)
    headers.set(name, { type: 'long', value: -Math.floor(value || found.delayedMs) })
    return
  }
  headers.set('x-delay', { type: 'long', value: -Math.floor(found.delayedMs) })
}

function deathTable(death: DeathRecord): FieldTable {
  const table = new Map<string, FieldValue>()
  if (death.originalExpiration !== null) table.set('original-expiration', death.originalExpiration)
  table.set('count', { type: 'long', value: death.count })
  table.set('reason', death.reason)
  table.set('queue', death.queue)
  table.set('time', { type: 'timestamp', value: Math.floor(death.timeMs / 1000) })
  table.set('exchange', death.exchange)
  table.set('routing-keys', [...death.routingKeys])
  return table
}
