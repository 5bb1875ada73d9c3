import { errorJson } from '../error-json.ts'
import { fieldsOf } from '../grpc-fields.ts'
import { NOT_FOUND_DETAILS } from '../hop.ts'
import type { Metadata } from '../metadata.ts'
import type { Status, StatusName } from '../status.ts'

/** The status of HTTP that a unary call ends with. */
const CODES: Readonly<Record<StatusName, number>> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
}

/** A service that is nowhere is what HTTP calls not found. */
export function httpStatusOf(status: Status): number {
  if (status.details === NOT_FOUND_DETAILS) return 404
  return CODES[status.code]
}

/** The content of an answer to a unary call that failed. */
export function errorBody(status: Status): Buffer {
  return Buffer.from(JSON.stringify(errorJson(status)))
}

/** The last piece of a stream. */
export function endOfStream(status: Status, trailers: Metadata): Buffer {
  const metadata: Record<string, string[]> = {}
  const fields = fieldsOf(trailers) ?? []
  for (let index = 0; index < fields.length; index += 2) {
    const values = (metadata[fields[index]!] ??= [])
    values.push(fields[index + 1]!)
  }
  return Buffer.from(
    JSON.stringify({
      ...(status.code === 'OK' ? {} : { error: errorJson(status) }),
      ...(fields.length === 0 ? {} : { metadata }),
    }),
  )
}
