/** A peer broke the rules of the whole connection: GOAWAY with `code`, then the end (§5.4.1). */
export class Http2Error extends Error {
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.name = 'Http2Error'
    this.code = code
  }
}
