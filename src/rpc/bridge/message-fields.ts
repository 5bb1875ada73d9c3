/**
 * How a call is said by a message, and an answer: the one table for all protocols whose messages
 * have headers, a reply address and a correlation id. docs/message-calls.md shows it.
 */
import type { StoredMessage, VirtualHost } from '../../broker/index.ts'
import type { CanonicalHeader, CanonicalProperties } from '../../model/canonical-properties.ts'
import { routingKeyOf } from '../../model/address.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { detailsOfJson, errorJson } from '../error-json.ts'
import { fieldsOf, metadataOf } from '../grpc-fields.ts'
import { HEADER_TEXT_MAX } from '../limits.ts'
import type { Metadata } from '../metadata.ts'
import { type Status, STATUS_CODES, type StatusName, statusNameOf, statusOf } from '../status.ts'

/** Headers of an answer. */
const STATUS_HEADER = 'grpc-status'
const TEXT_HEADER = 'grpc-message'

/** A message as a call needs it; the body is borrowed. */
export interface ReadMessage {
  readonly key: string
  readonly properties: CanonicalProperties
  readonly body: Buffer
}

/** Null: nobody here can read what it says of itself. */
export function readMessage(vhost: VirtualHost, message: StoredMessage): ReadMessage | null {
  const { data, headerStart, headerEnd } = message
  const key = routingKeyOf(data, message.addressStart, message.addressEnd)
  const body = data.subarray(message.bodyStart, message.bodyEnd)
  try {
    const properties = vhost.form(message.form)?.canonical(data, headerStart, headerEnd)
    return properties === undefined ? null : { key, properties, body }
  } catch {
    // The bytes are somebody else's; whoever hands them over must not fail by them.
    return null
  }
}

/** `package.Service.Method`, as a message is addressed to it: the path of the method, or null. */
export function pathOfKey(key: string): string | null {
  const at = key.lastIndexOf('.')
  const isPath = at > 0 && at < key.length - 1 && !key.includes('/')
  return isPath ? `/${key.slice(0, at)}/${key.slice(at + 1)}` : null
}

/** The reverse; the path is one of a method. */
export function keyOfPath(path: string): string {
  return path.slice(1).replace('/', '.')
}

/** What says nothing of how the body is written. */
const UNSAID: ReadonlySet<string> = new Set(['', 'application/octet-stream', 'text/plain'])
const PROTOBUF = /^(?:x-|vnd\.google\.)?proto(?:buf)?$/

/** `json` or `proto`, or what else stands behind `application/`; unless it is said: JSON. */
export function callTypeOf(contentType: string | null): string {
  const [mime = ''] = (contentType ?? '').split(';')
  const name = mime.trim().toLowerCase()
  if (UNSAID.has(name)) return 'json'
  const type = name.replace(/^application\//, '')
  return PROTOBUF.test(type) ? 'proto' : type
}

export function contentTypeOf(callType: string): string {
  return `application/${callType}`
}

/** Headers that gRPC can carry: text, and octets as base64 where a name ends in `-bin`. */
export function metadataOfHeaders(headers: readonly CanonicalHeader[]): Metadata {
  const fields: string[] = []
  for (const { name, value } of headers) {
    const values: readonly HeaderValue[] = Array.isArray(value) ? value : [value as HeaderValue]
    for (const one of values) {
      const text = textOf(one)
      if (text !== null) fields.push(name.toLowerCase(), text)
    }
  }
  return metadataOf(fields)
}

export function headersOfMetadata(metadata: Metadata): CanonicalHeader[] {
  const fields = fieldsOf(metadata) ?? []
  const headers: CanonicalHeader[] = []
  for (let at = 0; at < fields.length; at += 2) {
    headers.push({ name: fields[at]!, value: fields[at + 1]! })
  }
  return headers
}

/** The headers that say how a call ended. */
export function statusHeaders({ code, message }: Status): CanonicalHeader[] {
  const headers = [{ name: STATUS_HEADER, value: String(STATUS_CODES[code]) }]
  if (message !== '') headers.push({ name: TEXT_HEADER, value: message.slice(0, HEADER_TEXT_MAX) })
  return headers
}

/** The body of an answer that is an error: JSON, whatever the call was written in. */
export function errorBody(status: Status): Buffer {
  return Buffer.from(JSON.stringify(errorJson(status)))
}

/** The status of an answer; one that says nothing of it is OK. */
export function statusOfAnswer({ properties: { headers }, body }: ReadMessage): Status {
  const said = headerOf(headers, STATUS_HEADER)
  const code = said === null ? 'OK' : statusNameIn(said)
  if (code === 'OK') return statusOf('OK')
  const error = jsonObjectOf(body)
  const text = headerOf(headers, TEXT_HEADER) ?? error['message']
  return statusOf(code, typeof text === 'string' ? text : '', detailsOfJson(error['details']))
}

/** A number, or a name of a code. */
function statusNameIn(said: string): StatusName {
  if (/^\d{1,3}$/.test(said)) return statusNameOf(Number(said))
  const name = said.toUpperCase()
  return Object.hasOwn(STATUS_CODES, name) ? (name as StatusName) : 'UNKNOWN'
}

function headerOf(headers: readonly CanonicalHeader[], name: string): string | null {
  const found = headers.find((header) => header.name.toLowerCase() === name)
  return found === undefined ? null : textOf(found.value)
}

function textOf(value: HeaderValue): string | null {
  if (typeof value === 'string') return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  const isPlain = ['number', 'bigint', 'boolean'].includes(typeof value)
  return isPlain ? String(value as number | bigint | boolean) : null
}

function jsonObjectOf(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    // A worker may say with headers alone how a call ended.
    return {}
  }
}
