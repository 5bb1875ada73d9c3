import { BrokerError } from '../../model/errors.ts'
import { REASON } from '../../codec/mqtt/index.ts'

/** What ends a connection: the client did what the standard does not allow. */
export class ProtocolFault extends Error {
  override readonly name = 'ProtocolFault'
  readonly reasonCode: number

  constructor(message: string, reasonCode: number = REASON.PROTOCOL_ERROR) {
    super(message)
    this.reasonCode = reasonCode
  }
}

/** A CONNECT that is answered with a reason and the end of the connection; the cause is for the log. */
export class ConnectRefusal extends Error {
  override readonly name = 'ConnectRefusal'
  readonly reasonCode: number

  constructor(reasonCode: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.reasonCode = reasonCode
  }
}

/** A limit of its user or its virtual host is in the way of the client. */
export function refuseConnect(error: unknown): never {
  if (!(error instanceof BrokerError)) throw error
  throw new ConnectRefusal(REASON.QUOTA_EXCEEDED, error.message, { cause: error })
}

export function isLimit(error: unknown): error is BrokerError {
  return error instanceof BrokerError && error.code === 'LIMIT_EXCEEDED'
}

export function isUnsupportedVersion(reasonCode: number): boolean {
  return reasonCode === REASON.UNSUPPORTED_PROTOCOL_VERSION
}
