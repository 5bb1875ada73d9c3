import {
  decodeBinary,
  decodeDetails,
  decodeMessage,
  encodeBinary,
  encodeMessage,
  encodeStatus,
  STATUS_DETAILS_BYTES_MAX,
  STATUS_MESSAGE_BYTES_MAX,
} from '../codec/grpc/index.ts'
import { faultOf, Metadata, type MetadataValue } from './metadata.ts'
import { type Status, STATUS_CODES, statusNameOf, statusOf } from './status.ts'

/** Fields that are the wire's own; `grpc-`, `connect-` and pseudo fields are besides. */
const WIRE_FIELDS: ReadonlySet<string> = new Set([
  'content-type',
  'content-length',
  'te',
  'host',
  'accept-encoding',
  'content-encoding',
  'connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'expect',
])

/** Fields that an HTTP client adds, and that a gRPC client of the other side would not know. */
function isOurs(name: string): boolean {
  const isWire = name.startsWith('grpc-') || name.startsWith('connect-') || name.startsWith(':')
  return isWire || WIRE_FIELDS.has(name)
}

/**
 * The metadata of a call among the fields of a header list. What gRPC does not allow in metadata,
 * such as a value that is not printable ASCII, is left out, as gRPC says.
 */
export function metadataOf(fields: readonly string[], leftOut: string | null = null): Metadata {
  const entries: (readonly [string, MetadataValue])[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    const value = fields[index + 1]!
    if (isOurs(name) || name === leftOut) continue
    if (name.endsWith('-bin')) {
      for (const bytes of decodeBinary(value)) {
        if (faultOf(name, bytes) === null) entries.push([name, bytes])
      }
    } else if (faultOf(name, value) === null) entries.push([name, value])
  }
  return entries.length === 0 ? Metadata.EMPTY : Metadata.from(entries)
}

/** Metadata as fields; null when there is none. */
export function fieldsOf(metadata: Metadata): string[] | null {
  if (metadata.size === 0) return null
  const fields: string[] = []
  for (const [name, value] of metadata) {
    if (isOurs(name)) continue
    fields.push(name, typeof value === 'string' ? value.trim() : encodeBinary(value))
  }
  return fields
}

/** The fields that say how a call ended, and its trailing metadata; null: just OK. */
export function statusFields(status: Status, trailers: Metadata): string[] | null {
  if (status.code === 'OK' && status.message === '') return fieldsOf(trailers)
  const fields: string[] = []
  const code = STATUS_CODES[status.code]
  if (status.message !== '') {
    fields.push('grpc-message', encodeMessage(status.message, STATUS_MESSAGE_BYTES_MAX))
  }
  if (status.details.length > 0) {
    const text = encodeBinary(encodeStatus(code, status.message, status.details))
    if (text.length <= STATUS_DETAILS_BYTES_MAX) fields.push('grpc-status-details-bin', text)
  }
  fields.push(...(fieldsOf(trailers) ?? []))
  return fields.length === 0 ? null : fields
}

/** The status among fields, or null when there is none. */
export function statusAmong(fields: readonly string[]): Status | null {
  let code: number | null = null
  let message = ''
  let details: Status['details'] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index]!
    const value = fields[index + 1]!
    if (name === 'grpc-status') code = /^\d{1,3}$/.test(value) ? Number(value) : 2
    else if (name === 'grpc-message') message = decodeMessage(value)
    else if (name === 'grpc-status-details-bin') details = decodeDetails(decodeBinary(value)[0]!)
  }
  return code === null ? null : statusOf(statusNameOf(code), message, details)
}
