import { CALL_EXCHANGE } from '../../broker/index.ts'
import { REASON } from '../../codec/mqtt/index.ts'
import { workerQueueNameOf } from '../../rpc/call.ts'
import { ProtocolFault } from './faults.ts'
import { isKey, keyTextOfTopic, patternOfFilter } from './topic-key.ts'

/** A topic filter, told apart by what it leads to. */
export type ParsedFilter =
  | { readonly kind: 'topic'; readonly levels: readonly string[]; readonly pattern: string }
  | {
      readonly kind: 'shared'
      readonly group: string
      readonly levels: readonly string[]
      readonly pattern: string
    }
  /** `$queue/NAME` and `$stream/NAME`: a destination by its name. */
  | {
      readonly kind: 'destination'
      readonly name: string
      /** Made where it is missing, for as long as somebody consumes it. */
      readonly isMade?: true
    }

/** What the filter of a group begins with. */
export const SHARE_PREFIX = '$share/'
const DESTINATION = /^\$(?:queue|stream)\/(.+)$/s
/** `$rpc/SERVICE/#`: the calls of a service. */
const SERVICE = /^\$rpc\/([^/+#]+)(?:\/[+#])?$/
const METHOD = /^\$rpc\/([^/]+)\/([^/]+)$/
const CALLS = '$rpc/'

/**
 * null for one that is well formed and has no place here: too long, or of more than `levelsMax`
 * levels. Throws `ProtocolFault` where it breaks section 4.7 or 4.8.
 */
export function parseFilter(filter: string, levelsMax: number): ParsedFilter | null {
  if (filter.startsWith(SHARE_PREFIX)) {
    const end = filter.indexOf('/', SHARE_PREFIX.length)
    const group = filter.slice(SHARE_PREFIX.length, end)
    if (end < 0 || group === '' || /[+#]/.test(group)) throw malformedFilter(filter)
    if (!isKey(filter)) return null
    // Whoever provides a service shares its calls anyway.
    if (filter.startsWith(CALLS, end + 1)) return parseCalls(filter.slice(end + 1))
    const topic = parseTopicFilter(filter.slice(end + 1), levelsMax)
    return topic === null ? null : { ...topic, kind: 'shared', group }
  }
  const destination = DESTINATION.exec(filter)
  if (destination !== null) {
    const name = destination[1]!
    return isKey(name) ? { kind: 'destination', name } : null
  }
  if (filter.startsWith(CALLS)) return parseCalls(filter)
  return parseTopicFilter(filter, levelsMax)
}

/** Null: only all the calls of a service can be taken. */
function parseCalls(filter: string): ParsedFilter | null {
  const service = SERVICE.exec(filter)?.[1]
  if (service === undefined || !isKey(filter)) return null
  return { kind: 'destination', name: workerQueueNameOf(service), isMade: true }
}

/** The topic of a call, from the routing key it has on the exchange of calls. */
export function topicOfCall(key: string): string {
  const at = key.lastIndexOf('.')
  return `${CALLS}${key.slice(0, at)}/${key.slice(at + 1)}`
}

function parseTopicFilter(
  filter: string,
  levelsMax: number,
): Extract<ParsedFilter, { kind: 'topic' }> | null {
  if (filter === '') throw malformedFilter(filter)
  const levels = filter.split('/')
  for (const [index, level] of levels.entries()) {
    const isLast = index === levels.length - 1
    const hasWildcard = level.includes('+') || level.includes('#')
    if (hasWildcard && level !== '+' && !(level === '#' && isLast)) throw malformedFilter(filter)
  }
  const pattern = patternOfFilter(filter)
  return isKey(pattern) && levels.length <= levelsMax ? { kind: 'topic', levels, pattern } : null
}

/** Section 4.7: `topic` in levels; wildcards in front do not find `$` topics. */
export function matchesLevels(filter: readonly string[], topic: readonly string[]): boolean {
  const first = filter[0]!
  if ((first === '+' || first === '#') && topic[0]!.startsWith('$')) return false
  for (let index = 0; index < filter.length; index++) {
    const level = filter[index]!
    if (level === '#') return true
    if (index >= topic.length || (level !== '+' && level !== topic[index])) return false
  }
  return filter.length === topic.length
}

/** What a PUBLISH leads to. */
export interface PublishTarget {
  readonly exchange: string
  readonly key: string
  readonly delayMs: number
}

/** Ten years: more is a mistake in its unit. */
const DELAY_MS_MAX = 3650 * 86_400_000
const DELAYED = /^\$delayed\/(\d{1,10})\/(.+)$/s

/**
 * `$delayed/SECONDS/TOPIC` waits, `$queue/NAME` is a destination, `$rpc/SERVICE/METHOD` a call, all
 * else a topic; null where that has no routing key.
 */
export function publishTargetOf(topic: string): PublishTarget | null {
  if (topic.startsWith('$')) {
    const delayed = DELAYED.exec(topic)
    if (delayed !== null) {
      const target = publishTargetOf(delayed[2]!)
      const delayMs = Number(delayed[1]) * 1000
      return target === null || delayMs > DELAY_MS_MAX ? null : { ...target, delayMs }
    }
    const destination = DESTINATION.exec(topic)
    if (destination !== null) {
      const key = destination[1]!
      return isKey(key) ? { exchange: '', key, delayMs: 0 } : null
    }
    const call = METHOD.exec(topic)
    if (call !== null) {
      const key = `${call[1]}.${call[2]}`
      return isKey(key) ? { exchange: CALL_EXCHANGE, key, delayMs: 0 } : null
    }
  }
  const key = keyTextOfTopic(topic)
  return isKey(key) ? { exchange: TOPIC_EXCHANGE, key, delayMs: 0 } : null
}

/** Where topics are routed. */
export const TOPIC_EXCHANGE = 'amq.topic'

function malformedFilter(filter: string): ProtocolFault {
  return new ProtocolFault(`the topic filter '${filter}' is none`, REASON.MALFORMED_PACKET)
}
