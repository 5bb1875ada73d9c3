import { BrokerError } from './errors.ts'

/** Longer than any list of names that a person writes, short enough to compile at once. */
export const NAME_PATTERN_LENGTH_MAX = 1024

/** Letters that mean something after a backslash, here and in Perl's regular expressions. */
const KNOWN_ESCAPES = 'dDwWsSbBnrtfvxukc'

/**
 * Compiles a regular expression that an administrator wrote for names: it fits anywhere in a
 * name unless anchored. Throws `PRECONDITION_FAILED` with the reason.
 *
 * Patterns come from people who know RabbitMQ, which takes Perl's. What JavaScript writes in
 * another way is translated (`(?i)` in front, `\A`, `\z`, `\Z`); what it would silently take for
 * something else is refused.
 */
export function compileNamePattern(pattern: string): RegExp {
  if (pattern.length > NAME_PATTERN_LENGTH_MAX) {
    throw invalid(`it has ${pattern.length} characters, limit is ${NAME_PATTERN_LENGTH_MAX}`)
  }
  const ignoresCase = pattern.startsWith('(?i)')
  const source = translated(ignoresCase ? pattern.slice(4) : pattern)
  try {
    return new RegExp(source, ignoresCase ? 'i' : '')
  } catch (error) {
    throw invalid((error as Error).message, error)
  }
}

function translated(pattern: string): string {
  let out = ''
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index]!
    if (character === '[' && pattern.startsWith('[:', index + 1)) {
      throw invalid('classes like [[:alpha:]] are not known here')
    }
    if (character !== '\\') {
      out += character
      continue
    }
    index += 1
    out += translatedEscape(pattern[index] ?? '')
  }
  return out
}

function translatedEscape(letter: string): string {
  if (letter === 'A') return '^'
  if (letter === 'z' || letter === 'Z') return '$'
  if (/[A-Za-z]/.test(letter) && !KNOWN_ESCAPES.includes(letter)) {
    throw invalid(`\\${letter} is not known here`)
  }
  return `\\${letter}`
}

function invalid(reason: string, cause?: unknown): BrokerError {
  return new BrokerError(
    'PRECONDITION_FAILED',
    `pattern should be regular expression but is invalid: ${reason}`,
    { cause },
  )
}
