import { isUtf8 } from 'node:buffer'
import { encodeRecordHeaders, type RecordHeader } from '../../codec/kafka/record-headers.ts'
import {
  type CanonicalHeader,
  type CanonicalProperties,
  NO_PROPERTIES,
} from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import { isRoutable, KAFKA_BATCH_FORM } from './batch-form.ts'
import { encodeLoneRecord, type LoneRecord, readLoneRecord } from './record-header.ts'

/**
 * Headers that say what Kafka has no field for, and other protocols do. They are read in both
 * directions, so that what goes through comes back; see docs/crossing.md.
 */
export const CROSSING_HEADER = {
  CONTENT_TYPE: 'content-type',
  CORRELATION_ID: 'correlation-id',
  REPLY_TO: 'reply-to',
  /** The routing key on the topic exchange that the answer is wanted with. */
  REPLY_TO_KEY: 'x-reply-to-topic',
  /** `utf-8` where the publisher says that the body is text. */
  PAYLOAD_FORMAT: 'x-payload-format',
  CONTENT_ENCODING: 'amqp-content-encoding',
  MESSAGE_ID: 'amqp-message-id',
  TYPE: 'amqp-type',
  APP_ID: 'amqp-app-id',
  PRIORITY: 'amqp-priority',
  /** Out only: who claims to be somebody in a header of Kafka has not shown that he is. */
  USER_ID: 'amqp-user-id',
  /** Out only: it does not run while the record is in a topic. */
  EXPIRATION: 'amqp-expiration',
} as const

/** Headers that other protocols see of what only Kafka has. */
export const KAFKA_HEADER = {
  /** The octets of a key that is no routing key. */
  KEY: 'x-kafka-key',
  /** `true` for a record without a value, which deletes its key. */
  TOMBSTONE: 'x-kafka-tombstone',
} as const

/** How the broker looks into Kafka's records, in batches and alone. */
export const KAFKA_FORM: NativeForm = {
  id: NATIVE_FORM.KAFKA,
  name: 'kafka',
  batch: KAFKA_BATCH_FORM,
  headers(header, start, end) {
    const { headers } = readLoneRecord(header, start, end)
    return headers.length === 0 ? null : headerMapOf(headers)
  },
  property(header, start, end, name) {
    const { headers, timestampMs } = readLoneRecord(header, start, end)
    // In seconds, as the others have it.
    if (name === 'timestamp') return timestampMs < 0 ? null : String(Math.floor(timestampMs / 1000))
    const wanted =
      name === 'message-id' ? CROSSING_HEADER.MESSAGE_ID : CROSSING_HEADER.CORRELATION_ID
    // Whoever asks compares or hashes it, so octets that are no text may look different.
    return headers.find(({ key }) => key === wanted)?.value?.toString('latin1') ?? null
  },
  extraKeys: () => null,
  expiration: () => null,
  key: (header, start, end) => readLoneRecord(header, start, end).key,
  canonical: (header, start, end) => canonicalOf(readLoneRecord(header, start, end)),
  edited(header, { set, remove }) {
    const record = readLoneRecord(header, 0, header.length)
    const kept = record.headers.filter(({ key }) => !set.has(key) && !remove.includes(key))
    const added = Array.from(set, ([key, value]) => ({ key, value: Buffer.from(value) }))
    return encodeLoneRecord({ ...record, headers: encodeRecordHeaders([...kept, ...added]) })
  },
}

/** A name that stands several times has the list of its values. */
function headerMapOf(headers: readonly RecordHeader[]): Map<string, HeaderValue> {
  const map = new Map<string, HeaderValue[]>()
  for (const { key, value } of headers) {
    const known = map.get(key)
    if (known === undefined) map.set(key, [valueOf(value)])
    else known.push(valueOf(value))
  }
  return new Map(Array.from(map, ([key, values]) => [key, values.length > 1 ? values : values[0]!]))
}

/** Text where it is text: Kafka does not say which. */
function valueOf(value: Buffer | null): HeaderValue {
  return value !== null && isUtf8(value) ? value.toString('utf8') : value
}

function canonicalOf({ headers, isNullValue, key, timestampMs }: LoneRecord): CanonicalProperties {
  const taken = new HeaderTaker(headers)
  const replyTo = taken.text(CROSSING_HEADER.REPLY_TO)
  const properties = {
    contentType: taken.text(CROSSING_HEADER.CONTENT_TYPE),
    contentEncoding: taken.text(CROSSING_HEADER.CONTENT_ENCODING),
    correlationId: taken.take(CROSSING_HEADER.CORRELATION_ID, () => true),
    replyTo,
    replyToKey: replyTo === null ? taken.text(CROSSING_HEADER.REPLY_TO_KEY) : null,
    messageId: taken.text(CROSSING_HEADER.MESSAGE_ID),
    type: taken.text(CROSSING_HEADER.TYPE),
    appId: taken.text(CROSSING_HEADER.APP_ID),
    priority: priorityOf(taken),
    isText: taken.take(CROSSING_HEADER.PAYLOAD_FORMAT, isUtf8Mark) !== null,
  }
  const others: CanonicalHeader[] = taken.rest.map(({ key: name, value }) => {
    return { name, value: valueOf(value) }
  })
  if (key !== null && !isRoutable(key)) others.push({ name: KAFKA_HEADER.KEY, value: key })
  if (isNullValue) others.push({ name: KAFKA_HEADER.TOMBSTONE, value: true })
  return {
    ...NO_PROPERTIES,
    ...properties,
    timestampMs: timestampMs < 0 ? null : timestampMs,
    persistent: true,
    headers: others,
  }
}

function priorityOf(taken: HeaderTaker): number | null {
  const isPriority = (value: Buffer): boolean => {
    const text = value.toString('latin1')
    return /^\d{1,3}$/.test(text) && Number(text) <= 255
  }
  const value = taken.take(CROSSING_HEADER.PRIORITY, isPriority)
  return value === null ? null : Number(value.toString('latin1'))
}

function isUtf8Mark(value: Buffer): boolean {
  return value.toString('latin1') === 'utf-8'
}

/** Takes headers out that are properties elsewhere; of one name the first. */
class HeaderTaker {
  readonly rest: RecordHeader[]

  constructor(headers: readonly RecordHeader[]) {
    this.rest = [...headers]
  }

  text(name: string): string | null {
    return this.take(name, isUtf8)?.toString('utf8') ?? null
  }

  /** Leaves a header that does not fit the property where it is. */
  take(name: string, fits: (value: Buffer) => boolean): Buffer | null {
    const at = this.rest.findIndex(({ key }) => key === name)
    const value = this.rest[at]?.value ?? null
    if (value === null || !fits(value)) return null
    this.rest.splice(at, 1)
    return value
  }
}
