import type { BrokerErrorCode } from '../model/errors.ts'

/** Codes of the broker, and those that only a request over HTTP can earn. */
export type AdminErrorCode = BrokerErrorCode | 'INVALID' | 'UNAUTHENTICATED' | 'FAILED'

export type AdminStatus = 400 | 401 | 403 | 404 | 409 | 423 | 500 | 501 | 503

/** What each refusal is in HTTP. */
export const STATUSES: Readonly<Record<AdminErrorCode, AdminStatus>> = {
  NOT_FOUND: 404,
  ACCESS_REFUSED: 403,
  RESOURCE_LOCKED: 423,
  PRECONDITION_FAILED: 409,
  NOT_ALLOWED: 403,
  NOT_IMPLEMENTED: 501,
  LIMIT_EXCEEDED: 409,
  UNAVAILABLE: 503,
  INVALID: 400,
  UNAUTHENTICATED: 401,
  FAILED: 500,
}

/** The body of every response that is no success. */
export interface AdminErrorBody {
  readonly error: {
    readonly code: AdminErrorCode
    /** One sentence for the person who asked. */
    readonly message: string
  }
}

export function errorBody(code: AdminErrorCode, message: string): AdminErrorBody {
  return { error: { code, message } }
}
