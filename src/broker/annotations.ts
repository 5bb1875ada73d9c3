export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit'

/** Why, where and how often a message was dead-lettered; one per queue and reason. */
export interface DeathRecord {
  readonly queue: string
  readonly reason: DeathReason
  readonly count: number
  /** How often it had failed in that queue when it died there last. Absent: never. */
  readonly attempts?: number
  /** First time, in milliseconds since the epoch. */
  readonly timeMs: number
  readonly exchange: string
  readonly routingKeys: readonly string[]
  /** The expiration the publisher set, taken away so that it does not expire again; or null. */
  readonly originalExpiration: string | null
}

export interface DeathOrigin {
  readonly queue: string
  readonly reason: DeathReason
  readonly exchange: string
  /**
   * Of the first death what a consumer first said, of the last death what one said last. Absent:
   * nobody said anything.
   */
  readonly error?: string
}

/** Neutral facts the broker adds to a message; each protocol shows them in its own way. */
export interface Annotations {
  /** Newest first. */
  readonly deaths: readonly DeathRecord[]
  readonly firstDeath: DeathOrigin | null
  readonly lastDeath: DeathOrigin | null
  /** Milliseconds the message was held back by a delayed exchange; 0: not at all. */
  readonly delayedMs: number
  /** How often it was moved out of the dead letters. Absent: never. */
  readonly redrives?: number
  /** While it is held back: the id that its publisher gave it. */
  readonly scheduleId?: string
  /** While it is held back: the topic that has it already. */
  readonly takenBy?: string
}

export const NO_ANNOTATIONS: Annotations = {
  deaths: [],
  firstDeath: null,
  lastDeath: null,
  delayedMs: 0,
}

/** Rare and small beside the message, so readable JSON rather than a layout of its own. */
export function encodeAnnotations(annotations: Partial<Annotations>): Buffer {
  return Buffer.from(JSON.stringify(annotations), 'utf8')
}

export function decodeAnnotations(bytes: Buffer): Annotations {
  return { ...NO_ANNOTATIONS, ...(JSON.parse(bytes.toString('utf8')) as Partial<Annotations>) }
}

/** Adds one death: a repeated one counts up and moves to the front. */
export function addDeath(
  before: Annotations | null,
  death: DeathRecord,
  failure: { readonly first: string; readonly last: string } | null = null,
): Annotations {
  const deaths = before?.deaths ?? []
  const same = deaths.find((d) => d.queue === death.queue && d.reason === death.reason)
  const newest =
    same === undefined ? death : { ...same, ...attemptsOf(death), count: same.count + 1 }
  const origin: DeathOrigin = {
    queue: death.queue,
    reason: death.reason,
    exchange: death.exchange,
  }
  return {
    deaths: [newest, ...deaths.filter((d) => d !== same)],
    firstDeath: before?.firstDeath ?? withError(origin, failure?.first),
    lastDeath: withError(origin, failure?.last),
    delayedMs: before?.delayedMs ?? 0,
    redrives: before?.redrives ?? 0,
  }
}

function withError(origin: DeathOrigin, error: string | undefined): DeathOrigin {
  return error === undefined ? origin : { ...origin, error }
}

function attemptsOf({ attempts }: DeathRecord): { readonly attempts?: number } {
  return attempts === undefined ? {} : { attempts }
}

/**
 * Whether dead-lettering into `queue` would go round for ever: it died there before and nobody
 * rejected it since, so no consumer will ever break the cycle.
 */
export function wouldCycle(annotations: Annotations, queue: string): boolean {
  const at = annotations.deaths.findIndex((d) => d.queue === queue)
  if (at < 0) return false
  return annotations.deaths.slice(0, at + 1).every((d) => d.reason !== 'rejected')
}
