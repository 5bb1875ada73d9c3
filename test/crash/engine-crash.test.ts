import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

const RUNS = Number(process.env['WAYSTATION_CRASH_RUNS'] ?? 400)
const PROGRAM = path.join(import.meta.dirname, 'engine-histories.ts')
const ENDS_WITHIN_MS = 500_000

test('after a crash at any point every answered commit is there, and none in part', async () => {
  // Rejects with what it wrote, where it ends otherwise than well.
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, String(RUNS)], {
    timeout: ENDS_WITHIN_MS,
  })
  const crashCount = Number(stdout)
  assert.ok(crashCount > RUNS / 2, `only ${crashCount} crashes happened`)
})
