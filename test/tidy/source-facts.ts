import { parseSync } from 'oxc-parser'

/** What the rules ask about one TypeScript file, read from its syntax tree. */
export interface SourceFacts {
  /** Every module the file names, types included: who knows whom. */
  readonly mentions: readonly Mention[]
  /** Relative modules that run when this file runs: real imports, and files handed to a process. */
  readonly loads: readonly string[]
  /** Names of the world this file reaches for, such as `Date.now` or `setTimeout`. */
  readonly worldly: readonly Mention[]
  /** Export forms we do not use, such as `export *`. */
  readonly exportFaults: readonly Mention[]
  /** Only types and re-exported types: nothing is left of it at run time. */
  readonly typesOnly: boolean
}

interface Mention {
  readonly name: string
  readonly line: number
}

interface Node {
  readonly type: string
  readonly start: number
  readonly [key: string]: unknown
}

/** Globals that are a clock, a timer or chance by themselves. */
const WORLDLY_GLOBALS = new Set([
  'setTimeout',
  'setInterval',
  'setImmediate',
  'performance',
  'requestAnimationFrame',
])

/** Members that are a clock, a timer or chance; the same after `globalThis.`. */
const WORLDLY_MEMBERS = new Set([
  'Date.now',
  'Math.random',
  'process.hrtime',
  'AbortSignal.timeout',
  'Atomics.wait',
  'Atomics.waitAsync',
  'crypto.randomUUID',
  'crypto.getRandomValues',
])

const WORLDLY_CRYPTO = new Set([
  'getRandomValues',
  'randomBytes',
  'randomFill',
  'randomFillSync',
  'randomInt',
  'randomUUID',
])

/** Reads the facts of one file. Throws when it does not parse: a file unread is a file unchecked. */
export function readSourceFacts(file: string, text: string): SourceFacts {
  const parsed = parseSync(file, text)
  const first = parsed.errors[0]
  if (first !== undefined) throw new Error(`${file} does not parse: ${first.message}`)
  const collector = new Collector(text)
  const body = parsed.program.body as unknown as Node[]
  for (const node of body) collector.visit(node, null)
  return { ...collector.facts(), typesOnly: body.every(leavesNothingAtRunTime) }
}

function leavesNothingAtRunTime(node: Node): boolean {
  switch (node.type) {
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
      return true
    case 'ImportDeclaration':
      return node['importKind'] === 'type'
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return node['exportKind'] === 'type'
    default:
      return node['declare'] === true
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value
}

function textOf(value: unknown): string | null {
  return isNode(value) && value.type === 'Literal' && typeof value['value'] === 'string'
    ? value['value']
    : null
}

class Collector {
  readonly #text: string
  readonly #mentions: Mention[] = []
  readonly #loads: string[] = []
  readonly #worldly: Mention[] = []
  readonly #exportFaults: Mention[] = []

  constructor(text: string) {
    this.#text = text
  }

  facts(): Omit<SourceFacts, 'typesOnly'> {
    return {
      mentions: this.#mentions,
      loads: this.#loads,
      worldly: this.#worldly,
      exportFaults: this.#exportFaults,
    }
  }

  visit(node: Node, parent: Node | null): void {
    this.#look(node, parent)
    for (const value of Object.values(node)) {
      if (isNode(value)) this.visit(value, node)
      else if (Array.isArray(value)) {
        for (const item of value) if (isNode(item)) this.visit(item, node)
      }
    }
  }

  #look(node: Node, parent: Node | null): void {
    switch (node.type) {
      case 'ImportDeclaration':
        return this.#lookAtImport(node)
      case 'ExportAllDeclaration':
        this.#exportFaults.push({ name: 'export *', line: this.#lineOf(node) })
        return this.#module(node, node['exportKind'] !== 'type')
      case 'ExportDefaultDeclaration':
        this.#exportFaults.push({ name: 'export default', line: this.#lineOf(node) })
        return
      case 'ExportNamedDeclaration':
        return this.#module(node, node['exportKind'] !== 'type')
      case 'ImportExpression':
        return this.#module(node, true)
      case 'TSImportType':
        return this.#module(node, false)
      case 'MemberExpression':
        return this.#lookAtMember(node)
      case 'Identifier':
        return this.#lookAtIdentifier(node, parent)
      case 'NewExpression':
      case 'CallExpression':
        return this.#lookAtCall(node)
      case 'Literal':
        return this.#lookAtString(node)
      default:
    }
  }

  #module(node: Node, loads: boolean): void {
    const name = textOf(node['source'])
    if (name === null) return
    this.#mentions.push({ name, line: this.#lineOf(node) })
    if (loads && name.startsWith('.')) this.#loads.push(name)
  }

  #lookAtImport(node: Node): void {
    this.#module(node, node['importKind'] !== 'type')
    if (textOf(node['source']) !== 'node:crypto') return
    for (const specifier of node['specifiers'] as Node[]) {
      const imported = specifier['imported']
      if (!isNode(imported) || !WORLDLY_CRYPTO.has(String(imported['name']))) continue
      const name = `crypto.${String(imported['name'])}`
      this.#worldly.push({ name, line: this.#lineOf(node) })
    }
  }

  #lookAtMember(node: Node): void {
    const name = memberName(node)
    if (name === null) return
    const member = name.replace(/^globalThis\./, '')
    if (WORLDLY_MEMBERS.has(member) || (member !== name && WORLDLY_GLOBALS.has(member))) {
      this.#worldly.push({ name: member, line: this.#lineOf(node) })
    } else if (member.startsWith('crypto.') && WORLDLY_CRYPTO.has(member.slice(7))) {
      this.#worldly.push({ name: member, line: this.#lineOf(node) })
    }
  }

  #lookAtIdentifier(node: Node, parent: Node | null): void {
    const name = String(node['name'])
    if (!WORLDLY_GLOBALS.has(name)) return
    // `clock.setTimeout`, `{ setTimeout: … }` and a method's own name are somebody else's timer.
    const named = parent?.type.includes('Signature') === true || parent?.type.includes('Definition')
    const isKey = parent !== null && (parent['key'] === node || parent['property'] === node)
    const isPlainKey = isKey && parent['computed'] !== true && parent['shorthand'] !== true
    if (isPlainKey || (named && isKey)) return
    this.#worldly.push({ name, line: this.#lineOf(node) })
  }

  #lookAtCall(node: Node): void {
    const callee = node['callee']
    const given = node['arguments'] as Node[]
    if (!isNode(callee) || callee.type !== 'Identifier') return
    if (callee['name'] === 'Date' && (node.type === 'CallExpression' || given.length === 0)) {
      this.#worldly.push({ name: 'new Date()', line: this.#lineOf(node) })
    }
    if (callee['name'] === 'require') {
      this.#worldly.push({ name: 'require', line: this.#lineOf(node) })
    }
    const target = textOf(given[0])
    if (callee['name'] === 'URL' && target?.startsWith('.') === true) this.#loads.push(target)
  }

  /** A test that starts a program names its file from the root: `'src/cli/main.ts'`. */
  #lookAtString(node: Node): void {
    const text = textOf(node)
    if (text !== null && /^src\/[\w/.-]+\.ts$/.test(text)) this.#loads.push(`/${text}`)
  }

  #lineOf(node: Node): number {
    return this.#text.slice(0, node.start).split('\n').length
  }
}

function memberName(node: Node): string | null {
  const object = node['object']
  const property = node['property']
  if (!isNode(object) || !isNode(property)) return null
  const key = node['computed'] === true ? textOf(property) : String(property['name'])
  if (key === null) return null
  if (object.type === 'Identifier') return `${String(object['name'])}.${key}`
  const inner = object.type === 'MemberExpression' ? memberName(object) : null
  return inner === null ? null : `${inner}.${key}`
}
