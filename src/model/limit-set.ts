import { BrokerError } from './errors.ts'

/** Limits of a user or a virtual host, by the names below; whatever is absent is unlimited. */
export type LimitSet = Readonly<Record<string, number>>

/** What may pass in a second, and how many milliseconds' worth of it at once after a rest. */
const RATE_LIMITS = [
  'publish-rate',
  'publish-rate-bytes',
  'consume-rate',
  'consume-rate-bytes',
  'rate-burst',
] as const

/** The first two are RabbitMQ's. */
export const VHOST_LIMITS: readonly string[] = [
  'max-connections',
  'max-queues',
  'max-channels',
  'max-partitions',
  'max-exchanges',
  'max-bindings',
  'max-sessions',
  'max-consumers',
  'max-message-size',
  'max-length',
  'max-length-bytes',
  ...RATE_LIMITS,
]

/** The first two are RabbitMQ's. */
export const USER_LIMITS: readonly string[] = [
  'max-connections',
  'max-channels',
  'max-sessions',
  'max-consumers',
  'max-message-size',
  'max-length',
  'max-length-bytes',
  ...RATE_LIMITS,
]

/** Negative numbers mean unlimited, as in RabbitMQ, and are left out. */
export function parseLimits(
  definition: Readonly<Record<string, unknown>>,
  known: readonly string[],
): LimitSet {
  const limits: Record<string, number> = {}
  for (const [name, value] of Object.entries(definition)) {
    if (!known.includes(name)) {
      throw refused(`unrecognised limit '${name}', expected one of '${known.join("', '")}'`)
    }
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
      throw refused(`limit '${name}' is ${JSON.stringify(value)}, expected an integer`)
    }
    if (value < 0) continue
    if (value === 0 && name.includes('rate')) {
      throw refused(`limit '${name}' is 0, expected 1 or more, or -1 for none`)
    }
    limits[name] = value
  }
  return limits
}

function refused(message: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', message)
}
