import { BrokerError } from '../../model/errors.ts'

export type RefusalStatus = 400 | 401 | 404 | 405 | 413 | 500 | 503

/** What RabbitMQ's management API answers instead of success. */
export class Refusal extends Error {
  readonly status: RefusalStatus
  readonly error: string

  constructor(status: RefusalStatus, error: string, reason: string) {
    super(reason)
    this.name = 'Refusal'
    this.status = status
    this.error = error
  }
}

export function notFound(): Refusal {
  return new Refusal(404, 'Object Not Found', 'Not Found')
}

export function badRequest(reason: string): Refusal {
  return new Refusal(400, 'bad_request', reason)
}

export function notAuthorised(reason: string): Refusal {
  return new Refusal(401, 'not_authorised', reason)
}

/** Null: a fault of ours. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof Refusal) return error
  if (!(error instanceof BrokerError)) return null
  switch (error.code) {
    case 'NOT_FOUND':
      return new Refusal(404, 'not_found', error.message)
    case 'ACCESS_REFUSED':
      return notAuthorised('Access refused.')
    case 'UNAVAILABLE':
      return new Refusal(503, 'service_unavailable', error.message)
    case 'RESOURCE_LOCKED':
    case 'PRECONDITION_FAILED':
    case 'NOT_ALLOWED':
    case 'NOT_IMPLEMENTED':
    case 'LIMIT_EXCEEDED':
      return badRequest(error.message)
  }
}
