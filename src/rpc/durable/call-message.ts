import type { StoredMessage, VirtualHost } from '../../broker/index.ts'
import { encodeAddress } from '../../model/address.ts'
import { type CanonicalHeader, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { BrokerError } from '../../model/errors.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM } from '../../model/native-form.ts'
import { faultOf, Metadata, type MetadataValue } from '../metadata.ts'
import { DURABLE, isControl } from './durable-metadata.ts'
import { KEEP_MS_MAX } from './limits.ts'

/** Header of the message of a call: its path, or the name of the method alone. */
const METHOD_HEADER = 'waystation-method'

const CONTENT_TYPES: ReadonlyMap<string, string> = new Map([
  ['json', 'application/json'],
  ['proto', 'application/protobuf'],
])
const SHORT_TYPES: ReadonlyMap<string, string> = new Map(
  Array.from(CONTENT_TYPES, ([short, long]) => [long, short]),
)

/** A call as its message has it. */
export interface MessageOfCall {
  readonly id: string
  readonly path: string
  readonly contentType: string
  readonly metadata: Metadata
  /** Null: as the broker has it. */
  readonly keepMs: number | null
  readonly attemptTimeoutMs: number | null
}

/**
 * The message that a call is while it waits, for the queue of its service: with headers that any
 * client reads. Throws `BrokerError` where they are too long.
 */
export function draftOfCall(
  vhost: VirtualHost,
  queueName: string,
  call: MessageOfCall,
  body: Buffer,
): MessageDraft {
  const headers: CanonicalHeader[] = [{ name: METHOD_HEADER, value: call.path }]
  for (const [name, value] of call.metadata) headers.push({ name, value })
  const { keepMs, attemptTimeoutMs } = call
  if (keepMs !== null) headers.push({ name: DURABLE.KEEP_MS, value: String(keepMs) })
  if (attemptTimeoutMs !== null) {
    headers.push({ name: DURABLE.ATTEMPT_TIMEOUT_MS, value: String(attemptTimeoutMs) })
  }
  const properties = {
    ...NO_PROPERTIES,
    contentType: CONTENT_TYPES.get(call.contentType) ?? call.contentType,
    messageId: call.id,
    timestampMs: vhost.now(),
    persistent: true,
    headers,
  }
  const header = vhost.form(NATIVE_FORM.AMQP091)?.encoded?.(properties, body.length)
  if (header === undefined) throw new BrokerError('UNAVAILABLE', 'no protocol has headers here')
  const draft = new MessageDraft()
  const address = encodeAddress('', queueName)
  draft.form = NATIVE_FORM.AMQP091
  draft.persistent = true
  draft.setAddress(address, 0, address.length)
  draft.setHeader(header, 0, header.length)
  draft.setBody(body, 0, body.length)
  return draft
}

/** Null: it is no call of that service. Whoever put it there may have used any protocol. */
export function callOfMessage(
  vhost: VirtualHost,
  service: string,
  message: StoredMessage,
  offset: number,
): MessageOfCall | null {
  const form = vhost.form(message.form)
  if (form === undefined) return null
  const { headers, contentType, messageId } = form.canonical(
    message.data,
    message.headerStart,
    message.headerEnd,
  )
  let path: string | null = null
  let keepMs: number | null = null
  let attemptTimeoutMs: number | null = null
  const flat: MetadataValue[] = []
  for (const { name, value } of headers) {
    if (name === METHOD_HEADER) path = pathOf(service, value)
    else if (name === DURABLE.KEEP_MS) keepMs = numberOf(value)
    else if (name === DURABLE.ATTEMPT_TIMEOUT_MS) attemptTimeoutMs = numberOf(value)
    else addMetadata(flat, name, value)
  }
  if (path === null) return null
  return {
    id: messageId ?? `@${offset}`,
    path,
    contentType: SHORT_TYPES.get(contentType ?? 'application/json') ?? contentType!,
    metadata: Metadata.fromFlat(flat),
    keepMs: keepMs === null ? null : Math.min(keepMs, KEEP_MS_MAX),
    attemptTimeoutMs,
  }
}

function pathOf(service: string, value: HeaderValue): string | null {
  const text = textOf(value)
  if (text === null || text === '') return null
  if (!text.startsWith('/')) return `/${service}/${text}`
  return text.startsWith(`/${service}/`) ? text : null
}

/**
 * What no metadata could carry, such as tables of a client's own, is left out, and what only a caller
 * of ours may say to the broker.
 */
function addMetadata(flat: MetadataValue[], name: string, value: HeaderValue): void {
  if (Array.isArray(value)) {
    for (const one of value as readonly HeaderValue[]) addMetadata(flat, name, one)
    return
  }
  const lower = name.toLowerCase()
  const given = lower.endsWith('-bin') && value instanceof Uint8Array ? value : textOf(value)
  if (given === null || isControl(lower) || faultOf(lower, given) !== null) return
  flat.push(lower, given)
}

function numberOf(value: HeaderValue): number | null {
  const number = Number(textOf(value) ?? NaN)
  return Number.isSafeInteger(number) && number >= 0 ? number : null
}

function textOf(value: HeaderValue): string | null {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  if (value === null || typeof value === 'object') return null
  return String(value)
}
