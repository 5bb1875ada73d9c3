/**
 * Fails when a package that users install has a known hole of level moderate or above. A registry that is not reached, or has
 * no such list, is named and passed over: whoever works offline must be able to check the rest.
 */
import { spawnSync } from 'node:child_process'

const TIMEOUT_MS = 30_000
/** What is below them is told of, and stops nobody. */
const GRAVE = ['moderate', 'high', 'critical']

interface Report {
  readonly metadata?: { readonly vulnerabilities?: Readonly<Record<string, number>> }
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>
}

const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=0'], {
  encoding: 'utf8',
  timeout: TIMEOUT_MS,
})
const report = parsed(stdout)
const counts = report?.metadata?.vulnerabilities
if (counts === undefined) {
  console.log('the registry does not answer npm audit: dependencies were not checked')
} else {
  for (const [name, { severity }] of Object.entries(report?.vulnerabilities ?? {})) {
    console.error(`${name} has a known hole: ${severity}`)
  }
  const grave = GRAVE.reduce((sum, severity) => sum + (counts[severity] ?? 0), 0)
  if (grave > 0) process.exitCode = 1
}

function parsed(text: string): Report | null {
  try {
    return JSON.parse(text) as Report
  } catch {
    // No answer at all.
    return null
  }
}
