export type ListenErrorCode = 'PORT_TAKEN' | 'NOT_PERMITTED' | 'BAD_ADDRESS' | 'BAD_TLS' | 'FAILED'

/** A port could not be opened. The message is one sentence fit to be shown; `cause` has the rest. */
export class ListenError extends Error {
  readonly code: ListenErrorCode

  constructor(code: ListenErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ListenError'
    this.code = code
  }
}

export function listenErrorOf(cause: Error, host: string, port: number): ListenError {
  const where = `${host}:${port}`
  const options = { cause }
  switch ((cause as NodeJS.ErrnoException).code ?? 'none') {
    case 'EADDRINUSE':
      return new ListenError('PORT_TAKEN', `${where} is taken by another program`, options)
    case 'EACCES':
      return new ListenError('NOT_PERMITTED', `no permission to listen on ${where}`, options)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
    case 'EINVAL':
      return new ListenError('BAD_ADDRESS', `${host} is not an address of this machine`, options)
    default:
      return new ListenError('FAILED', `cannot listen on ${where}: ${cause.message}`, options)
  }
}
