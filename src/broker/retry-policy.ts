import { BrokerError } from '../model/errors.ts'

export type RetryBackoff = 'fixed' | 'linear' | 'exponential'

/**
 * When a failed message is given out again. It is held back in its place in the queue; all are
 * absent by default, and a message that fails is ready again at once.
 */
export interface RetryPolicy {
  /** How the delay grows with the attempts. Default `fixed`. */
  readonly retryBackoff?: RetryBackoff
  /** After the first failure, in milliseconds. Default 1,000 where another field is set. */
  readonly retryDelayMs?: number
  /** The delay grows no further, in milliseconds. Default and most: 30 days. */
  readonly retryDelayMsMax?: number
  /** How many per cent of the delay may be taken off by chance, so that not all come at once. */
  readonly retryJitter?: number
  /** Delays in milliseconds, one for each attempt; the last one repeats. Before all the others. */
  readonly retryLadderMs?: readonly number[]
}

type RetrySetting = keyof RetryPolicy

/** Names in policies and, after `x-`, in queue arguments and message headers. */
const KEYS: Readonly<Record<string, RetrySetting>> = {
  'retry-backoff': 'retryBackoff',
  'retry-delay': 'retryDelayMs',
  'retry-delay-max': 'retryDelayMsMax',
  'retry-jitter': 'retryJitter',
  'retry-ladder': 'retryLadderMs',
}

export const RETRY_KEYS: readonly string[] = Object.keys(KEYS)

const DEFAULT_DELAY_MS = 1000
const DELAY_MS_MAX = 30 * 86_400_000
/** Steps of a ladder; more are refused. Nobody counts that far, and each is looked at. */
const LADDER_STEPS_MAX = 64
const BACKOFFS: readonly unknown[] = ['fixed', 'linear', 'exponential']

/** Reads one setting by its key, or null where it is none of these. Throws `PRECONDITION_FAILED`. */
export function parseRetrySetting(key: string, value: unknown): RetryPolicy | null {
  const name = Object.hasOwn(KEYS, key) ? KEYS[key]! : null
  if (name === null) return null
  if (name === 'retryLadderMs') return { retryLadderMs: parseLadder(value) }
  if (name === 'retryBackoff') {
    if (!BACKOFFS.includes(value)) throw refused(key, value, 'fixed, linear or exponential')
    return { retryBackoff: value as RetryBackoff }
  }
  const max = name === 'retryJitter' ? 100 : DELAY_MS_MAX
  if (!isWithin(value, max)) throw refused(key, value, `a whole number from 0 to ${max}`)
  return { [name]: value }
}

/** The key of a setting and its value as `parseRetrySetting` reads it; null for other settings. */
export function retryDefinition(
  name: string,
  value: unknown,
): [key: string, value: unknown] | null {
  const found = Object.entries(KEYS).find(([, setting]) => setting === name)
  if (found === undefined) return null
  return [found[0], Array.isArray(value) ? value.join(',') : value]
}

/** Whether failed messages are held back at all. */
export function retries(policy: RetryPolicy): boolean {
  const { retryBackoff, retryDelayMs, retryLadderMs } = policy
  return retryBackoff !== undefined || retryDelayMs !== undefined || retryLadderMs !== undefined
}

/**
 * Milliseconds to wait after attempt number `attempts`, which is 1 or more, failed. `chance` is
 * from 0 up to, not including, 1.
 */
export function retryDelayMs(policy: RetryPolicy, attempts: number, chance: number): number {
  const ladder = policy.retryLadderMs
  const firstMs = policy.retryDelayMs ?? DEFAULT_DELAY_MS
  let delayMs = firstMs
  if (ladder !== undefined) delayMs = ladder[Math.min(attempts, ladder.length) - 1]!
  else if (policy.retryBackoff === 'linear') delayMs = firstMs * attempts
  else if (policy.retryBackoff === 'exponential')
    delayMs = firstMs * 2 ** Math.min(attempts - 1, 52)
  const capped = Math.min(delayMs, policy.retryDelayMsMax ?? DELAY_MS_MAX)
  return Math.round(capped * (1 - ((policy.retryJitter ?? 0) / 100) * chance))
}

/** Reads `1000,5000,60000`. */
function parseLadder(value: unknown): readonly number[] {
  const expected = `1 to ${LADDER_STEPS_MAX} delays in milliseconds, such as 1000,5000,60000`
  if (typeof value !== 'string') throw refused('retry-ladder', value, expected)
  const parts = value.split(',').map((part) => part.trim())
  const steps = parts.map(Number)
  const valid = parts.every((part) => /^\d+$/.test(part))
  if (!valid || steps.length > LADDER_STEPS_MAX || !steps.every((ms) => isWithin(ms, DELAY_MS_MAX)))
    throw refused('retry-ladder', value, expected)
  return steps
}

function isWithin(value: unknown, max: number): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
}

function refused(key: string, value: unknown, expected: string): BrokerError {
  const given = typeof value === 'string' ? `'${value}'` : String(JSON.stringify(value))
  return new BrokerError('PRECONDITION_FAILED', `${key} is ${given}, expected ${expected}`)
}
