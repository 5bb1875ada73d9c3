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
import { outputEnvironment, scanForSecrets } from './secret-scan.ts'
import { KINDS } from './test-kinds.ts'
import type { Kind } from './test-kinds.ts'

/** Of one failed test so much is said again in the summary. */
const FAILURE_LINES = 30

interface Outcome {
  readonly name: string
  readonly passed: boolean
  /** The verdict, and below it each skipped test with its reason. */
  readonly lines: readonly string[]
}

function runKind(name: string, kind: Kind, output: string): Outcome {
  if (!existsSync(kind.folder)) {
    const line = `${kind.folder}/ does not exist yet, nothing was run`
    return { name, passed: true, lines: [line] }
  }
  const files = [...new Set(globSync([...kind.patterns]))].toSorted()
  if (files.length === 0) {
    return { name, passed: false, lines: [`no test file matches ${kind.patterns.join(', ')}`] }
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-tests-'))
  try {
    const report = path.join(scratch, 'report.tap')
    const startedMs = performance.now()
    const child = spawnSync(process.execPath, [...nodeFlags(kind, report), ...files], {
      stdio: 'inherit',
      timeout: kind.totalMs,
      env: outputEnvironment(output),
    })
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    const tap = existsSync(report) ? readFileSync(report, 'utf8') : ''
    return judge(name, {
      tap,
      exit: child.error === undefined ? child.status : null,
      fileCount: files.length,
      seconds,
    })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** What brokers wrote in all these kinds must hold no secret that was used in them. */
function secretScan(): Outcome {
  const { fileCount, byteCount, secretCount, faults } = scanForSecrets(output)
  const size = `${(byteCount / 1024 / 1024).toFixed(1)} MiB`
  const lines = [
    `${fileCount} outputs, ${size}, looked through for ${secretCount} secrets`,
    ...faults,
  ]
  const hasRead = fileCount > 0 && secretCount > 0
  if (!hasRead) lines.push('nothing was looked through')
  return { name: 'secrets', passed: hasRead && faults.length === 0, lines }
}

interface Run {
  readonly tap: string
  /** Null when it did not end by itself, such as after `totalMs`. */
  readonly exit: number | null
  readonly fileCount: number
  readonly seconds: string
}

function judge(name: string, { tap, exit, fileCount, seconds }: Run): Outcome {
  const count = (label: string): number =>
    Number(new RegExp(`^# ${label} (\\d+)$`, 'm').exec(tap)?.[1] ?? 0)
  const lines = [
    `${fileCount} files, ${count('tests')} tests, ${count('fail')} failed, ${count('skipped')} skipped, ${seconds} s`,
  ]
  // Isolated by process, a file without any test is reported as one passed test bearing its path.
  const hollow = tap.match(/^ok \d+ - \S+\.test\.ts$/gm) ?? []
  for (const line of hollow) lines.push(`no test in ${line.replace(/^ok \d+ - /, '')}`)
  for (const line of tap.match(/^ *ok \d+ - .*# SKIP.*$/gm) ?? []) {
    lines.push(`skipped: ${line.replace(/^ *ok \d+ - /, '').replace(' # SKIP', ':')}`)
  }
  // Again at the end, where whoever reads only that finds them.
  for (const [failure] of tap.matchAll(/^ *not ok \d+ - [^]*?^ *\.\.\.$/gm)) {
    lines.push(...failure.split('\n').slice(0, FAILURE_LINES))
  }
  if (exit === null) lines.push('ended after its time: a test leaves something open')
  return { name, passed: exit === 0 && count('tests') > 0 && hollow.length === 0, lines }
}

function nodeFlags(kind: Kind, report: string): string[] {
  const flags = ['--test', `--test-timeout=${kind.timeoutMs}`]
  if (kind.isolation === 'none') flags.push('--test-isolation=none')
  else {
    // What a file leaves open ends with its process, and holds up nobody.
    flags.push(`--test-concurrency=${kind.concurrency}`, '--test-force-exit')
  }
  const reporter = process.stdout.isTTY ? 'spec' : 'dot'
  flags.push(`--test-reporter=${reporter}`, '--test-reporter-destination=stdout')
  flags.push('--test-reporter=tap', `--test-reporter-destination=${report}`)
  return flags
}

const names = process.argv.slice(2)
const outcomes: Outcome[] = []
const output = mkdtempSync(path.join(tmpdir(), 'waystation-output-'))
process.on('exit', () => rmSync(output, { recursive: true, force: true }))
for (const name of names) {
  const kind = KINDS[name]
  if (kind === undefined) {
    console.error(`unknown kind of tests '${name}', known are: ${Object.keys(KINDS).join(', ')}`)
    process.exit(2)
  }
  console.log(`\n${name}`)
  outcomes.push(runKind(name, kind, output))
}
if (names.includes('suites')) outcomes.push(secretScan())

console.log('')
for (const { name, passed, lines } of outcomes) {
  console.log(`${passed ? 'passed' : 'FAILED'}  ${name.padEnd(11)} ${lines.join('\n  ')}`)
}
if (outcomes.length === 0) {
  console.error(`name at least one kind of tests: ${Object.keys(KINDS).join(', ')}`)
  process.exitCode = 2
} else if (outcomes.some((outcome) => !outcome.passed)) {
  process.exitCode = 1
}
