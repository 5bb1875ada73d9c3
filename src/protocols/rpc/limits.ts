import { MESSAGE_BYTES_MAX_DEFAULT } from '../../codec/rpc/index.ts'
import { DEADLINE_MS_MAX_DEFAULT } from '../../rpc/call.ts'

export interface RpcLimits {
  readonly messageBytesMax: number
  /** Calls open at once on a connection, in each direction; each may hold a window of replies. */
  readonly callsMax: number
  /** A longer deadline is cut to it. */
  readonly deadlineMsMax: number
  /** A peer that has not logged in by then is closed. */
  readonly loginTimeoutMs: number
  /** Nothing came for so long: the peer is asked whether it is there, and closed after as long. */
  readonly idleMs: number
  /** Octets that wait for a peer which does not read; beyond them it is not read either. */
  readonly outputBytesMax: number
  /** Providers on one connection. */
  readonly attachmentsMax: number
  /** Paths whose permission is remembered; the memory begins anew when it is full. */
  readonly pathsMax: number
}

export const DEFAULT_LIMITS: RpcLimits = {
  messageBytesMax: MESSAGE_BYTES_MAX_DEFAULT,
  callsMax: 8192,
  deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
  loginTimeoutMs: 10_000,
  idleMs: 30_000,
  outputBytesMax: 4 * 1024 * 1024,
  attachmentsMax: 256,
  pathsMax: 1024,
}
