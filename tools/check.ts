/**
 * Runs every check that needs no broker, and all of them even when one fails, so that one run
 * names everything there is to mend.
 */
import { spawnSync } from 'node:child_process'

const STEPS = [
  'format:check',
  'lint',
  'types',
  'knip',
  'generate:check',
  'tidy',
  'audit:check',
] as const

const failed: string[] = []
for (const step of STEPS) {
  const startedMs = performance.now()
  const child = spawnSync('npm', ['run', '--silent', step], { encoding: 'utf8' })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  const passed = child.status === 0
  console.log(`${passed ? 'passed' : 'FAILED'}  ${step.padEnd(14)} ${seconds} s`)
  if (passed) continue
  failed.push(step)
  console.log(`${child.stdout}${child.stderr}`)
}
if (failed.length > 0) {
  console.error(`check failed: ${failed.join(', ')}`)
  process.exitCode = 1
}
