import type { FieldValue, FilterFields } from './filter-fields.ts'
import { LikePattern } from './like-pattern.ts'
import { PATTERN_LENGTH_MAX } from './limits.ts'
import { readerOf } from './sql-fields.ts'
import { faultAt, type Token, tokensOf } from './sql-lexer.ts'
import {
  and,
  type Arithmetic,
  calculate,
  compare,
  type Comparison,
  negated,
  not,
  or,
  type Truth,
  truthOf,
} from './sql-values.ts'

/** A part of an expression, ready to be asked of any message. */
interface Node {
  /** `value`: it can never be true or false, such as a number. */
  readonly kind: 'condition' | 'value' | 'field'
  readonly of: (fields: FilterFields) => FieldValue
}

const COMPARISONS: ReadonlySet<string> = new Set(['=', '<>', '<', '<=', '>', '>='])
const SUMS: ReadonlySet<string> = new Set(['+', '-'])
const PRODUCTS: ReadonlySet<string> = new Set(['*', '/', '%'])

/**
 * Reads a selector as JMS has it (Jakarta Messaging 3.1, section 3.8): a condition of SQL-92 on
 * headers and properties. The result says of a message whether it is true; what is unknown, because
 * a field is absent, is not. Throws `PRECONDITION_FAILED` with the place of the fault.
 *
 *     condition  = and { OR and }             predicate = sum [ comparison sum
 *     and        = not { AND not }                      | [NOT] BETWEEN sum AND sum
 *     not        = [NOT] predicate                      | [NOT] IN ( sum {, sum} )
 *     sum        = product { (+|-) product }            | [NOT] LIKE text [ESCAPE text]
 *     product    = unary { (*|/|%) unary }              | IS [NOT] NULL ]
 *     unary      = [+|-] primary              primary   = constant | name | ( condition )
 */
export function sqlCondition(text: string): (fields: FilterFields) => boolean {
  const node = new Parser(tokensOf(text)).parse()
  return (fields) => node.of(fields) === true
}

class Parser {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): Node {
    const start = this.#token
    const node = this.#condition()
    if (this.#token.kind !== 'end') throw this.#unexpected('AND, OR or the end')
    if (node.kind === 'value') throw faultAt(start.at, 'a condition is expected, not a value')
    return node
  }

  get #token(): Token {
    return this.#tokens[this.#at]!
  }

  #condition(): Node {
    let left = this.#and()
    while (this.#take('word', 'OR')) left = either(left, this.#and())
    return left
  }

  #and(): Node {
    let left = this.#not()
    while (this.#take('word', 'AND')) left = both(left, this.#not())
    return left
  }

  #not(): Node {
    let isNegated = false
    while (this.#take('word', 'NOT')) isNegated = !isNegated
    const node = this.#predicate()
    return isNegated ? inverse(node) : node
  }

  #predicate(): Node {
    const left = this.#sum()
    const { kind, value } = this.#token
    if (kind === 'sign' && COMPARISONS.has(value)) {
      this.#at++
      return comparison(value as Comparison, left, this.#sum())
    }
    if (this.#take('word', 'IS')) {
      const isNegated = this.#take('word', 'NOT')
      this.#require('word', 'NULL')
      return condition((fields) => (left.of(fields) === null) !== isNegated)
    }
    const isNegated = this.#take('word', 'NOT')
    let node: Node
    if (this.#take('word', 'BETWEEN')) node = this.#between(left)
    else if (this.#take('word', 'IN')) node = this.#in(left)
    else if (this.#take('word', 'LIKE')) node = this.#like(left)
    else if (isNegated) throw this.#unexpected('BETWEEN, IN or LIKE')
    else return left
    return isNegated ? inverse(node) : node
  }

  #between(left: Node): Node {
    const low = this.#sum()
    this.#require('word', 'AND')
    const high = this.#sum()
    return both(comparison('>=', left, low), comparison('<=', left, high))
  }

  #in(left: Node): Node {
    this.#require('sign', '(')
    const choices = [this.#sum()]
    while (this.#take('sign', ',')) choices.push(this.#sum())
    this.#require('sign', ')')
    return choices.map((choice) => comparison('=', left, choice)).reduce(either)
  }

  #like(left: Node): Node {
    const { value: pattern, at } = this.#text()
    let escape: string | null = null
    if (this.#take('word', 'ESCAPE')) {
      const token = this.#text()
      if (token.value.length !== 1) throw faultAt(token.at, 'ESCAPE takes one character')
      escape = token.value
    }
    if (pattern.length > PATTERN_LENGTH_MAX) {
      const length = `${pattern.length} characters, the limit is ${PATTERN_LENGTH_MAX}`
      throw faultAt(at, `the pattern has ${length}`)
    }
    const like = new LikePattern(pattern, escape)
    return condition((fields) => {
      const value = left.of(fields)
      return typeof value === 'string' ? like.matches(value) : null
    })
  }

  #sum(): Node {
    let left = this.#product()
    for (let sign = this.#signOf(SUMS); sign !== null; sign = this.#signOf(SUMS)) {
      left = arithmetic(sign as Arithmetic, left, this.#product())
    }
    return left
  }

  #product(): Node {
    let left = this.#unary()
    for (let sign = this.#signOf(PRODUCTS); sign !== null; sign = this.#signOf(PRODUCTS)) {
      left = arithmetic(sign as Arithmetic, left, this.#unary())
    }
    return left
  }

  #unary(): Node {
    let isNegative = false
    let isSigned = false
    for (let sign = this.#signOf(SUMS); sign !== null; sign = this.#signOf(SUMS)) {
      isSigned = true
      if (sign === '-') isNegative = !isNegative
    }
    const node = this.#primary()
    if (!isSigned) return node
    return valueNode((fields) => {
      const opposite = negated(node.of(fields))
      return isNegative ? opposite : negated(opposite)
    })
  }

  #primary(): Node {
    const { kind, value, at } = this.#token
    if (this.#take('sign', '(')) {
      const node = this.#condition()
      this.#require('sign', ')')
      return node
    }
    this.#at++
    if (kind === 'text') return valueNode(() => value)
    if (kind === 'number') return constant(Number(value.replace(/[lLdDfF]$/, '')), at)
    if (kind === 'word' && value === 'TRUE') return condition(() => true)
    if (kind === 'word' && value === 'FALSE') return condition(() => false)
    this.#at--
    if (kind !== 'name') throw this.#unexpected('a name, a constant or a bracket')
    this.#at++
    const read = readerOf(value)
    if (read === null) throw faultAt(at, `${value} is no field of a message`)
    return { kind: 'field', of: read }
  }

  #text(): Token {
    const token = this.#token
    if (token.kind !== 'text') throw this.#unexpected('a text in quotes')
    this.#at++
    return token
  }

  #signOf(signs: ReadonlySet<string>): string | null {
    const { kind, value } = this.#token
    if (kind !== 'sign' || !signs.has(value)) return null
    this.#at++
    return value
  }

  #take(kind: Token['kind'], value: string): boolean {
    if (this.#token.kind !== kind || this.#token.value !== value) return false
    this.#at++
    return true
  }

  #require(kind: Token['kind'], value: string): void {
    if (!this.#take(kind, value)) throw this.#unexpected(value)
  }

  #unexpected(expected: string): Error {
    const { kind, value, at } = this.#token
    return faultAt(at, `${expected} is expected, not ${kind === 'end' ? 'the end' : value}`)
  }
}

function condition(of: (fields: FilterFields) => Truth): Node {
  return { kind: 'condition', of }
}

function valueNode(of: (fields: FilterFields) => FieldValue): Node {
  return { kind: 'value', of }
}

function constant(value: number, at: number): Node {
  if (!Number.isFinite(value)) throw faultAt(at, 'the number is too large')
  return valueNode(() => value)
}

function both(a: Node, b: Node): Node {
  return condition((fields) => {
    const first = truthOf(a.of(fields))
    return first === false ? false : and(first, truthOf(b.of(fields)))
  })
}

function either(a: Node, b: Node): Node {
  return condition((fields) => {
    const first = truthOf(a.of(fields))
    return first === true ? true : or(first, truthOf(b.of(fields)))
  })
}

function inverse(node: Node): Node {
  return condition((fields) => not(truthOf(node.of(fields))))
}

function comparison(operator: Comparison, a: Node, b: Node): Node {
  return condition((fields) => compare(operator, a.of(fields), b.of(fields)))
}

function arithmetic(operator: Arithmetic, a: Node, b: Node): Node {
  return valueNode((fields) => calculate(operator, a.of(fields), b.of(fields)))
}
