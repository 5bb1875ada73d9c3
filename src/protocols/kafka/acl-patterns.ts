/** A name, or the beginning of names; the name `*` that is no prefix stands for every name. */
export interface NamePattern {
  readonly name: string
  readonly isPrefix: boolean
}

export const EVERY_NAME: NamePattern = { name: '*', isPrefix: false }

/** What a permission's regular expression says in Kafka's terms, and what of it Kafka cannot say. */
export interface PermissionParts {
  readonly patterns: readonly NamePattern[]
  /** A regular expression that is no list of names and prefixes; null: there is nothing else. */
  readonly rest: string | null
}

/** What `renderPermission` writes: `^(?:one|two\.three|pre.*)$`, then `|(?:rest)`. */
const RENDERED = /^\^\(\?:((?:[^\\|()[\]{}^$*+?.]|\\.|\||\.\*)*)\)\$(?:\|\(\?:(.*)\))?$/s

export function parsePermission(expression: string): PermissionParts {
  if (expression === '') return { patterns: [], rest: null }
  if (expression === '.*') return { patterns: [EVERY_NAME], rest: null }
  const match = RENDERED.exec(expression)
  if (match === null) return { patterns: [], rest: expression }
  const patterns = splitAlternatives(match[1]!).map(parseAlternative)
  if (patterns.includes(null as never)) return { patterns: [], rest: expression }
  return { patterns: patterns as NamePattern[], rest: match[2] ?? null }
}

export function renderPermission({ patterns, rest }: PermissionParts): string {
  if (patterns.some((pattern) => isSame(pattern, EVERY_NAME))) return '.*'
  if (patterns.length === 0) return rest ?? ''
  const names = patterns.map(({ name, isPrefix }) => escaped(name) + (isPrefix ? '.*' : ''))
  const list = `^(?:${names.join('|')})$`
  return rest === null ? list : `${list}|(?:${rest})`
}

export function isSame(one: NamePattern, other: NamePattern): boolean {
  return one.name === other.name && one.isPrefix === other.isPrefix
}

function splitAlternatives(text: string): string[] {
  return text.match(/(?:\\.|[^\\|])+/gs) ?? []
}

function parseAlternative(text: string): NamePattern | null {
  const isPrefix = /(?:^|[^\\])(?:\\\\)*\.\*$/.test(text)
  const body = isPrefix ? text.slice(0, -2) : text
  // A `.*` elsewhere is a regular expression, and no name.
  if (/(?:^|[^\\])(?:\\\\)*\.\*/.test(body)) return null
  return { name: body.replaceAll(/\\(.)/gs, '$1'), isPrefix }
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`)
}
