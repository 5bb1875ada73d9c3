/**
 * Every refusal the broker can give. Each protocol maps all of them to its own errors; adding a
 * code here fails the type check there until it is mapped.
 *
 * - `NOT_FOUND`: no such virtual host, exchange, destination or consumer
 * - `ACCESS_REFUSED`: permissions, reserved names, or an exclusive consumer in the way
 * - `RESOURCE_LOCKED`: the destination is exclusive to another connection
 * - `PRECONDITION_FAILED`: the thing exists but not like that, or an argument is wrong
 * - `NOT_ALLOWED`: no permission for the virtual host, or a limit of the operator
 * - `NOT_IMPLEMENTED`: this destination does not do that
 * - `LIMIT_EXCEEDED`: too large, too many, too long; the message names the limit
 * - `UNAVAILABLE`: the store failed or the broker is closing
 */
export type BrokerErrorCode =
  | 'NOT_FOUND'
  | 'ACCESS_REFUSED'
  | 'RESOURCE_LOCKED'
  | 'PRECONDITION_FAILED'
  | 'NOT_ALLOWED'
  | 'NOT_IMPLEMENTED'
  | 'LIMIT_EXCEEDED'
  | 'UNAVAILABLE'

/** An expected refusal. The message is one lower-case sentence with the value and the limit. */
export class BrokerError extends Error {
  readonly code: BrokerErrorCode

  constructor(code: BrokerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BrokerError'
    this.code = code
  }
}
