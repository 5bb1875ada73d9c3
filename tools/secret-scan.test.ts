import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { outputEnvironment, scanForSecrets, type ScanResult } from './secret-scan.ts'

/** What a test program would do that runs under the runner. */
function scanAfter(t: TestContext, program: string): ScanResult {
  const folder = mkdtempSync(path.join(tmpdir(), 'waystation-scan-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const module = JSON.stringify(path.join(import.meta.dirname, 'secret-scan.ts'))
  const code = `import { noteSecret, keepOutput } from ${module}\n${program}`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
    env: outputEnvironment(folder),
    encoding: 'utf8',
  })
  assert.equal(run.status, 0, run.stderr)
  return scanForSecrets(folder)
}

test('a planted secret is found, and not repeated', (t) => {
  const found = scanAfter(
    t,
    `noteSecret('planted-secret-1')
     noteSecret('another-secret-2')
     keepOutput('broker 1', 'all is well\\nlogin with planted-secret-1 refused\\n')
     keepOutput('broker 2', 'nothing here\\n')`,
  )
  assert.equal(found.faults.length, 1)
  assert.match(found.faults[0]!, /secret 1 of 2 is in \d+-broker_1\.output: login with <SECRET>/)
  assert.deepEqual([found.fileCount, found.secretCount], [2, 2])
})

test('what was noted and never written is no fault; short words are not looked for', (t) => {
  const found = scanAfter(
    t,
    `noteSecret('guest'); noteSecret('unwritten-1'); keepOutput('a', 'guest')`,
  )
  assert.deepEqual([found.faults, found.secretCount], [[], 1])
})
