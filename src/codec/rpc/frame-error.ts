/** `MALFORMED`: octets that are no frame. `TOO_LARGE`: a length above the limit. */
export type RpcFrameCode = 'MALFORMED' | 'TOO_LARGE'

/** Bytes that break the protocol: thrown only by the codec, caught only by a connection. */
export class RpcFrameError extends Error {
  override readonly name = 'RpcFrameError'
  readonly code: RpcFrameCode

  constructor(code: RpcFrameCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
