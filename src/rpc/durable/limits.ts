const MIB = 1024 * 1024
const DAY_MS = 86_400_000

/** What a virtual host's durable calls are held to. */
export interface DurableLimits {
  /**
   * Calls that are known, those that wait and those of which the outcome is kept. With more, the
   * oldest outcomes are forgotten before their time, and counted; where all wait, one more call is
   * refused. Default 200,000, which take some 120 MB.
   */
  readonly callsMax: number
  /** Octets of all outcomes that are kept, which are in memory. Default 64 MiB. */
  readonly outcomeBytesMax: number
  /** How long an outcome is kept when its caller says nothing. Default a day. */
  readonly keepMs: number
}

export const DURABLE_LIMITS: DurableLimits = {
  callsMax: 200_000,
  outcomeBytesMax: 64 * MIB,
  keepMs: DAY_MS,
}

/** No outcome is kept for longer. */
export const KEEP_MS_MAX: number = 30 * DAY_MS

/** The largest answer that is kept; a call with a larger one ends with RESOURCE_EXHAUSTED. */
export const ANSWER_BYTES_MAX: number = MIB

/** Octets of an idempotency key: it is held in memory with its call. */
export const KEY_BYTES_MAX = 255

/** Durable calls of one service that providers have at once, whatever they grant. */
export const RUNNING_CALLS_MAX = 16_384

/** After a provider turned a call away that nobody else takes: so long no other one is tried. */
export const REST_MS = 100

/** How often a call may fail before it goes to the dead letters, where its queue says nothing. */
export const ATTEMPTS_MAX_DEFAULT = 16

/** The wait after the first failure; doubled with each, up to five minutes. */
export const RETRY_DELAY_MS = 1000
export const RETRY_DELAY_MS_MAX = 300_000
