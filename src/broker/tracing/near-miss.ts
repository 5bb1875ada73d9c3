import type { HeaderMap } from '../../model/header-value.ts'
import { equalHeaderValues } from '../../model/header-value.ts'
import type { MatcherKind } from '../routing/index.ts'
import { splitKey } from '../routing/index.ts'

/**
 * Why a key that does not match a binding nearly does, such as `word 2 is 'new', the binding has
 * 'old'`; null: it is nothing alike.
 */
export function nearMiss(kind: MatcherKind, key: string, pattern: string): string | null {
  if (kind !== 'direct' && kind !== 'topic') return null
  if (key.trim() === pattern.trim()) return 'they differ in blanks at an end'
  if (key.toLowerCase() === pattern.toLowerCase()) return 'they differ in upper and lower case'
  const words = splitKey(key)
  const wanted = splitKey(pattern)
  if (kind === 'topic' && wanted.includes('#')) return null
  const isWild = (word: string | undefined): boolean => kind === 'topic' && word === '*'
  if (words.length === wanted.length) {
    const different = words.flatMap((word, at) =>
      word === wanted[at] || isWild(wanted[at]) ? [] : [at],
    )
    const [at] = different
    // Of two words one is half of it, and of one word all.
    if (at === undefined || different.length > 1 || words.length < 2) return null
    return `word ${at + 1} is '${words[at]}', the binding has '${wanted[at]}'`
  }
  const shorter = Math.min(words.length, wanted.length)
  if (shorter < 1 || Math.abs(words.length - wanted.length) > 1) return null
  for (let at = 0; at < shorter; at++) {
    if (words[at] !== wanted[at] && !isWild(wanted[at])) return null
  }
  return words.length > wanted.length
    ? "the key has one word more; '#' takes any number"
    : 'the key has one word less'
}

/** The same for a binding by headers, where one of them keeps it from matching. */
export function nearMissOfHeaders(headers: HeaderMap | null, wanted: HeaderMap): string | null {
  const mode = wanted.get('x-match')
  if (typeof mode === 'string' && mode.startsWith('any')) return null
  const names = [...wanted.keys()].filter((name) => !name.startsWith('x-'))
  const different = names.filter((name) => {
    const value = wanted.get(name)!
    const found = headers?.get(name)
    return found === undefined || (value !== null && !equalHeaderValues(value, found))
  })
  const [name] = different
  if (name === undefined || different.length > 1 || names.length < 2) return null
  // Not the values: they may be nobody's business.
  const isThere = headers?.has(name) === true
  return isThere ? `header '${name}' has another value` : `header '${name}' is missing`
}
