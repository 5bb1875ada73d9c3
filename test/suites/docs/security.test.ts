/** The threat model names a test for each row: it must exist under that name. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const PAGE = readFileSync('docs/security.md', 'utf8')

interface Shown {
  readonly threat: string
  readonly file: string
  /** Null: all of the file. */
  readonly name: string | null
}

function rowsOf(page: string): Shown[] {
  const rows: Shown[] = []
  const [, table = ''] = page.split('| threat | defence | shown by |')
  for (const line of table.split('\n').slice(2)) {
    if (!line.startsWith('|')) break
    const [threat = '', , shown = ''] = line.slice(1).split(' | ')
    const found = /^`([^`]+)`(?:: (.+?))? \|$/.exec(shown)
    assert.ok(found, `no test in the row of '${threat.trim()}'`)
    rows.push({ threat: threat.trim(), file: found[1]!, name: found[2] ?? null })
  }
  return rows
}

/** Null: it is there. */
function faultOf({ threat, file, name }: Shown): string | null {
  if (!existsSync(file)) return `${threat}: there is no ${file}`
  const text = readFileSync(file, 'utf8')
  if (name === null) {
    // A step of the check is no file of tests.
    const isTest = file.endsWith('.test.ts')
    return !isTest || /\btest\(/.test(text) ? null : `${threat}: no test in ${file}`
  }
  const quoted = [`'${name}'`, JSON.stringify(name), `\`${name}\``]
  return quoted.some((one) => text.includes(one)) ? null : `${threat}: ${file} has no '${name}'`
}

test('every threat in docs/security.md has a test that exists', () => {
  const rows = rowsOf(PAGE)
  assert.ok(rows.length >= 25, `${rows.length} rows`)
  assert.deepEqual(rows.map(faultOf).filter(Boolean), [])
})

test('a row whose test is gone is found', () => {
  const [row] = rowsOf(PAGE)
  assert.ok(row)
  assert.match(faultOf({ ...row, name: 'no such test' }) ?? '', /has no 'no such test'/)
  assert.match(faultOf({ ...row, file: 'test/none.test.ts' }) ?? '', /there is no/)
})
