import { MESSAGE_BYTES_MAX_DEFAULT } from '../../codec/grpc/index.ts'
import { DEADLINE_MS_MAX_DEFAULT } from '../call.ts'

export interface GrpcLimits {
  /** A larger message ends its call with RESOURCE_EXHAUSTED. */
  readonly messageBytesMax: number
  /** Calls open at once on a connection; more are refused by HTTP/2 and may be tried again. */
  readonly callsMax: number
  /** A longer deadline is cut to it. */
  readonly deadlineMsMax: number
  /** Nothing came for so long: the peer is asked whether it is there, and closed after as long. */
  readonly idleMs: number
  /** Octets that wait for a peer which does not read; beyond them it is not read either. */
  readonly outputBytesMax: number
  /** Values of `authorization` a connection may use; one more is refused. */
  readonly loginsMax: number
  /** Paths whose permission is remembered; the memory begins anew when it is full. */
  readonly pathsMax: number
}

export const DEFAULT_LIMITS: GrpcLimits = {
  messageBytesMax: MESSAGE_BYTES_MAX_DEFAULT,
  callsMax: 1000,
  deadlineMsMax: DEADLINE_MS_MAX_DEFAULT,
  idleMs: 30_000,
  outputBytesMax: 4 * 1024 * 1024,
  loginsMax: 16,
  pathsMax: 1024,
}

/** A smaller reply would not get smaller by much. */
export const COMPRESSED_BYTES_MIN = 1024
