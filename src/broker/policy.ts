/**
 * Settings that names get by pattern: the same fields that `x-*` arguments, Kafka's topic
 * configuration and MQTT's properties set for one destination.
 */
import { BrokerError } from '../model/errors.ts'
import { compileNamePattern } from '../model/name-pattern.ts'
import type { CompactionPolicy } from './topics/compaction-policy.ts'
import { parseRetrySetting, retryDefinition, type RetryPolicy } from './retry-policy.ts'

/**
 * What happens to a publish into a full destination, or beyond its publish rate. `block` takes it
 * and holds the publisher back; `sample` keeps one of many, so that it is never full.
 */
export type Overflow = 'drop-head' | 'reject' | 'reject-dead-letter' | 'block' | 'sample'

/**
 * What happens to a declaration of a destination that stands there with other settings: it is
 * refused; it is let pass and named in the log; or the destination takes the new settings.
 */
export type DeclareMismatch = 'fail' | 'warn' | 'adopt'

export type DeadLetterStrategy = 'at-most-once' | 'at-least-once'

/** Settings of a destination. Whatever is absent is unlimited or off. */
export interface DestinationPolicy extends RetryPolicy {
  /** Messages older than this are expired; 0: unless delivered at once. */
  readonly messageTtlMs?: number
  /** A destination unused for so long is deleted. At least 1. */
  readonly expiresMs?: number
  readonly messagesMax?: number
  /** Bytes of bodies. */
  readonly bytesMax?: number
  /** What may be published to it in a second, all publishers together. */
  readonly publishRateMax?: number
  readonly publishBytesRateMax?: number
  /** What it gives out in a second; a topic: to each reader. */
  readonly consumeRateMax?: number
  readonly consumeBytesRateMax?: number
  /** How much of a rate may pass at once after a rest: so many milliseconds' worth. Default 100. */
  readonly rateBurstMs?: number
  /** Default `drop-head`. */
  readonly overflow?: Overflow
  readonly deadLetterExchange?: string
  /** Default: the keys the message was published with. */
  readonly deadLetterRoutingKey?: string
  readonly deadLetterStrategy?: DeadLetterStrategy
  /** How often a message may fail before it is dead-lettered; -1: without limit. */
  readonly attemptsMax?: number
  /** A message whose id came within so long is dropped. At least 1. */
  readonly deduplicationWindowMs?: number
  /** Messages of one key go out in order, never to two consumers at a time. Default false. */
  readonly keyShared?: boolean
  /** The header that holds the key; makes it key-shared. Default: what a message is routed by. */
  readonly keyHeader?: string
  /** A delivery unsettled for so long closes its channel. */
  readonly consumerTimeoutMs?: number
  /** Retention of profile topic: segments older than this go. */
  readonly ageMsMax?: number
  readonly segmentBytesMax?: number
  /** Profile topic: of each key only the last message is kept. */
  readonly compaction?: CompactionPolicy
}

export interface ExchangePolicy {
  /** Where messages go that no binding takes. */
  readonly alternateExchange?: string
}

export interface PolicySettings extends DestinationPolicy, ExchangePolicy {}

export type AppliesTo =
  | 'all'
  | 'exchanges'
  | 'destinations'
  | 'queues'
  | 'topics'
  | 'classic-queues'
  | 'quorum-queues'

export interface Policy {
  readonly name: string
  /** A regular expression that fits anywhere in a name unless anchored. */
  readonly pattern: string
  readonly appliesTo: AppliesTo
  /** The highest one that fits is used, alone. */
  readonly priority: number
  readonly settings: PolicySettings
}

export interface PolicySubject {
  readonly name: string
  readonly kind: 'exchange' | 'queue' | 'topic'
  /** Absent: counted as classic. */
  readonly queueType?: 'classic' | 'quorum'
}

export interface PolicyMatch {
  readonly policy: Policy | null
  readonly operator: Policy | null
  /** Both together: of two numbers the smaller one, otherwise the policy's. */
  readonly settings: PolicySettings
}

type LimitName =
  | 'messageTtlMs'
  | 'expiresMs'
  | 'messagesMax'
  | 'bytesMax'
  | 'attemptsMax'
  | 'consumerTimeoutMs'
  | 'deduplicationWindowMs'
  | 'ageMsMax'
  | 'segmentBytesMax'
  | 'publishRateMax'
  | 'publishBytesRateMax'
  | 'consumeRateMax'
  | 'consumeBytesRateMax'
  | 'rateBurstMs'

interface Limit {
  /** RabbitMQ's name, in policies and, after `x-`, in arguments. */
  readonly key: string
  /** In RabbitMQ's refusals: 'is not a valid ...'. */
  readonly title: string
  readonly min: number
}

const LIMITS: Readonly<Record<LimitName, Limit>> = {
  messageTtlMs: { key: 'message-ttl', title: 'message TTL', min: 0 },
  expiresMs: { key: 'expires', title: 'queue expiry', min: 1 },
  messagesMax: { key: 'max-length', title: 'maximum length', min: 0 },
  bytesMax: { key: 'max-length-bytes', title: 'maximum length in bytes', min: 0 },
  attemptsMax: { key: 'delivery-limit', title: 'delivery limit', min: -1 },
  consumerTimeoutMs: { key: 'consumer-timeout', title: 'consumer timeout', min: 0 },
  deduplicationWindowMs: { key: 'deduplication-window', title: 'deduplication window', min: 1 },
  ageMsMax: { key: 'max-age', title: 'max age', min: 1 },
  segmentBytesMax: {
    key: 'stream-max-segment-size-bytes',
    title: 'maximum segment size',
    min: 1,
  },
  publishRateMax: { key: 'publish-rate', title: 'publish rate', min: 1 },
  publishBytesRateMax: { key: 'publish-rate-bytes', title: 'publish rate in bytes', min: 1 },
  consumeRateMax: { key: 'consume-rate', title: 'consume rate', min: 1 },
  consumeBytesRateMax: { key: 'consume-rate-bytes', title: 'consume rate in bytes', min: 1 },
  rateBurstMs: { key: 'rate-burst', title: 'rate burst', min: 1 },
}

type NameSetting = 'deadLetterExchange' | 'deadLetterRoutingKey' | 'alternateExchange' | 'keyHeader'

const NAME_SETTINGS: Readonly<Record<NameSetting, string>> = {
  deadLetterExchange: 'dead-letter-exchange',
  deadLetterRoutingKey: 'dead-letter-routing-key',
  alternateExchange: 'alternate-exchange',
  keyHeader: 'key-header',
}

const OVERFLOWS: Readonly<Record<string, Overflow>> = {
  'drop-head': 'drop-head',
  'reject-publish': 'reject',
  'reject-publish-dlx': 'reject-dead-letter',
  block: 'block',
  sample: 'sample',
}

/** Known to RabbitMQ and without a meaning here: placement and layout of its own cluster. */
const IGNORED_KEYS: readonly RegExp[] = [
  /^ha-/,
  /^queue-(mode|version|master-locator|leader-locator)$/,
  /^max-in-memory-(length|bytes)$/,
  /^(initial-cluster|target-group|stream-filter)-size(-bytes)?$/,
]

const APPLIES_TO: Readonly<Record<string, AppliesTo>> = {
  all: 'all',
  exchanges: 'exchanges',
  queues: 'destinations',
  classic_queues: 'classic-queues',
  quorum_queues: 'quorum-queues',
  streams: 'topics',
}

const NO_SETTINGS: PolicySettings = {}

interface Compiled {
  readonly policy: Policy
  readonly expression: RegExp
}

/** The policies of one virtual host, those of users and those of the operator. */
export class PolicySet {
  readonly #policies = new Map<string, Compiled>()
  readonly #operatorPolicies = new Map<string, Compiled>()
  #version = 0

  /** Grows with every change. */
  get version(): number {
    return this.#version
  }

  /** Adds the policy or replaces the one of that name. Throws `PRECONDITION_FAILED`. */
  set(policy: Policy): void {
    this.#policies.set(policy.name, compiled(policy))
    this.#version += 1
  }

  remove(name: string): boolean {
    this.#version += 1
    return this.#policies.delete(name)
  }

  list(): readonly Policy[] {
    return Array.from(this.#policies.values(), ({ policy }) => policy)
  }

  /** As `set`; an operator sets numeric limits only, which no policy and no argument exceeds. */
  setOperator(policy: Policy): void {
    const entry = compiled(policy)
    for (const name of Object.keys(policy.settings)) {
      if (!isLimitName(name)) throw refused(`${name} is not recognised in an operator policy`)
    }
    this.#operatorPolicies.set(policy.name, entry)
    this.#version += 1
  }

  removeOperator(name: string): boolean {
    this.#version += 1
    return this.#operatorPolicies.delete(name)
  }

  listOperator(): readonly Policy[] {
    return Array.from(this.#operatorPolicies.values(), ({ policy }) => policy)
  }

  match(subject: PolicySubject): PolicyMatch {
    const policy = bestMatch(this.#policies, subject)
    const operator = bestMatch(this.#operatorPolicies, subject)
    const settings = effectiveSettings(
      policy?.settings ?? NO_SETTINGS,
      operator?.settings ?? NO_SETTINGS,
    )
    return { policy, operator, settings }
  }
}

/**
 * What holds for a destination with arguments and policies: of two numbers the smaller one (for
 * attempts -1 is without limit, so the largest), otherwise the argument. Operator policies hold
 * against arguments too, because they are limits and limits are numbers.
 */
export function effectiveSettings(args: PolicySettings, policy: PolicySettings): PolicySettings {
  const settings: Record<string, unknown> = { ...policy, ...args }
  for (const name of Object.keys(LIMITS) as LimitName[]) {
    const ours = args[name]
    const theirs = policy[name]
    if (ours === undefined || theirs === undefined) continue
    settings[name] = smaller(ours, theirs)
  }
  return settings
}

function smaller(a: number, b: number): number {
  if (a < 0) return b
  return b < 0 ? a : Math.min(a, b)
}

/**
 * Reads a definition with RabbitMQ's keys (`max-length`, `overflow: reject-publish` ...). Keys that
 * RabbitMQ knows and that mean nothing here are added to `ignored`. Throws `PRECONDITION_FAILED`
 * for anything else that it cannot read.
 */
export function parsePolicyDefinition(
  definition: Readonly<Record<string, unknown>>,
  ignored: string[] = [],
): PolicySettings {
  const settings: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(definition)) {
    const limit = Object.entries(LIMITS).find(([, { key: known }]) => known === key)
    const name = Object.entries(NAME_SETTINGS).find(([, known]) => known === key)
    if (limit !== undefined) {
      settings[limit[0]] = key === 'max-age' ? parseAgeMs(value) : checkedLimit(limit[1], value)
    } else if (name !== undefined) settings[name[0]] = checkedName(key, value)
    else if (key === 'overflow') settings['overflow'] = parseOverflow(value)
    else if (key === 'key-shared') settings['keyShared'] = checkedSwitch(key, value)
    else if (key === 'dead-letter-strategy') {
      settings['deadLetterStrategy'] = checkedStrategy(value)
    } else if (key.startsWith('retry-')) Object.assign(settings, retrySetting(key, value))
    else if (IGNORED_KEYS.some((known) => known.test(key))) ignored.push(key)
    else throw refused(`${key} is not recognised as a policy setting`)
  }
  return settings
}

/** The settings with RabbitMQ's keys, as `parsePolicyDefinition` reads them. */
export function policyDefinition(settings: PolicySettings): Record<string, unknown> {
  const definition: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(settings) as [string, unknown][]) {
    if (value === undefined) continue
    const retry = retryDefinition(name, value)
    if (retry !== null) definition[retry[0]] = retry[1]
    if (name === 'ageMsMax') definition['max-age'] = `${Math.ceil(Number(value) / 1000)}s`
    else if (isLimitName(name)) definition[LIMITS[name].key] = value
    else if (Object.hasOwn(NAME_SETTINGS, name))
      definition[NAME_SETTINGS[name as NameSetting]] = value
    else if (name === 'deadLetterStrategy') definition['dead-letter-strategy'] = value
    else if (name === 'keyShared') definition['key-shared'] = value
    else if (name === 'overflow') {
      definition['overflow'] = Object.keys(OVERFLOWS).find((key) => OVERFLOWS[key] === value)
    }
  }
  return definition
}

/** RabbitMQ's names for what a policy applies to. Throws `PRECONDITION_FAILED`. */
export function appliesToFromRabbit(name: string): AppliesTo {
  const found = Object.hasOwn(APPLIES_TO, name) ? APPLIES_TO[name] : undefined
  if (found !== undefined) return found
  const known = Object.keys(APPLIES_TO).join("', '")
  throw refused(`apply-to '${name}' unrecognised; should be one of: '${known}'`)
}

const SECONDS_BY_UNIT: Readonly<Record<string, number>> = {
  Y: 365 * 86_400,
  M: 30 * 86_400,
  D: 86_400,
  h: 3600,
  m: 60,
  s: 1,
}

/** Reads an age like `7D` (units Y, M, D, h, m, s) as milliseconds. */
export function parseAgeMs(value: unknown): number {
  const parts = typeof value === 'string' ? /^(\d{1,9})([YMDhms])$/.exec(value) : null
  const ageMs = Number(parts?.[1] ?? 0) * (SECONDS_BY_UNIT[parts?.[2] ?? ''] ?? 0) * 1000
  if (ageMs > 0) return ageMs
  throw refused(`${shown(value)} is not a valid max age`)
}

/** RabbitMQ's names for what happens when a destination is full. */
export function parseOverflow(value: unknown): Overflow {
  const known = typeof value === 'string' && Object.hasOwn(OVERFLOWS, value)
  if (known) return OVERFLOWS[value]!
  throw refused(`${shown(value)} is not a valid overflow value`)
}

function checkedLimit({ title, min }: Limit, value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) return value
  throw refused(`${shown(value)} is not a valid ${title}`)
}

function retrySetting(key: string, value: unknown): RetryPolicy {
  const setting = parseRetrySetting(key, value)
  if (setting === null) throw refused(`${key} is not recognised as a policy setting`)
  return setting
}

function checkedName(key: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw refused(`${shown(value)} is not a valid ${key.replaceAll('-', ' ')}`)
}

function checkedSwitch(key: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw refused(`${shown(value)} is not a valid ${key}, expected true or false`)
}

function checkedStrategy(value: unknown): DeadLetterStrategy {
  if (value === 'at-most-once' || value === 'at-least-once') return value
  throw refused(`${shown(value)} is not a valid dead letter strategy`)
}

function compiled(policy: Policy): Compiled {
  if (policy.name === '') throw refused('a policy needs a name')
  if (!Number.isSafeInteger(policy.priority)) {
    throw refused(`${shown(policy.priority)} is not a valid priority`)
  }
  const entries = Object.entries(policy.settings) as [string, unknown][]
  if (entries.length === 0) throw refused('no policy provided')
  for (const [name, value] of entries) {
    const retry = retryDefinition(name, value)
    if (retry !== null) parseRetrySetting(retry[0], retry[1])
    else if (isLimitName(name)) checkedLimit(LIMITS[name], value)
    else if (Object.hasOwn(NAME_SETTINGS, name))
      checkedName(NAME_SETTINGS[name as NameSetting], value)
    else if (name === 'deadLetterStrategy') checkedStrategy(value)
    else if (name === 'keyShared') checkedSwitch('key-shared', value)
    else if (name !== 'overflow' || !Object.values(OVERFLOWS).includes(value as Overflow)) {
      throw refused(`${name}: ${shown(value)} is not recognised as a policy setting`)
    }
  }
  return { policy, expression: compileNamePattern(policy.pattern) }
}

function bestMatch(policies: ReadonlyMap<string, Compiled>, subject: PolicySubject): Policy | null {
  let best: Policy | null = null
  for (const { policy, expression } of policies.values()) {
    if (best !== null && !isStronger(policy, best)) continue
    if (applies(policy.appliesTo, subject) && expression.test(subject.name)) best = policy
  }
  return best
}

/** Of two with one priority the first by name, so that the choice does not depend on history. */
function isStronger(policy: Policy, other: Policy): boolean {
  if (policy.priority !== other.priority) return policy.priority > other.priority
  return policy.name < other.name
}

function applies(appliesTo: AppliesTo, subject: PolicySubject): boolean {
  switch (appliesTo) {
    case 'all':
      return true
    case 'exchanges':
      return subject.kind === 'exchange'
    case 'destinations':
      return subject.kind !== 'exchange'
    case 'queues':
      return subject.kind === 'queue'
    case 'topics':
      return subject.kind === 'topic'
    case 'classic-queues':
      return subject.kind === 'queue' && subject.queueType !== 'quorum'
    case 'quorum-queues':
      return subject.kind === 'queue' && subject.queueType === 'quorum'
  }
}

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(LIMITS, name)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `<<"${value}">>` : (JSON.stringify(value) ?? 'undefined')
}

function refused(message: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', message)
}
