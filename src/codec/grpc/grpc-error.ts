/** A peer's message that cannot be taken; `status` is the number of gRPC's code for it. */
export class GrpcFrameError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'GrpcFrameError'
    this.status = status
  }
}
