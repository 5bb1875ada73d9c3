import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import type { AuditEvent } from '../model/audit.ts'
import { AuditFile } from './audit-file.ts'
import { AuditLog } from './audit-log.ts'
import { silentLog } from './log.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'waystation-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const REFUSED: AuditEvent = {
  event: 'login refused',
  user: 'u',
  peer: '192.0.2.1',
  action: 'login',
}

test('what is refused again and again is a line and a count', () => {
  const clock = new ManualClock()
  const lines: Readonly<Record<string, unknown>>[] = []
  const audit = new AuditLog(clock, (line) => lines.push(line))
  for (let n = 0; n < 1000; n++) audit.record(REFUSED)
  audit.record({ ...REFUSED, user: 'other' })
  assert.deepEqual(
    lines.map(({ user, repeated }) => [user, repeated]),
    [
      ['u', undefined],
      ['other', undefined],
    ],
  )
  clock.advance(10_000)
  assert.deepEqual([lines.length, lines[2]!['user'], lines[2]!['repeated']], [3, 'u', 999])
  audit.record(REFUSED)
  assert.equal(lines.length, 4)
  // A change is never one of many.
  const changed: AuditEvent = { event: 'changed', user: 'u', action: 'queue.delete', object: 'q' }
  audit.record(changed)
  audit.record(changed)
  assert.equal(lines.length, 6)
})

test('the file is for our eyes, and its size is bounded', async () => {
  const file = path.join(folder, 'audit.log')
  const options = { file, sizeMax: 2000, countMax: 3, log: silentLog }
  for (let n = 0; n < 50; n++) {
    await using audit = new AuditFile(options)
    audit.write({ n, text: 'x'.repeat(200) })
  }
  assert.deepEqual(readdirSync(folder).toSorted(), ['audit.log', 'audit.log.1', 'audit.log.2'])
  for (const name of readdirSync(folder)) {
    const { size, mode } = statSync(path.join(folder, name))
    assert.ok(size < 2300, `${name} has ${size} bytes`)
    assert.equal(mode & 0o077, 0)
  }
  const last = readFileSync(file, 'utf8').trim().split('\n').at(-1)!
  assert.equal((JSON.parse(last) as { n: number }).n, 49)
})

test('a file that cannot be written is told once, and lines are counted', async () => {
  const errors: string[] = []
  const log = { ...silentLog, error: (_fields: object, text: string) => void errors.push(text) }
  const file = path.join(folder, 'none', 'audit.log')
  await using audit = new AuditFile({ file, sizeMax: 1000, countMax: 2, log })
  for (let n = 0; n < 5; n++) {
    audit.write({ n })
    await audit[Symbol.asyncDispose]()
  }
  assert.deepEqual(errors, ['the audit log cannot be written'])
})
