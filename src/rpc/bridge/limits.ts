/** What calls that are messages are held to, beside the limits of `../limits.ts`. */
export interface BridgeLimits {
  /** A larger request or answer ends the call. */
  readonly messageBytesMax: number
  /** A longer deadline is cut to it. */
  readonly deadlineMsMax: number
  /** Calls of a virtual host that messages made, at once. */
  readonly messageCallsMax: number
  /** Calls of one queue, at once. */
  readonly queueCallsMax: number
}
