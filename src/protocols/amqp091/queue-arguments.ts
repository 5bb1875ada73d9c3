import {
  type DestinationSpec,
  type KeySharing,
  keySharingOf,
  parseRetrySetting,
  RETRY_KEYS,
} from '../../broker/index.ts'
import { BrokerError } from '../../model/errors.ts'
import {
  fieldInteger,
  type FieldTable,
  fieldTypeName,
  type FieldValue,
} from '../../codec/amqp091/index.ts'
import { preconditionFailed } from './errors.ts'
import { headerMapOf } from './mapping.ts'

export type QueueType = 'classic' | 'quorum' | 'stream'

/** What a queue.declare asks for, before its arguments are looked at. */
export interface QueueRequest {
  readonly name: string
  readonly vhost: string
  readonly durable: boolean
  readonly autoDelete: boolean
  /** The connection, where the queue is exclusive. */
  readonly exclusiveOwner: object | null
  readonly arguments: FieldTable
}

/** RabbitMQ 4's default for quorum queues; -1 as an argument means no limit. */
const DELIVERY_LIMIT_DEFAULT = 20

type Settings = {
  -readonly [Key in keyof DestinationSpec['settings']]: DestinationSpec['settings'][Key]
}

/** What the checks read and fill in. */
interface Draft {
  readonly settings: Settings
  prioritiesMax: number
  singleActive: boolean
}

/** Thrown by a check and turned into a 406 that names argument and queue. */
class BadArgument extends Error {}

type Check = (value: FieldValue, draft: Draft, args: FieldTable) => void

interface ArgumentRule {
  readonly types: readonly QueueType[]
  readonly check: Check
}

const ALL: readonly QueueType[] = ['classic', 'quorum', 'stream']
const QUEUES: readonly QueueType[] = ['classic', 'quorum']
const CLASSIC: readonly QueueType[] = ['classic']
const QUORUM: readonly QueueType[] = ['quorum']
const STREAM: readonly QueueType[] = ['stream']

/** Every argument RabbitMQ 4.0 knows, and our own, with the queue types that take it. */
const RULES: ReadonlyMap<string, ArgumentRule> = new Map<string, ArgumentRule>([
  ['x-queue-type', { types: ALL, check: (value) => text(value) }],
  ['x-message-ttl', number(QUEUES, (value, { settings }) => (settings.messageTtlMs = value))],
  ['x-expires', number(QUEUES, (value, { settings }) => (settings.expiresMs = value), 1)],
  ['x-max-length', number(QUEUES, (value, { settings }) => (settings.messagesMax = value))],
  ['x-max-length-bytes', number(ALL, (value, { settings }) => (settings.bytesMax = value))],
  ['x-max-priority', { types: CLASSIC, check: checkMaxPriority }],
  ['x-overflow', { types: QUEUES, check: checkOverflow }],
  ['x-dead-letter-exchange', { types: QUEUES, check: checkDeadLetterExchange }],
  ['x-dead-letter-routing-key', { types: QUEUES, check: checkDeadLetterRoutingKey }],
  ['x-dead-letter-strategy', { types: QUORUM, check: checkDeadLetterStrategy }],
  ['x-delivery-limit', { types: QUORUM, check: checkDeliveryLimit }],
  ['x-single-active-consumer', { types: QUEUES, check: checkSingleActive }],
  [
    'x-consumer-timeout',
    number(ALL, (value, { settings }) => (settings.consumerTimeoutMs = value)),
  ],
  ['x-queue-mode', { types: CLASSIC, check: checkQueueMode }],
  ['x-queue-version', { types: CLASSIC, check: checkQueueVersion }],
  ['x-queue-master-locator', { types: CLASSIC, check: nothing }],
  ['x-queue-leader-locator', { types: ALL, check: checkLeaderLocator }],
  ['x-quorum-initial-group-size', number(QUORUM, nothing)],
  ['x-initial-cluster-size', number(STREAM, nothing)],
  ['x-max-in-memory-length', number(QUORUM, nothing)],
  ['x-max-in-memory-bytes', number(QUORUM, nothing)],
  ['x-max-age', { types: STREAM, check: checkMaxAge }],
  ['x-stream-max-segment-size-bytes', number(STREAM, setSegmentBytes)],
  ['x-stream-filter-size-bytes', { types: ALL, check: checkFilterSize }],
  ['x-key-shared', { types: QUEUES, check: checkKeyShared }],
  ['x-key-header', { types: QUEUES, check: checkKeyHeader }],
  [
    'x-deduplication-window',
    number(QUEUES, (value, { settings }) => (settings.deduplicationWindowMs = value), 1),
  ],
  ['x-retry-limit', { types: QUEUES, check: checkDeliveryLimit }],
  ['x-publish-rate', number(ALL, (value, { settings }) => (settings.publishRateMax = value), 1)],
  [
    'x-publish-rate-bytes',
    number(ALL, (value, { settings }) => (settings.publishBytesRateMax = value), 1),
  ],
  ['x-consume-rate', number(ALL, (value, { settings }) => (settings.consumeRateMax = value), 1)],
  [
    'x-consume-rate-bytes',
    number(ALL, (value, { settings }) => (settings.consumeBytesRateMax = value), 1),
  ],
  ['x-rate-burst', number(ALL, (value, { settings }) => (settings.rateBurstMs = value), 1)],
  ...RETRY_KEYS.map((key): [string, ArgumentRule] => [`x-${key}`, retryRule(key)]),
])

/** The arguments that two declarations of a queue must agree on. */
export const COMPARED_ARGUMENTS: ReadonlySet<string> = new Set(
  [...RULES.keys()].filter((key) => key !== 'x-consumer-timeout'),
)

/** Of those, what a queue cannot change while it lives. */
export const FIXED_ARGUMENTS: ReadonlySet<string> = new Set([
  'x-queue-type',
  'x-max-priority',
  'x-single-active-consumer',
])

const TYPE_NAMES: Readonly<Record<QueueType, string>> = {
  classic: 'rabbit_classic_queue',
  quorum: 'rabbit_quorum_queue',
  stream: 'rabbit_stream_queue',
}

/**
 * The arguments with the queue type of the virtual host where they name none, as RabbitMQ has it: not
 * where that type cannot be what is asked for. null: the virtual host says nothing.
 */
export function withDefaultType(
  asked: {
    readonly arguments: FieldTable
    readonly durable: boolean
    readonly autoDelete: boolean
    readonly exclusive?: boolean
  },
  type: string | null,
): FieldTable {
  const { arguments: args, durable, autoDelete, exclusive = false } = asked
  if (type === null || args.has('x-queue-type')) return args
  const isKept = durable && !exclusive && !autoDelete
  return type === 'classic' || isKept ? new Map(args).set('x-queue-type', type) : args
}

/** The destination a declaration asks for; throws 406 with RabbitMQ's texts. */
export function destinationSpecOf(request: QueueRequest): DestinationSpec {
  const args = request.arguments
  const type = queueTypeOf(request)
  if (type !== 'classic') checkProperties(request)
  const draft: Draft = {
    settings: type === 'quorum' ? { attemptsMax: DELIVERY_LIMIT_DEFAULT } : {},
    prioritiesMax: 0,
    singleActive: false,
  }
  const place = `for queue '${request.name}' in vhost '${request.vhost}'`
  for (const key of args.keys()) {
    if (RULES.get(key)?.types.includes(type) === false) {
      throw preconditionFailed(`invalid arg '${key}' ${place} of queue type ${TYPE_NAMES[type]}`)
    }
  }
  for (const [key, value] of args) applyRule(key, value, { draft, args, request, place })
  return {
    name: request.name,
    profile: type === 'stream' ? 'topic' : 'queue',
    // What dies with its connection never outlives the broker either.
    durable: request.durable && request.exclusiveOwner === null,
    autoDelete: request.autoDelete,
    exclusiveOwner: request.exclusiveOwner,
    arguments: headerMapOf(args),
    settings: draft.settings,
    countsAttempts: type === 'quorum',
    prioritiesMax: type === 'quorum' ? 1 : draft.prioritiesMax,
    fairPriorities: type === 'quorum',
    singleActive: draft.singleActive,
  }
}

/** The `x-` arguments that nobody here knows: to be told to the operator. */
export function unknownArguments(args: FieldTable): string[] {
  return [...args.keys()].filter((key) => key.startsWith('x-') && !RULES.has(key))
}

export function takesArgument(type: QueueType, key: string): boolean {
  return RULES.get(key)?.types.includes(type) ?? false
}

export function typeOfDestination(spec: DestinationSpec): QueueType {
  if (spec.profile === 'topic') return 'stream'
  return spec.countsAttempts ? 'quorum' : 'classic'
}

interface RuleContext {
  readonly draft: Draft
  readonly args: FieldTable
  readonly request: QueueRequest
  readonly place: string
}

function applyRule(key: string, value: FieldValue, context: RuleContext): void {
  const { draft, args, request, place } = context
  const rule = RULES.get(key)
  if (rule === undefined) return
  if (key === 'x-dead-letter-exchange' && typeof value !== 'string') {
    const where = `in queue '${request.name}' in vhost '${request.vhost}'`
    throw preconditionFailed(`invalid type '${fieldTypeName(value)}' for arg '${key}' ${where}`)
  }
  try {
    rule.check(value, draft, args)
  } catch (error) {
    if (!(error instanceof BadArgument)) throw error
    throw preconditionFailed(`invalid arg '${key}' ${place}: ${error.message}`)
  }
}

function queueTypeOf(request: QueueRequest): QueueType {
  const value = request.arguments.get('x-queue-type')
  if (value === undefined) return 'classic'
  if (value === 'classic' || value === 'quorum' || value === 'stream') return value
  const why =
    typeof value === 'string'
      ? `"unsupported queue type '${value}'"`
      : `{unacceptable_type,${fieldTypeName(value)}}`
  const place = `for queue '${request.name}' in vhost '${request.vhost}'`
  throw preconditionFailed(`invalid arg 'x-queue-type' ${place}: ${why}`)
}

/** Quorum queues and streams are kept: they can't be what dies early. */
function checkProperties(request: QueueRequest): void {
  let property: string | null = null
  if (request.autoDelete) property = 'auto-delete'
  else if (request.exclusiveOwner !== null) property = 'exclusive-owner'
  else if (!request.durable) property = 'non-durable'
  if (property === null) return
  const place = `for queue '${request.name}' in vhost '${request.vhost}'`
  throw preconditionFailed(`invalid property '${property}' ${place}`)
}

function nothing(): void {}

function number(
  types: readonly QueueType[],
  apply: (value: number, draft: Draft) => void,
  least: 0 | 1 = 0,
): ArgumentRule {
  return {
    types,
    check: (value, draft) => {
      const whole = integer(value)
      if (whole < 0) throw new BadArgument(`{value_negative,${whole}}`)
      if (whole < least) throw new BadArgument(`{value_zero,${whole}}`)
      apply(whole, draft)
    },
  }
}

function retryRule(key: string): ArgumentRule {
  return {
    types: QUEUES,
    check: (value, { settings }) => {
      try {
        Object.assign(settings, parseRetrySetting(key, fieldInteger(value) ?? value))
      } catch (error) {
        if (error instanceof BrokerError) throw new BadArgument(error.message)
        throw error
      }
    },
  }
}

/** Numbers beyond 2^53 stand for "no limit" just as well as 2^53 does. */
function integer(value: FieldValue): number {
  const whole = fieldInteger(value)
  if (whole === null) throw new BadArgument(`"expected integer, got ${fieldTypeName(value)}"`)
  if (typeof whole === 'number') return whole
  return whole < 0 ? -1 : Number.MAX_SAFE_INTEGER
}

function text(value: FieldValue): string {
  if (typeof value === 'string') return value
  throw new BadArgument(`{unacceptable_type,${fieldTypeName(value)}}`)
}

function checkMaxPriority(value: FieldValue, draft: Draft): void {
  const whole = integer(value)
  if (whole < 0) throw new BadArgument(`{value_negative,${whole}}`)
  if (whole > 255) throw new BadArgument(`{max_value_exceeded,${whole}}`)
  draft.prioritiesMax = whole
}

function checkOverflow(value: FieldValue, { settings }: Draft): void {
  const name = text(value)
  if (name === 'drop-head') settings.overflow = 'drop-head'
  else if (name === 'reject-publish') settings.overflow = 'reject'
  else if (name === 'reject-publish-dlx') settings.overflow = 'reject-dead-letter'
  else if (name === 'block' || name === 'sample') settings.overflow = name
  else throw new BadArgument('invalid_overflow')
}

function checkDeadLetterExchange(value: FieldValue, { settings }: Draft): void {
  settings.deadLetterExchange = text(value)
}

function checkDeadLetterRoutingKey(value: FieldValue, { settings }: Draft, args: FieldTable): void {
  settings.deadLetterRoutingKey = text(value)
  if (!args.has('x-dead-letter-exchange')) throw new BadArgument('routing_key_but_no_dlx_defined')
}

function checkDeadLetterStrategy(value: FieldValue, { settings }: Draft): void {
  const name = text(value)
  if (name !== 'at-most-once' && name !== 'at-least-once') {
    throw new BadArgument('invalid_dlx_strategy')
  }
  settings.deadLetterStrategy = name
}

function checkDeliveryLimit(value: FieldValue, { settings }: Draft): void {
  settings.attemptsMax = Math.max(-1, integer(value))
}

function checkSingleActive(value: FieldValue, draft: Draft): void {
  draft.singleActive = switchOf(value)
}

function switchOf(value: FieldValue): boolean {
  if (typeof value === 'boolean') return value
  throw new BadArgument(`{unacceptable_type,${fieldTypeName(value)}}`)
}

function checkKeyShared(value: FieldValue, { settings }: Draft): void {
  settings.keyShared = switchOf(value)
}

function checkKeyHeader(value: FieldValue, { settings }: Draft): void {
  settings.keyHeader = text(value)
}

/**
 * What a consumer asks for with the same two arguments; undefined: nothing. Throws 406 for what
 * they cannot be.
 */
export function keySharingAsked(args: FieldTable, place: string): KeySharing | null | undefined {
  const settings: Settings = {}
  for (const key of ['x-key-shared', 'x-key-header']) {
    const value = args.get(key)
    if (value === undefined) continue
    try {
      if (key === 'x-key-shared') settings.keyShared = switchOf(value)
      else settings.keyHeader = text(value)
    } catch (error) {
      if (!(error instanceof BadArgument)) throw error
      throw preconditionFailed(`invalid arg '${key}' ${place}: ${error.message}`)
    }
  }
  return Object.keys(settings).length === 0 ? undefined : keySharingOf(settings)
}

function checkQueueMode(value: FieldValue): void {
  const mode = text(value)
  if (mode === 'default' || mode === 'lazy') return
  throw new BadArgument(`"unsupported queue mode '${mode}'"`)
}

function checkQueueVersion(value: FieldValue): void {
  const version = integer(value)
  if (version < 0) throw new BadArgument(`{value_negative,${version}}`)
  if (version === 1 || version === 2) return
  throw new BadArgument(`"unsupported queue version '${version}'"`)
}

function checkLeaderLocator(value: FieldValue): void {
  const name = text(value)
  if (name === 'client-local' || name === 'balanced') return
  throw new BadArgument('invalid_queue_locator_arg')
}

const DAY_MS = 86_400_000

const AGE_UNITS_MS: Readonly<Record<string, number>> = {
  Y: 365 * DAY_MS,
  M: 30 * DAY_MS,
  D: DAY_MS,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
}

/** Milliseconds of RabbitMQ's `7D`; null for what is none. */
export function ageMsOf(age: string): number | null {
  const parts = /^(\d{1,9})([YMDhms])$/.exec(age)
  return parts === null ? null : Number(parts[1]) * AGE_UNITS_MS[parts[2]!]!
}

function checkMaxAge(value: FieldValue, { settings }: Draft): void {
  const ageMs = ageMsOf(text(value))
  if (ageMs === null) throw new BadArgument('invalid_max_age')
  settings.ageMsMax = ageMs
}

/** Only streams filter; the others keep the argument and do nothing with it. */
function checkFilterSize(value: FieldValue, _draft: Draft, args: FieldTable): void {
  if (args.get('x-queue-type') !== 'stream') return
  const bytes = integer(value)
  if (bytes >= FILTER_BYTES_MIN && bytes <= FILTER_BYTES_MAX) return
  throw preconditionFailed('Invalid value for  x-stream-filter-size-bytes')
}

const FILTER_BYTES_MIN = 16
const FILTER_BYTES_MAX = 255

const SEGMENT_BYTES_MAX = 3_000_000_000

function setSegmentBytes(value: number, { settings }: Draft): void {
  if (value > SEGMENT_BYTES_MAX) {
    throw preconditionFailed('Exceeded max value for x-stream-max-segment-size-bytes')
  }
  settings.segmentBytesMax = value
}
