/** systemd reads the unit that comes with the project, and finds it well shut off from the machine. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { onPath } from './driver.ts'

const UNIT = path.join(import.meta.dirname, '../../operations/systemd/waystation.service')

test('systemd-analyze', (context) => {
  const program = onPath('systemd-analyze')
  if (program === null) {
    context.skip('systemd-analyze is absent: it comes with systemd')
    return
  }
  const { status, stdout, stderr } = spawnSync(program, ['verify', UNIT], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  assert.equal(stdout + stderr, '')
  assert.equal(status, 0)
  // 10 is open to everything.
  const ask = ['security', '--offline=true', '--threshold=25', UNIT]
  const security = spawnSync(program, ask, { encoding: 'utf8', timeout: 60_000 })
  assert.equal(security.status, 0, security.stdout.slice(-2000) + security.stderr)
})
