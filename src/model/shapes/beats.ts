/** What the console and `waystation top` are told once a second. */

/** What the broker did in one beat, and holds at its end. Rates are per second. */
export interface Sample {
  readonly atMs: number
  readonly publishRate: number
  readonly unroutedRate: number
  readonly enqueueRate: number
  readonly deliverRate: number
  readonly settleRate: number
  readonly redeliverRate: number
  /** Calls of services that were made, and those that ended otherwise than with OK. */
  readonly callRate: number
  readonly callFailRate: number
  /** Of the calls of late 99 % took no longer; null: there were none. */
  readonly callP99Ms: number | null
  /** Messages in queues that wait, that consumers have, that are held back. */
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  /** Messages that topics keep. */
  readonly kept: number
  readonly storedBytes: number
  readonly queues: number
  readonly topics: number
  readonly consumers: number
  /** By name of the listener. */
  readonly connections: Readonly<Record<string, number>>
  /** How long what came a moment ago took to be on disk; null: it is not there yet. */
  readonly syncMs: number | null
  readonly alarm: string | null
}

/** What moves at one destination; the totals count since the broker started. */
export interface DestinationBeat {
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  readonly consumers: number
  readonly readyBytes: number
  readonly enqueued: number
  readonly delivered: number
  readonly settled: number
  readonly redelivered: number
  readonly heldBackBy: string | null
}

export interface Beat {
  readonly sample: Sample
  /** Null: none was asked for, or it is gone. */
  readonly destination: DestinationBeat | null
}
