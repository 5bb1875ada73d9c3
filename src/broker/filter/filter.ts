import { inspect } from 'node:util'
import { BrokerError } from '../../model/errors.ts'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import { HeadersMatcher } from '../routing/headers-matcher.ts'
import { RoutingKey } from '../routing/index.ts'
import { FilterFields, type FilteredMessage } from './filter-fields.ts'
import { EXPRESSION_LENGTH_MAX, TAGS_MAX } from './limits.ts'
import { sqlCondition } from './sql-filter.ts'

/** The arguments, of bindings and of consumers, that filter. */
export const FILTER_ARGUMENTS = {
  SQL: 'x-filter-sql',
  TAGS: 'x-filter-tags',
  HEADERS: 'x-filter-headers',
} as const

type Condition = (fields: FilterFields) => boolean

const TARGET = {}
const NO_KEY = new RoutingKey()
/** Where a message has its tag: RocketMQ's name for it, and a plain one. */
const TAG_HEADERS = ['TAGS', 'tag'] as const

/** Says of messages whether they are wanted: all that its conditions name must be true. */
export class MessageFilter {
  /** What it was made from: of the same text, two take the same. */
  readonly text: string
  readonly #conditions: readonly Condition[]

  constructor(conditions: readonly Condition[], text: string) {
    this.#conditions = conditions
    this.text = text
  }

  /** What arguments ask for; null: nothing. Throws `PRECONDITION_FAILED` with what is wrong. */
  static of(args: HeaderMap): MessageFilter | null {
    if (args.size === 0) return null
    const sql = args.get(FILTER_ARGUMENTS.SQL)
    const tags = args.get(FILTER_ARGUMENTS.TAGS)
    const headers = args.get(FILTER_ARGUMENTS.HEADERS)
    const conditions: Condition[] = []
    if (sql !== undefined) conditions.push(sqlCondition(textOf(FILTER_ARGUMENTS.SQL, sql)))
    if (tags !== undefined) conditions.push(tagCondition(textOf(FILTER_ARGUMENTS.TAGS, tags)))
    if (headers !== undefined) conditions.push(headersCondition(headers))
    if (conditions.length === 0) return null
    const text = inspect([sql, tags, headers], {
      depth: Infinity,
      maxArrayLength: Infinity,
      maxStringLength: Infinity,
    })
    return new MessageFilter(conditions, text)
  }

  /** HOT where it is used. `fields` may be open on that message already. */
  matches(fields: FilterFields): boolean {
    for (const condition of this.#conditions) if (!condition(fields)) return false
    return true
  }

  /** For one message alone. */
  takes(message: FilteredMessage): boolean {
    const isTaken = this.matches(shared.open(message))
    shared.close()
    return isTaken
  }
}

/** One message at a time is looked at. */
const shared = new FilterFields()

/** `TagA || TagB`: one of these; `*`: any message, tagged or not. */
function tagCondition(text: string): Condition {
  if (text.length > EXPRESSION_LENGTH_MAX) throw refused('has too many characters')
  const tags = text.split('||').map((tag) => tag.trim())
  if (tags.length > TAGS_MAX) throw refused(`has ${tags.length} tags, the limit is ${TAGS_MAX}`)
  if (tags.includes('*')) return () => true
  if (tags.includes('')) throw refused('has an empty tag')
  const wanted = new Set(tags)
  return (fields) => {
    for (const name of TAG_HEADERS) {
      const tag = fields.header(name)
      if (typeof tag === 'string') return wanted.has(tag)
    }
    return false
  }
}

function refused(what: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `${FILTER_ARGUMENTS.TAGS} ${what}`)
}

/** As a headers exchange compares them. */
function headersCondition(value: HeaderValue): Condition {
  if (!(value instanceof Map)) {
    throw new BrokerError('PRECONDITION_FAILED', `${FILTER_ARGUMENTS.HEADERS} is no table`)
  }
  const matcher = new HeadersMatcher<object>()
  matcher.add(TARGET, '', value as HeaderMap)
  return (fields) => {
    const found = new Set<object>()
    matcher.match(NO_KEY, fields.headers, found)
    return found.size > 0
  }
}

function textOf(name: string, value: HeaderValue): string {
  if (typeof value === 'string') return value
  throw new BrokerError('PRECONDITION_FAILED', `${name} is no text`)
}
