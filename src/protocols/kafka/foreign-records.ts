import { type Annotations, type Piece, StoredMessage } from '../../broker/index.ts'
import {
  type RecordHeaderInput,
  RecordBatchWriter,
  type RecordInput,
} from '../../codec/kafka/record-batch-writer.ts'
import { exchangeOf } from '../../model/address.ts'
import type { CanonicalProperties } from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import { crc32c } from './crc32c.ts'
import { CROSSING_HEADER, KAFKA_HEADER } from './mapping.ts'
import { readLoneRecord } from './record-header.ts'

/** Who knows the forms of other protocols: a virtual host. */
export interface Forms {
  form(id: number): NativeForm | undefined
}

const writer = new RecordBatchWriter()
const view = new StoredMessage()

/**
 * A record batch of messages that came to a topic one by one, most of them of other protocols. It
 * has their offsets, and is the same whenever it is made.
 */
export function recordsOfMessages(
  forms: Forms,
  pieces: readonly Piece[],
  range: { readonly from: number; readonly to: number },
): Buffer {
  const first = pieces[range.from]!
  writer.start({ baseOffset: first.baseOffset, baseTimestampMs: first.timestampMs })
  for (let index = range.from; index < range.to; index += 1) {
    const piece = pieces[index]!
    view.set(piece.data, piece.start, piece.timestampMs)
    writer.add(recordOf(forms, view, piece.baseOffset - first.baseOffset))
  }
  view.forget()
  return writer.finish(crc32c)
}

/** A stored message of any protocol as a record. */
export function recordOf(forms: Forms, message: StoredMessage, offsetDelta: number): RecordInput {
  const { data, headerStart, headerEnd, bodyStart, bodyEnd, timestampMs } = message
  const body = data.subarray(bodyStart, bodyEnd)
  const form = forms.form(message.form)
  try {
    if (message.form === NATIVE_FORM.KAFKA) {
      const record = readLoneRecord(data, headerStart, headerEnd)
      const headers = [...record.headers, ...deathHeaders(message.annotations)]
      const value = record.isNullValue && body.length === 0 ? null : body
      const own = record.timestampMs < 0 ? timestampMs : record.timestampMs
      return { offsetDelta, timestampMs: own, key: record.key, value, headers }
    }
    if (form !== undefined) {
      const canonical = form.canonical(data, headerStart, headerEnd)
      const maker = new HeaderMaker(canonical)
      const isTombstone = maker.isTombstone && body.length === 0
      return {
        offsetDelta,
        timestampMs: canonical.timestampMs ?? timestampMs,
        key: maker.key ?? keyOf(message),
        value: isTombstone ? null : body,
        headers: [...maker.headers, ...deathHeaders(message.annotations)],
      }
    }
  } catch {
    // One message must not keep all who read the topic from those behind it.
  }
  const headers = [{ key: 'unknown-form', value: Buffer.from(form?.name ?? 'none') }]
  return { offsetDelta, timestampMs, key: keyOf(message), value: body, headers }
}

/** The routing key, unless there was none: the default exchange has the name of the topic there. */
function keyOf({ data, addressStart, addressEnd }: StoredMessage): Buffer | null {
  const start = addressStart + 2 + (data[addressStart] ?? 0)
  if (exchangeOf(data, addressStart) === '' || start >= addressEnd) return null
  return data.subarray(start, addressEnd)
}

/** Headers of a record from the properties of another protocol. */
class HeaderMaker {
  readonly headers: RecordHeaderInput[] = []
  /** The key that another protocol only carried through. */
  key: Buffer | null = null
  isTombstone = false

  constructor(canonical: CanonicalProperties) {
    const { correlationId, expirationMs, priority } = canonical
    this.#text(CROSSING_HEADER.CONTENT_TYPE, canonical.contentType)
    this.#text(CROSSING_HEADER.CONTENT_ENCODING, canonical.contentEncoding)
    if (correlationId !== null) this.#add(CROSSING_HEADER.CORRELATION_ID, correlationId)
    this.#text(CROSSING_HEADER.REPLY_TO, canonical.replyTo)
    this.#text(CROSSING_HEADER.REPLY_TO_KEY, canonical.replyToKey)
    this.#text(CROSSING_HEADER.MESSAGE_ID, canonical.messageId)
    this.#text(CROSSING_HEADER.TYPE, canonical.type)
    this.#text(CROSSING_HEADER.USER_ID, canonical.userId)
    this.#text(CROSSING_HEADER.APP_ID, canonical.appId)
    this.#text(CROSSING_HEADER.PRIORITY, priority === null ? null : String(priority))
    this.#text(CROSSING_HEADER.EXPIRATION, expirationMs === null ? null : String(expirationMs))
    if (canonical.isText) this.#text(CROSSING_HEADER.PAYLOAD_FORMAT, 'utf-8')
    for (const { name, value } of canonical.headers) this.#header(name, value)
  }

  /** A list of plain values becomes several headers of one name. */
  #header(name: string, value: HeaderValue): void {
    if (name === KAFKA_HEADER.KEY && value instanceof Uint8Array) {
      this.key = bufferOf(value)
      return
    }
    if (name === KAFKA_HEADER.TOMBSTONE && (value === true || value === 'true')) {
      this.isTombstone = true
      return
    }
    const values: readonly HeaderValue[] = isList(value) && value.length > 0 ? value : [value]
    const plain = values.map(plainBytes)
    if (plain.includes(undefined)) this.#text(`${name};json`, JSON.stringify(jsonOf(value)))
    else for (const bytes of plain) this.#add(name, bytes!)
  }

  #text(key: string, text: string | null): void {
    if (text !== null) this.#add(key, Buffer.from(text))
  }

  #add(key: string, value: Buffer | null): void {
    this.headers.push({ key, value })
  }
}

/** As RabbitMQ names them, where its own clients find them in headers of the message. */
function deathHeaders(annotations: Annotations | null): RecordHeaderInput[] {
  if (annotations === null) return []
  const { deaths, firstDeath, lastDeath } = annotations
  const headers: RecordHeaderInput[] = []
  const add = (key: string, text: string): void => {
    headers.push({ key, value: Buffer.from(text) })
  }
  if (deaths.length > 0) add('x-death', JSON.stringify(deaths.map(deathOf)))
  for (const [which, origin] of [
    ['first', firstDeath],
    ['last', lastDeath],
  ] as const) {
    if (origin === null) continue
    add(`x-${which}-death-exchange`, origin.exchange)
    add(`x-${which}-death-queue`, origin.queue)
    add(`x-${which}-death-reason`, origin.reason)
    if (origin.error !== undefined) add(`x-${which}-death-error`, origin.error)
  }
  const attempts = deaths[0]?.attempts
  if (attempts !== undefined) add('x-last-death-attempts', String(attempts))
  return headers
}

function deathOf(death: Annotations['deaths'][number]): Record<string, unknown> {
  return {
    count: death.count,
    reason: death.reason,
    queue: death.queue,
    time: Math.floor(death.timeMs / 1000),
    exchange: death.exchange,
    'routing-keys': death.routingKeys,
  }
}

/** Undefined for what is no plain value. */
function plainBytes(value: HeaderValue): Buffer | null | undefined {
  if (value === null) return null
  if (value instanceof Uint8Array) return bufferOf(value)
  return typeof value === 'object' ? undefined : Buffer.from(String(value))
}

function jsonOf(value: HeaderValue): unknown {
  if (value instanceof Uint8Array) return bufferOf(value).toString('base64')
  if (typeof value === 'bigint') return value.toString()
  if (isList(value)) return value.map(jsonOf)
  if (!(value instanceof Map)) return value
  const entries = Array.from(value as ReadonlyMap<string, HeaderValue>)
  return Object.fromEntries(entries.map(([key, inner]) => [key, jsonOf(inner)]))
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function isList(value: HeaderValue): value is readonly HeaderValue[] {
  return Array.isArray(value)
}
