import { type FieldValue, type FilterFields, textOfBytes } from './filter-fields.ts'

type Read = (fields: FilterFields) => FieldValue

/** What messages say of themselves beside their headers, by the names below. */
const READERS = {
  message_id: (fields) => fields.properties.messageId,
  correlation_id: (fields) => textOfBytes(fields.properties.correlationId),
  creation_time: (fields) => fields.properties.timestampMs,
  content_type: (fields) => fields.properties.contentType,
  content_encoding: (fields) => fields.properties.contentEncoding,
  reply_to: (fields) => fields.properties.replyTo ?? fields.properties.replyToKey,
  user_id: (fields) => fields.properties.userId,
  app_id: (fields) => fields.properties.appId,
  type: (fields) => fields.properties.type,
  subject: (fields) => fields.routingKey,
  to: (fields) => fields.exchange,
} as const satisfies Readonly<Record<string, Read>>

const HEADER_READERS = {
  priority: (fields) => fields.priority,
  durable: (fields) => fields.persistent,
  ttl: (fields) => fields.properties.expirationMs,
} as const satisfies Readonly<Record<string, Read>>

/** Those that the specification of JMS lets a selector name (section 3.8.1.1). */
const JMS_READERS: Readonly<Record<string, Read>> = {
  JMSMessageID: READERS.message_id,
  JMSCorrelationID: READERS.correlation_id,
  JMSTimestamp: READERS.creation_time,
  JMSType: READERS.type,
  JMSPriority: HEADER_READERS.priority,
  JMSDeliveryMode: (fields) => (fields.persistent ? 'PERSISTENT' : 'NON_PERSISTENT'),
}

const SECTIONS: Readonly<Record<string, Readonly<Record<string, Read>>>> = {
  properties: READERS,
  p: READERS,
  header: HEADER_READERS,
  h: HEADER_READERS,
}

const HEADER_SECTIONS: ReadonlySet<string> = new Set(['application_properties', 'a'])

/** How to read the field of that name; null: there is none of that section. */
export function readerOf(name: string): Read | null {
  // It stood in brackets: a header, whatever it looks like.
  if (name.startsWith('[')) return headerReader(name.slice(1))
  const jms = Object.hasOwn(JMS_READERS, name) ? JMS_READERS[name] : undefined
  if (jms !== undefined) return jms
  const dot = name.indexOf('.')
  if (dot < 0) return headerReader(name)
  const section = name.slice(0, dot)
  const field = name.slice(dot + 1)
  if (HEADER_SECTIONS.has(section)) return headerReader(field)
  if (!Object.hasOwn(SECTIONS, section)) return headerReader(name)
  const readers = SECTIONS[section]!
  return Object.hasOwn(readers, field) ? readers[field]! : null
}

function headerReader(name: string): Read {
  return (fields) => fields.header(name)
}
