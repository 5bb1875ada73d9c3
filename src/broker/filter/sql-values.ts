import type { FieldValue } from './filter-fields.ts'

/** True, false, or null: unknown, because something that was compared is absent. */
export type Truth = boolean | null

export type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>='
export type Arithmetic = '+' | '-' | '*' | '/' | '%'

/** Values of different kinds are not alike, so that any comparison of them is false. */
export function compare(operator: Comparison, a: FieldValue, b: FieldValue): Truth {
  if (a === null || b === null) return null
  if (typeof a === 'boolean' || typeof b === 'boolean') {
    if (typeof a !== typeof b) return false
    if (operator === '=') return a === b
    return operator === '<>' && a !== b
  }
  if ((typeof a === 'string') !== (typeof b === 'string')) return false
  switch (operator) {
    case '=':
      return isSame(a, b)
    case '<>':
      return isDifferent(a, b)
    case '<':
      return a < b
    case '<=':
      return a <= b
    case '>':
      return a > b
    case '>=':
      return a >= b
  }
}

/** Null where either is no number, or there is no result, as of a division by zero. */
export function calculate(operator: Arithmetic, a: FieldValue, b: FieldValue): FieldValue {
  const left = numberOf(a)
  const right = numberOf(b)
  if (left === null || right === null) return null
  const result = calculated(operator, left, right)
  return Number.isFinite(result) ? result : null
}

export function negated(value: FieldValue): FieldValue {
  const number = numberOf(value)
  return number === null ? null : -number
}

export function and(a: Truth, b: Truth): Truth {
  if (a === false || b === false) return false
  return a === null || b === null ? null : true
}

export function or(a: Truth, b: Truth): Truth {
  if (a === true || b === true) return true
  return a === null || b === null ? null : false
}

export function not(a: Truth): Truth {
  return a === null ? null : !a
}

/** What is no truth value is neither true nor false. */
export function truthOf(value: FieldValue): Truth {
  return typeof value === 'boolean' ? value : null
}

function calculated(operator: Arithmetic, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return a / b
    case '%':
      return a % b
  }
}

function numberOf(value: FieldValue): number | null {
  if (typeof value === 'number') return value
  return typeof value === 'bigint' ? Number(value) : null
}

/** Integers of both kinds are compared by value. */
function isSame(a: string | number | bigint, b: string | number | bigint): boolean {
  return a === b || (typeof a !== typeof b && a <= b && !(a < b))
}

function isDifferent(a: string | number | bigint, b: string | number | bigint): boolean {
  return !isSame(a, b)
}
