/** What traces may take, with the reason for each. Tests make it small. */
export interface TraceLimits {
  /**
   * Messages that are remembered; beyond it the oldest is forgotten and counted. Default 20,000: at
   * 1 % of 1,000 messages a second the last half hour.
   */
  readonly tracesMax: number
  /** Steps of all of them. Default 200,000: ten for each, some 10 MB of columns. */
  readonly stepsMax: number
  /** Bytes of the texts in them; the oldest steps go beyond it. Default 32 MiB. */
  readonly textBytesMax: number
  /** Rules at a time: each is asked for every message. Default 20. */
  readonly rulesMax: number
}

export const DEFAULT_TRACE_LIMITS: TraceLimits = {
  tracesMax: 20_000,
  stepsMax: 200_000,
  textBytesMax: 32 * 1024 * 1024,
  rulesMax: 20,
}

/** A longer text is cut: ids and keys that matter are shorter, and a trace is no place for data. */
export const TRACE_TEXT_MAX = 256

/** Bindings of one exchange that are looked at to say what matched: a trace must stay cheap. */
export const BINDINGS_LOOKED_MAX = 1000
/** Matched bindings that a trace names. */
export const MATCHES_NAMED_MAX = 20
/** Bindings that nearly matched and are named. */
export const NEAR_MISSES_MAX = 5
/** Exchanges that are followed from the one published to. */
export const EXCHANGES_FOLLOWED_MAX = 16

/** Messages of one batch that are traced at most: batches hold a hundred thousand. */
export const BATCH_TRACES_MAX = 100
