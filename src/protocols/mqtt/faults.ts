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
