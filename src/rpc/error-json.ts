import { decodeBinary, encodeBinary } from '../codec/grpc/index.ts'
import type { Status, StatusDetail, StatusName } from './status.ts'

const ANY_PREFIX = 'type.googleapis.com/'
/** Details of contracts without protobuf. */
const JSON_PREFIX = 'json/'

/** How Connect writes a status that is not OK: `{"code","message","details":[{"type","value"}]}`. */
export function errorJson({ code, message, details }: Status): object {
  return {
    code: connectName(code),
    ...(message === '' ? {} : { message }),
    ...(details.length === 0 ? {} : { details: details.map(detailJson) }),
  }
}

/** The details among such an error; what is none is passed over. */
export function detailsOfJson(details: unknown): StatusDetail[] {
  if (!Array.isArray(details)) return []
  const found: StatusDetail[] = []
  for (const candidate of details as unknown[]) {
    if (typeof candidate !== 'object' || candidate === null) continue
    const { type, value, debug } = candidate as Readonly<Record<string, unknown>>
    if (typeof type !== 'string') continue
    const isJson = type.startsWith(JSON_PREFIX)
    const fullType = isJson || type.includes('/') ? type : ANY_PREFIX + type
    if (typeof value === 'string') found.push({ type: fullType, value: decodeBinary(value)[0]! })
    else if (isJson && debug !== undefined) {
      found.push({ type, value: Buffer.from(JSON.stringify(debug)) })
    }
  }
  return found
}

function connectName(code: StatusName): string {
  return code === 'CANCELLED' ? 'canceled' : code.toLowerCase()
}

/** `debug` is what people read: of details that are JSON already, that. */
function detailJson({ type, value }: StatusDetail): object {
  const name = type.startsWith(ANY_PREFIX) ? type.slice(ANY_PREFIX.length) : type
  const debug = type.startsWith(JSON_PREFIX) ? jsonOf(value) : undefined
  return { type: name, value: encodeBinary(value), ...(debug === undefined ? {} : { debug }) }
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    // A provider made it: what is no JSON is shown as octets only.
    return undefined
  }
}
