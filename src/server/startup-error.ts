/**
 * Why a broker did not start.
 *
 * - `config`: a setting is wrong; the message names file, line and key
 * - `port`: an address could not be listened on
 * - `data`: the data directory cannot be used
 * - `locked`: another process uses the data directory
 * - `unsafe`: the default password would be reachable from other machines
 */
export type StartupErrorCode = 'config' | 'port' | 'data' | 'locked' | 'unsafe'

/** An expected refusal to start; the message says what to do and may have several lines. */
export class StartupError extends Error {
  readonly code: StartupErrorCode

  constructor(code: StartupErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StartupError'
    this.code = code
  }
}
