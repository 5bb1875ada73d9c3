/**
 * Runs kinds of tests: `node tools/run-tests.ts unit suites`.
 *
 * A kind whose folder does not exist yet is named and passed over; a folder without a test
 * file, or test files without a test, fail: a runner that reads nothing must not pass.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

interface Kind {
  readonly folder: string
  readonly patterns: readonly string[]
  /** `none` shares one process and starts fast; `process` keeps one file's end from another's. */
  readonly isolation: 'none' | 'process'
  /** How many files run at once, when each has its own process. */
  readonly concurrency: number
  /** After this long one test counts as hung. */
  readonly timeoutMs: number
}

const KINDS: Readonly<Record<string, Kind>> = {
  unit: {
    folder: 'src',
    patterns: ['src/**/*.test.ts', 'tools/**/*.test.ts'],
    isolation: 'none',
    concurrency: 1,
    timeoutMs: 60_000,
  },
  tidy: folderKind('tidy', 'none', 60_000),
  suites: folderKind('suites', 'process', 120_000),
  simulation: folderKind('simulation', 'process', 300_000),
  interop: folderKind('interop', 'process', 300_000),
  crash: folderKind('crash', 'process', 600_000),
}

function folderKind(name: string, isolation: Kind['isolation'], timeoutMs: number): Kind {
  const folder = `test/${name}`
  return { folder, patterns: [`${folder}/**/*.test.ts`], isolation, concurrency: 2, timeoutMs }
}

interface Outcome {
  readonly name: string
  readonly passed: boolean
  readonly line: string
}

function runKind(name: string, kind: Kind): Outcome {
  if (!existsSync(kind.folder)) {
    return { name, passed: true, line: `${kind.folder}/ does not exist yet, nothing was run` }
  }
  const files = [...new Set(globSync([...kind.patterns]))].toSorted()
  if (files.length === 0) {
    return { name, passed: false, line: `no test file matches ${kind.patterns.join(', ')}` }
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-tests-'))
  try {
    const report = path.join(scratch, 'report.tap')
    const startedMs = performance.now()
    const child = spawnSync(process.execPath, [...nodeFlags(kind, report), ...files], {
      stdio: 'inherit',
    })
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    const tap = existsSync(report) ? readFileSync(report, 'utf8') : ''
    const count = (label: string): number =>
      Number(new RegExp(`^# ${label} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0)
    const line = `${files.length} files, ${count('tests')} tests, ${count('fail')} failed, ${count('skipped')} skipped, ${seconds} s`
    // Isolated by process, a file without any test counts as one passed test bearing its name.
    return { name, passed: child.status === 0 && count('tests') > 0, line }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function nodeFlags(kind: Kind, report: string): string[] {
  const flags = ['--test', `--test-timeout=${kind.timeoutMs}`]
  if (kind.isolation === 'none') flags.push('--test-isolation=none')
  else flags.push(`--test-concurrency=${kind.concurrency}`)
  const reporter = process.stdout.isTTY ? 'spec' : 'dot'
  flags.push(`--test-reporter=${reporter}`, '--test-reporter-destination=stdout')
  flags.push('--test-reporter=tap', `--test-reporter-destination=${report}`)
  return flags
}

const names = process.argv.slice(2)
const outcomes: Outcome[] = []
for (const name of names) {
  const kind = KINDS[name]
  if (kind === undefined) {
    console.error(`unknown kind of tests '${name}', known are: ${Object.keys(KINDS).join(', ')}`)
    process.exit(2)
  }
  console.log(`\n${name}`)
  outcomes.push(runKind(name, kind))
}

console.log('')
for (const { name, passed, line } of outcomes) {
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name.padEnd(11)} ${line}`)
}
if (outcomes.length === 0) {
  console.error(`name at least one kind of tests: ${Object.keys(KINDS).join(', ')}`)
  process.exitCode = 2
} else if (outcomes.some((outcome) => !outcome.passed)) {
  process.exitCode = 1
}
