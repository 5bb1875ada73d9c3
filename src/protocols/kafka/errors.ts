import { ERROR } from '../../codec/kafka/index.ts'
import { BrokerError, type BrokerErrorCode } from '../../model/errors.ts'

/** A request that Kafka answers by closing the connection. */
export class ProtocolFault extends Error {
  override readonly name = 'ProtocolFault'
}

/** What the broker's refusals are called here, where a handler has no better name for them. */
const ERROR_CODES: Readonly<Record<BrokerErrorCode, number>> = {
  NOT_FOUND: ERROR.UNKNOWN_TOPIC_OR_PARTITION,
  ACCESS_REFUSED: ERROR.TOPIC_AUTHORIZATION_FAILED,
  RESOURCE_LOCKED: ERROR.TOPIC_AUTHORIZATION_FAILED,
  PRECONDITION_FAILED: ERROR.INVALID_REQUEST,
  NOT_ALLOWED: ERROR.CLUSTER_AUTHORIZATION_FAILED,
  NOT_IMPLEMENTED: ERROR.INVALID_REQUEST,
  LIMIT_EXCEEDED: ERROR.POLICY_VIOLATION,
  UNAVAILABLE: ERROR.KAFKA_STORAGE_ERROR,
}

export interface Refusal {
  readonly errorCode: number
  readonly errorMessage: string
}

/** What a handler throws to refuse a part of its request, with the error and the words for it. */
export class Refused extends Error {
  readonly refusal: Refusal

  constructor(errorCode: number, errorMessage: string) {
    super(errorMessage)
    this.name = 'Refused'
    this.refusal = { errorCode, errorMessage }
  }
}

/** An answer for an error that a handler met; what it does not know is the server's own fault. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal
  if (error instanceof BrokerError) {
    return { errorCode: ERROR_CODES[error.code], errorMessage: error.message }
  }
  return { errorCode: ERROR.UNKNOWN_SERVER_ERROR, errorMessage: 'an internal error; see the log' }
}
