/** How a call ends: the status codes of gRPC, with details that have types. */

/** Codes by their standard names, as every wire that carries them counts them. */
export const STATUS_CODES: Readonly<Record<StatusName, number>> = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
}

export type StatusName =
  | 'OK'
  | 'CANCELLED'
  | 'UNKNOWN'
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'UNAUTHENTICATED'

const NAMES: readonly StatusName[] = Object.keys(STATUS_CODES) as StatusName[]

/** The name of a code of the wire; a number that is none reads as `UNKNOWN`, as gRPC has it. */
export function statusNameOf(code: number): StatusName {
  return NAMES[code] ?? 'UNKNOWN'
}

/**
 * One typed detail, opaque to whoever passes it on: a `google.protobuf.Any`. Where `type` begins
 * with `json/`, the value is JSON in UTF-8: an error that a contract without protobuf declares.
 */
export interface StatusDetail {
  /** Such as `type.googleapis.com/google.rpc.RetryInfo`. */
  readonly type: string
  readonly value: Uint8Array
}

/** The end of a call as the layers hand it on. */
export interface Status {
  readonly code: StatusName
  /** For people; empty when all is well. */
  readonly message: string
  readonly details: readonly StatusDetail[]
}

const NO_DETAILS: readonly StatusDetail[] = []

export const OK_STATUS: Status = { code: 'OK', message: '', details: NO_DETAILS }

export function statusOf(
  code: StatusName,
  message = '',
  details: readonly StatusDetail[] = NO_DETAILS,
): Status {
  return { code, message, details }
}

/** A call that did not end with OK, on either side: handlers throw it, callers catch it. */
export class RpcError extends Error {
  readonly code: Exclude<StatusName, 'OK'>
  readonly details: readonly StatusDetail[]

  constructor(
    code: Exclude<StatusName, 'OK'>,
    message: string,
    options: ErrorOptions & { readonly details?: readonly StatusDetail[] } = {},
  ) {
    super(message, options)
    this.name = 'RpcError'
    this.code = code
    this.details = options.details ?? NO_DETAILS
  }

  get status(): Status {
    return { code: this.code, message: this.message, details: this.details }
  }
}
