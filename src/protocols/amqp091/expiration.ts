import { preconditionFailed } from './errors.ts'

const ZERO = 0x30
/** So many digits are exact as a number; more of them mean a time nobody lives to see. */
const DIGITS_EXACT_MAX = 15

/** The milliseconds that an expiration property says; throws 406 with RabbitMQ's texts. */
export function expirationMsOf(bytes: Buffer, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO
    if (digit < 0 || digit > 9) return oddExpirationMsOf(bytes.toString('utf8', start, end))
    value = value * 10 + digit
  }
  if (end - start > DIGITS_EXACT_MAX) return Number.MAX_SAFE_INTEGER
  if (end === start) throw invalid('', 'no_integer')
  return value
}

/** A sign in front, or what is no number at all. */
function oddExpirationMsOf(text: string): number {
  const parts = /^([+-]?\d+)(.*)$/s.exec(text)
  if (parts === null) throw invalid(text, 'no_integer')
  const [, digits, rest] = parts
  if (rest !== '') throw invalid(text, `{leftover_string,"${rest}"}`)
  const value = Number(digits)
  if (value < 0) throw invalid(text, `{value_negative,${value}}`)
  return Math.min(value, Number.MAX_SAFE_INTEGER)
}

function invalid(text: string, why: string): Error {
  return preconditionFailed(`invalid expiration '${text}': ${why}`)
}
