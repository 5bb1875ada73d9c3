/** Holds docs/mqtt-conformance.md to the statements of the standards and to the tests there are. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

const ROOT = new URL('../../../', import.meta.url)
const PAGE = 'docs/mqtt-conformance.md'
const STANDARDS: readonly (readonly [heading: string, file: string])[] = [
  ['MQTT 5.0', 'spec/mqtt/conformance-5.json'],
  ['MQTT 3.1.1', 'spec/mqtt/conformance-3.1.1.json'],
]
/** Fewer would mean that something was not read. */
const STATEMENTS_MIN = 140

interface Statement {
  readonly id: string
  readonly says: string
}

interface Row extends Statement {
  readonly shownBy: readonly string[]
}

const read = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8')

/** Cells of the tables under a heading of the second rank. */
function tableOf(page: string, heading: string): string[][] {
  const start = page.indexOf(`\n## ${heading}\n`)
  assert.ok(start >= 0, `no heading ${heading}`)
  const section = page.slice(start + 1).split('\n## ')[0]!
  return rowsOf(section)
}

function rowsOf(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('| '))
  return lines.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim())
      .slice(1, -1),
  )
}

function rows(page: string, heading: string): Row[] {
  return tableOf(page, heading)
    .slice(1)
    .map(([id = '', says = '', shownBy = '']) => {
      return { id, says: says.replaceAll('\\|', '|'), shownBy: shownBy.split('<br>') }
    })
}

/** The short names of test files at the head of the page. */
function filesOf(page: string): Map<string, string> {
  const head = page.split('\n## ')[0]!
  const files = new Map<string, string>()
  for (const [name = '', link = ''] of rowsOf(head).slice(1)) {
    files.set(name, /\((?:\.\.\/)([^)]+)\)/.exec(link)![1]!)
  }
  return files
}

/** What is wrong with one entry of the third column; null: nothing. */
function faultOf(entry: string, texts: ReadonlyMap<string, string>): string | null {
  const [, name, title] = /^([^:]+): (.+)$/.exec(entry) ?? []
  if (name === undefined || title === undefined) return `'${entry}' names no test and no reason`
  if (name === 'Cannot apply') {
    return /^.{10,}\.$/.test(title) ? null : `'${entry}' is no sentence`
  }
  const text = texts.get(name)
  if (text === undefined) return `'${entry}' names a file that is not in the list`
  const isThere = [`'${title}'`, `"${title}"`, `\`${title}`].some((found) => text.includes(found))
  return isThere ? null : `'${title}' is no title in the file of '${name}'`
}

function faults(page: string, heading: string, file: string): string[] {
  const { statements } = JSON.parse(read(file)) as { statements: readonly Statement[] }
  assert.ok(statements.length >= STATEMENTS_MIN, `${file} has ${statements.length} statements`)
  const texts = new Map([...filesOf(page)].map(([name, path]) => [name, read(path)]))
  const found: string[] = []
  const all = rows(page, heading)
  const ids = all.map(({ id }) => id)
  for (const { id, says } of statements) {
    const mine = all.filter((row) => row.id === id)
    if (mine.length !== 1) found.push(`${id} has ${mine.length} rows`)
    else if (mine[0]!.says !== says) found.push(`${id} says '${says}' in ${file}`)
  }
  const known = new Set(statements.map(({ id }) => id))
  found.push(...ids.filter((id) => !known.has(id)).map((id) => `${id} is no statement`))
  for (const { id, shownBy } of all) {
    // A note stands beside what shows the statement, not in its place.
    const entries = shownBy.filter((entry) => !entry.startsWith('Note: '))
    if (entries.length === 0) found.push(`${id} is shown by nothing`)
    for (const entry of entries) {
      const fault = faultOf(entry, texts)
      if (fault !== null) found.push(`${id}: ${fault}`)
    }
  }
  return found
}

for (const [heading, file] of STANDARDS) {
  test(`${PAGE} has a row with tests that are there for every statement of ${heading}`, () => {
    assert.deepEqual(faults(read(PAGE), heading, file), [])
  })
}

test('what is planted is found', () => {
  const page = read(PAGE)
  const [heading, file] = STANDARDS[0]!
  const planted: readonly (readonly [from: string | RegExp, to: string, fault: RegExp])[] = [
    [/\n\| MQTT-1\.5\.4-3 [^\n]*/, '', /1\.5\.4-3 has 0 rows/],
    [/\n\| (MQTT-1\.5\.4-3 [^\n]*)/, '\n| $1\n| $1', /1\.5\.4-3 has 2 rows/],
    ['MQTT-1.5.4-3 | EF', 'MQTT-1.5.4-3 | DF', /1\.5\.4-3 says/],
    ['| MQTT-1.5.4-3 |', '| MQTT-1.5.4-33 |', /1\.5\.4-33 is no statement/],
    ['publish: U+FEFF is kept', 'publish: U+FEFF is not kept', /is no title in the file/],
    ['publish: U+FEFF is kept', 'nobody: U+FEFF is kept', /a file that is not in the list/],
    ['publish: U+FEFF is kept', 'Note: U+FEFF is kept', /is shown by nothing/],
    ['publish: U+FEFF is kept wherever it stands', 'so it is', /names no test and no reason/],
  ]
  for (const [from, to, fault] of planted) {
    const changed = page.replace(from, to)
    assert.notEqual(changed, page, String(from))
    assert.match(faults(changed, heading, file).join('\n'), fault)
  }
})
