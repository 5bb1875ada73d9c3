import { encodeBinary } from '../../codec/grpc/index.ts'
import { fieldsOf } from '../grpc-fields.ts'
import { hopOf } from '../hop.ts'
import type { Metadata } from '../metadata.ts'
import type { Status, StatusName } from '../status.ts'

/** Connect's names of the codes, and the status of HTTP that a unary call ends with. */
const CODES: Readonly<Record<StatusName, readonly [string, number]>> = {
  OK: ['ok', 200],
  CANCELLED: ['canceled', 499],
  UNKNOWN: ['unknown', 500],
  INVALID_ARGUMENT: ['invalid_argument', 400],
  DEADLINE_EXCEEDED: ['deadline_exceeded', 504],
  NOT_FOUND: ['not_found', 404],
  ALREADY_EXISTS: ['already_exists', 409],
  PERMISSION_DENIED: ['permission_denied', 403],
  RESOURCE_EXHAUSTED: ['resource_exhausted', 429],
  FAILED_PRECONDITION: ['failed_precondition', 400],
  ABORTED: ['aborted', 409],
  OUT_OF_RANGE: ['out_of_range', 400],
  UNIMPLEMENTED: ['unimplemented', 501],
  INTERNAL: ['internal', 500],
  UNAVAILABLE: ['unavailable', 503],
  DATA_LOSS: ['data_loss', 500],
  UNAUTHENTICATED: ['unauthenticated', 401],
}

const ANY_PREFIX = 'type.googleapis.com/'

/** A service that is nowhere is what HTTP calls not found. */
export function httpStatusOf(status: Status): number {
  if (status.code === 'UNIMPLEMENTED' && hopOf(status)?.stage === 'unrouted') return 404
  return CODES[status.code][1]
}

/** The content of an answer to a unary call that failed. */
export function errorBody(status: Status): Buffer {
  return Buffer.from(JSON.stringify(errorOf(status)))
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
      ...(status.code === 'OK' ? {} : { error: errorOf(status) }),
      ...(fields.length === 0 ? {} : { metadata }),
    }),
  )
}

function errorOf({ code, message, details }: Status): object {
  return {
    code: CODES[code][0],
    ...(message === '' ? {} : { message }),
    ...(details.length === 0
      ? {}
      : {
          details: details.map(({ type, value }) => ({
            type: type.startsWith(ANY_PREFIX) ? type.slice(ANY_PREFIX.length) : type,
            value: encodeBinary(value),
          })),
        }),
  }
}
