import { BrokerError } from '../../model/errors.ts'
import { EXPRESSION_LENGTH_MAX, TOKENS_MAX } from './limits.ts'

export interface Token {
  readonly kind: 'word' | 'name' | 'text' | 'number' | 'sign' | 'end'
  /** Of a word: in capitals. Of a text or a name: without its quotes. */
  readonly value: string
  /** Where it begins, counted from 1. */
  readonly at: number
}

const WORDS: ReadonlySet<string> = new Set([
  'AND',
  'OR',
  'NOT',
  'BETWEEN',
  'IN',
  'LIKE',
  'ESCAPE',
  'IS',
  'NULL',
  'TRUE',
  'FALSE',
])

const SPACE = /[ \t\r\n\f]*/y
/** A dot joins the parts of a name: `properties.message_id`. */
const NAME = /[\p{L}_$][\p{L}\p{N}_$]*(?:\.[\p{L}_$][\p{L}\p{N}_$]*)*/uy
/** Constants of Java and SQL: `57`, `57.3`, `.5`, `7E3`, `57L`, `2.5f`. */
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[lLdDfF]?/y
const TEXT = /'(?:[^']|'')*'|"(?:[^"]|"")*"/y
/** Any name of a header, such as `[x-tenant]`; a bracket in it is written twice. */
const BRACKETED = /\[(?:[^[\]]|\[\[|\]\])+\]/y
const SIGN = /<>|!=|<=|>=|[=<>+\-*/%(),]/y

/** Cuts an expression into tokens, the last of which is `end`. Throws `PRECONDITION_FAILED`. */
export function tokensOf(text: string): Token[] {
  if (text.length > EXPRESSION_LENGTH_MAX) {
    const length = `${text.length} characters, the limit is ${EXPRESSION_LENGTH_MAX}`
    throw new BrokerError('PRECONDITION_FAILED', `the filter has ${length}`)
  }
  const tokens: Token[] = []
  let at = matchAt(SPACE, text, 0)!.length
  while (at < text.length) {
    if (tokens.length === TOKENS_MAX) {
      const message = `the filter has more than ${TOKENS_MAX} words and signs`
      throw new BrokerError('PRECONDITION_FAILED', message)
    }
    const { token, end } = tokenAt(text, at)
    tokens.push(token)
    at = end + matchAt(SPACE, text, end)!.length
  }
  tokens.push({ kind: 'end', value: '', at: text.length + 1 })
  return tokens
}

export function faultAt(at: number, what: string): BrokerError {
  return new BrokerError('PRECONDITION_FAILED', `filter, character ${at}: ${what}`)
}

function tokenAt(text: string, at: number): { readonly token: Token; readonly end: number } {
  const made = (kind: Token['kind'], found: string, value = found) => ({
    token: { kind, value, at: at + 1 },
    end: at + found.length,
  })
  const name = matchAt(NAME, text, at)
  if (name !== null) {
    const upper = name.toUpperCase()
    return WORDS.has(upper) ? made('word', name, upper) : made('name', name)
  }
  const bracketed = matchAt(BRACKETED, text, at)
  if (bracketed !== null) {
    const inside = bracketed.slice(1, -1)
    return made('name', bracketed, `[${inside.replaceAll('[[', '[').replaceAll(']]', ']')}`)
  }
  const quoted = matchAt(TEXT, text, at)
  if (quoted !== null) {
    const quote = quoted[0]!
    return made('text', quoted, quoted.slice(1, -1).replaceAll(quote + quote, quote))
  }
  const number = matchAt(NUMBER, text, at)
  if (number !== null) return made('number', number)
  const sign = matchAt(SIGN, text, at)
  if (sign !== null) return made('sign', sign, sign === '!=' ? '<>' : sign)
  const character = String.fromCodePoint(text.codePointAt(at)!)
  const isOpen = character === "'" || character === '"' || character === '['
  throw faultAt(at + 1, isOpen ? `${character} is never closed` : `${character} means nothing`)
}

function matchAt(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? null
}
