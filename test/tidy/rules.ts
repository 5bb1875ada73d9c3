import path from 'node:path'
import { KINDS } from '../../tools/test-kinds.ts'
import {
  CRYPTO_CHANCE_FOLDERS,
  LAYERS,
  STORAGE_DISK_FILE,
  WORLDLY_FOLDERS,
  WORLDLY_MODULES,
  layerFault,
} from './layers.ts'
import { readSourceFacts } from './source-facts.ts'
import type { SourceFacts } from './source-facts.ts'

/** Tracked files by path from the root, with `/`; the value is the file's text. */
export type Tree = ReadonlyMap<string, string>

/** One sentence a developer can act on, starting with the path and, where known, the line. */
export type Fault = string

const FILE_LINES_MAX = 1000
const CODE = /\.(ts|js|mjs|sh|py|go|java)$/
const NAMED_FOLDERS = /^(src|test|tools|bench|docs)\//
const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*$/
const EMPTY_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'types', 'common', 'misc'])

// Spelt in pieces, so that this file may hold them and still be checked.
const PRIVATE_TEXT: readonly (readonly [RegExp, string])[] = [
  [new RegExp(`(?<![\\w.])/${'work'}/(main|shared|\\.)`), 'a path of one machine'],
  [new RegExp(`(?<![\\w./])/${'home'}/[a-z]`), 'a path of one machine'],
  [new RegExp(`(?<![\\w./])/${'Users'}/[A-Za-z]`), 'a path of one machine'],
  [new RegExp(`(?<![\\w./-])/${'root'}/`), 'a path of one machine'],
  [new RegExp(`/${'tmp'}/ws`), 'a path of one machine'],
  [new RegExp(`registry\\.(${'npmjs'}|yarnpkg)\\.`), 'a package registry'],
  [new RegExp(`(${'npm'}mirror|artifactory|verdaccio)\\.`), 'a package registry'],
]

/** Every rule over the whole tree. Pure: the same tree gives the same faults, in order of path. */
export function checkTree(tree: Tree): Fault[] {
  const faults: Fault[] = []
  const facts = new Map<string, SourceFacts>()
  for (const [file, text] of tree) {
    faults.push(
      ...checkName(file),
      ...checkRun(file),
      ...checkText(file, text),
      ...checkLinks(file, text, tree),
    )
    if (!file.endsWith('.ts') || !/^(src|test|tools|bench)\//.test(file)) continue
    facts.set(file, readSourceFacts(file, text))
  }
  for (const [file, own] of facts) {
    faults.push(...own.exportFaults.map(({ name, line }) => `${file}:${line} has ${name}`))
    faults.push(...checkTargets(file, own, tree))
    if (!file.startsWith('src/') || isTest(file)) continue
    faults.push(...checkLayer(file, own), ...checkWorld(file, own))
  }
  faults.push(...checkLoaded(facts))
  return faults.toSorted()
}

function isTest(file: string): boolean {
  return file.endsWith('.test.ts')
}

/** Returns the path from the root that `name` means inside `file`; null for a package. */
function resolve(file: string, name: string): string | null {
  if (name.startsWith('/src/')) return name.slice(1)
  return name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : null
}

function checkName(file: string): Fault[] {
  if (!NAMED_FOLDERS.test(file)) return []
  const faults: Fault[] = []
  const parts = file.split('/')
  const base = parts.pop() ?? ''
  const stem = base.replace(/(\.(test|gen|d))?\.\w+$/, '')
  // Java names a file after its class; Python cannot import a name with a hyphen.
  const freeName = /\.(java|py)$/.test(base) || /^[A-Z]+\.md$/.test(base) || base.startsWith('.')
  const named = freeName ? parts : [...parts, ...stem.split('.')]
  if (!named.every((part) => KEBAB.test(part))) {
    faults.push(`${file} is not named in kebab-case`)
  }
  for (const name of [...parts, stem]) {
    if (EMPTY_NAMES.has(name)) faults.push(`${file} is named '${name}', which says nothing`)
  }
  return faults
}

/** A test beside no runner's pattern would never fail. */
function checkRun(file: string): Fault[] {
  // Examples stand on the packed package: tools/check-package.ts runs them.
  if (!/\.test\.\w+$/.test(file) || file.startsWith('examples/')) return []
  const patterns = Object.values(KINDS).flatMap((kind) => kind.patterns)
  const run = patterns.some((pattern) => path.posix.matchesGlob(file, pattern))
  return run ? [] : [`${file} is a test that no runner runs`]
}

/** A page that points at nothing was written about another state of the project. */
function checkLinks(file: string, text: string, tree: Tree): Fault[] {
  if (!file.endsWith('.md')) return []
  const faults: Fault[] = []
  const prose = text.replace(/^```[^]*?^```$/gm, (block) => block.replace(/[^\n]/g, ''))
  for (const match of prose.matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)) {
    const link = match[1] ?? ''
    if (/^\w+:/.test(link)) continue
    const target = path.posix.join(path.posix.dirname(file), link)
    const folder = target.replace(/\/?$/, '/')
    if (tree.has(target) || [...tree.keys()].some((other) => other.startsWith(folder))) continue
    const line = prose.slice(0, match.index).split('\n').length
    faults.push(`${file}:${line} links to ${link}, which is no tracked file`)
  }
  return faults
}

function checkText(file: string, text: string): Fault[] {
  const faults: Fault[] = []
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const generated = file.endsWith('.gen.ts')
  if (generated && !/^(\/\/|\/\*).*(npm run generate|tools\/generate)/.test(lines[0] ?? '')) {
    faults.push(`${file}:1 does not name the command that generates it`)
  }
  if (!generated && CODE.test(file) && lines.length > FILE_LINES_MAX) {
    faults.push(`${file} has ${lines.length} lines, limit is ${FILE_LINES_MAX}`)
  }
  for (const [pattern, what] of PRIVATE_TEXT) {
    if (!pattern.test(text)) continue
    const line = lines.findIndex((candidate) => pattern.test(candidate)) + 1
    faults.push(`${file}:${line} names ${what}`)
  }
  return faults
}

/** An import of nothing would leave a hole in the graph the other rules walk. */
function checkTargets(file: string, facts: SourceFacts, tree: Tree): Fault[] {
  const faults: Fault[] = []
  for (const { name, line } of facts.mentions) {
    const target = resolve(file, name)
    if (target === null || tree.has(target)) continue
    faults.push(`${file}:${line} imports ${name}, which is no tracked file`)
  }
  return faults
}

function checkLayer(file: string, facts: SourceFacts): Fault[] {
  const folder = file.split('/')[1] ?? ''
  const row = LAYERS[folder]
  if (row === undefined) return [`${file}: src/${folder} is not in the layer table`]
  const faults: Fault[] = []
  for (const { name, line } of facts.mentions) {
    const target = resolve(file, name)
    if (target !== null) {
      const fault = isTest(target) ? 'a test is imported' : layerFault(file, target)
      if (fault !== null) faults.push(`${file}:${line} ${fault}`)
    } else if (!name.startsWith('node:') && !row.packages) {
      faults.push(`${file}:${line} ${folder} may not import the package ${name}`)
    }
  }
  return faults
}

function checkWorld(file: string, facts: SourceFacts): Fault[] {
  const inside = (folders: readonly string[]): boolean =>
    folders.some((folder) => file.startsWith(folder))
  if (inside(WORLDLY_FOLDERS)) return []
  const faults: Fault[] = []
  for (const { name, line } of facts.worldly) {
    if (name.startsWith('crypto.') && inside(CRYPTO_CHANCE_FOLDERS)) continue
    faults.push(`${file}:${line} uses ${name}, which belongs to ${WORLDLY_FOLDERS.join(', ')}`)
  }
  for (const { name, line } of facts.mentions) {
    const module = name.replace(/^node:/, '')
    if (!WORLDLY_MODULES.includes(module)) continue
    if (module.startsWith('fs') && STORAGE_DISK_FILE.test(file)) continue
    faults.push(`${file}:${line} imports ${name}, which belongs to ${WORLDLY_FOLDERS.join(', ')}`)
  }
  return faults
}

/** Coverage leaves out what no test loads, and the total still looks fine; so ask the graph. */
function checkLoaded(facts: ReadonlyMap<string, SourceFacts>): Fault[] {
  const waiting = [...facts.keys()].filter(isTest)
  const loaded = new Set(waiting)
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const name of facts.get(file)?.loads ?? []) {
      const target = resolve(file, name)
      if (target === null || loaded.has(target)) continue
      loaded.add(target)
      waiting.push(target)
    }
  }
  const faults: Fault[] = []
  for (const [file, { typesOnly }] of facts) {
    if (!file.startsWith('src/') || loaded.has(file) || typesOnly) continue
    faults.push(`${file} is loaded by no test`)
  }
  return faults
}
