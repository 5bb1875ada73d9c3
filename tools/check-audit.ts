/**
 * Fails when a package that users install has a known hole. A registry that is not reached, or has
 * no such list, is named and passed over: whoever works offline must be able to check the rest.
 */
import { spawnSync } from 'node:child_process'

const TIMEOUT_MS = 30_000

interface Report {
  readonly metadata?: { readonly vulnerabilities?: { readonly total?: number } }
  readonly vulnerabilities?: Readonly<Record<string, { readonly severity: string }>>
}

const { stdout } = spawnSync('npm', ['audit', '--omit=dev', '--json', '--fetch-retries=0'], {
  encoding: 'utf8',
  timeout: TIMEOUT_MS,
})
const report = parsed(stdout)
const total = report?.metadata?.vulnerabilities?.total
if (total === undefined) {
  console.log('the registry does not answer npm audit: dependencies were not checked')
} else if (total > 0) {
  for (const [name, { severity }] of Object.entries(report?.vulnerabilities ?? {})) {
    console.error(`${name} has a known hole: ${severity}`)
  }
  process.exitCode = 1
}

function parsed(text: string): Report | null {
  try {
    return JSON.parse(text) as Report
  } catch {
    // No answer at all.
    return null
  }
}
