import { readFileSync } from 'node:fs'
import { isMap, isPair, isScalar, LineCounter, parseDocument, type Document } from 'yaml'
import { StartupError } from './startup-error.ts'

/** A configuration file: its values, and where each of them stands. */
export interface ConfigFile {
  readonly values: Readonly<Record<string, unknown>>
  /** `FILE:LINE:COLUMN` of the key at `path`, or of the nearest one above that is there. */
  locate(path: readonly string[]): string
}

/** JSON is read by the same parser: nearly all of it is YAML, and so it too has line numbers. */
export function readConfigFile(file: string): ConfigFile {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new StartupError('config', `${file}: ${readProblem(cause)}`, { cause })
  }
  return parseConfigFile(file, text)
}

function parseConfigFile(file: string, text: string): ConfigFile {
  const lines = new LineCounter()
  // A byte order mark or a tab before a JSON key is no reason to refuse a file.
  const document = parseDocument(text.replace(/^\uFEFF/, ''), {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
  })
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset)
    return `${file}:${line}:${col}`
  }
  if (document.errors.length > 0) {
    const problems = document.errors.map(({ pos, message }) => `${at(pos[0])}: ${message}`)
    throw new StartupError('config', problems.join('\n'))
  }
  const { contents } = document
  if (contents !== null && !isMap(contents)) {
    // An empty file, or one with comments alone, sets nothing.
    if (!(isScalar(contents) && contents.value === null)) {
      throw new StartupError('config', `${at(0)}: expected keys with values, such as 'data: DIR'`)
    }
  }
  return {
    values: (document.toJS({ maxAliasCount: 100 }) as Record<string, unknown> | null) ?? {},
    locate: (path) => at(offsetOf(document, path)),
  }
}

function offsetOf(document: Document.Parsed, path: readonly string[]): number {
  let node: unknown = document.contents
  let offset = 0
  for (const key of path) {
    if (!isMap(node)) break
    const pair: unknown = node.items.find((item) => isScalar(item.key) && item.key.value === key)
    if (!isPair(pair)) break
    if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset
    node = pair.value
  }
  return offset
}

function readProblem(cause: unknown): string {
  switch ((cause as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'there is no such file'
    case 'EACCES':
      return 'it may not be read by this user'
    case 'EISDIR':
      return 'it is a directory, expected a file'
    default:
      return `it cannot be read: ${(cause as Error).message}`
  }
}
