import { ROUTING_KEY_BYTES_MAX } from '../../model/address.ts'
import { BrokerError } from '../../model/errors.ts'

/**
 * MQTT topics as routing keys of the topic exchange, and back.
 *
 * A level of a topic is a segment of a key: `/` becomes `.`. What one side's syntax cannot hold
 * inside a segment is percent-encoded on that side only:
 *
 * | in a segment         | topic | key                                     |
 * |----------------------|-------|-----------------------------------------|
 * | `.`                  | `.`   | `%2E`                                   |
 * | `/`                  | `%2F` | `/`                                     |
 * | `+`                  | `%2B` | `+`                                     |
 * | `#`                  | `%23` | `#`, or `%23` when it is the whole one  |
 * | U+0000               | `%00` | U+0000                                  |
 * | `*` as the whole one | `*`   | `%2A`                                   |
 *
 * A text that reads like such a code already gets one more `25` behind its `%` and loses it on the
 * way back; no other `%` is touched. So topics and keys are one to one, save for two kinds of
 * keys: those with a segment `*` or `#`, which are shown like `%2A` or `%23`, and the empty key.
 */

/** What an empty routing key is shown as: MQTT has no empty topic. */
const TOPIC_OF_EMPTY_KEY = '%'

const TOPIC_CODE = /[/+#\0]|%((?:25)*)(2F|2B|23|00)/g
const KEY_CODE = /\.|%((?:25)*)(2E)/g
/** `*` and `#` are wildcards of a pattern only as a whole segment. */
const KEY_CODE_WHOLE = /^(?:[*#]|%((?:25)*)(2A|23))$/

/** The routing key of a topic; throws `LIMIT_EXCEEDED` when it is longer than one may be. */
export function keyOfTopic(topic: string): string {
  const key = keyTextOfTopic(topic)
  if (isKey(key)) return key
  const text = `the routing key of a topic has more than ${ROUTING_KEY_BYTES_MAX} octets`
  throw new BrokerError('LIMIT_EXCEEDED', text)
}

/** Whether a text is short enough for a routing key, or the name of a queue. */
export function isKey(text: string): boolean {
  // A character of UTF-16 has three octets at most.
  if (text.length * 3 <= ROUTING_KEY_BYTES_MAX) return true
  return Buffer.byteLength(text) <= ROUTING_KEY_BYTES_MAX
}

/** The same, however long: for a key that is shown, not routed by. */
export function keyTextOfTopic(topic: string): string {
  // Most topics hold nothing to encode.
  if (!/[%.*]/.test(topic)) return topic.replaceAll('/', '.')
  return topic.split('/').map(segmentOfLevel).join('.')
}

/** The topic that a routing key is shown as: valid and never empty; for '' it is '%'. */
export function topicOfKey(key: string): string {
  if (key === '') return TOPIC_OF_EMPTY_KEY
  if (!/[%/+#\0]/.test(key)) return key.replaceAll('.', '/')
  return key.split('.').map(levelOfSegment).join('/')
}

/**
 * The binding pattern that matches the keys of exactly the topics that `filter` matches, however
 * long. The filter has been checked: `+` and `#` stand alone, `#` is last.
 *
 * MQTT's rule that a wildcard in front matches no `$` topic is left to delivery.
 */
export function patternOfFilter(filter: string): string {
  return filter.split('/').map(wordOfLevel).join('.')
}

function wordOfLevel(level: string): string {
  if (level === '#') return '#'
  return level === '+' ? '*' : segmentOfLevel(level)
}

function segmentOfLevel(level: string): string {
  const plain = level.replace(TOPIC_CODE, unescaped)
  if (KEY_CODE_WHOLE.test(plain)) return plain.replace(KEY_CODE_WHOLE, escaped)
  return plain.replace(KEY_CODE, escaped)
}

function levelOfSegment(segment: string): string {
  const isWhole = KEY_CODE_WHOLE.test(segment) && segment.length > 1
  const plain = segment.replace(isWhole ? KEY_CODE_WHOLE : KEY_CODE, unescaped)
  return plain.replace(TOPIC_CODE, escaped)
}

/** A character becomes its code, a code (`%2E`, `%252E`) one that is read one step later. */
function escaped(found: string): string {
  if (found.length > 1) return `%25${found.slice(1)}`
  return `%${found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

/** The reverse of `escaped`; characters that must not be there stay for the other side. */
function unescaped(found: string, shifts: string | undefined, code: string | undefined): string {
  if (code === undefined) return found
  if (shifts !== '') return `%${found.slice(3)}`
  return String.fromCharCode(Number.parseInt(code, 16))
}
