/**
 * Runs kinds of tests: `node tools/run-tests.ts unit suites`.
 *
 * A kind whose folder does not exist yet is named and passed over; a folder without a test
 * file, or test files without a test, fail: a runner that reads nothing must not pass.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { outputEnvironment, scanForSecrets } from './secret-scan.ts'
import { buildTestBroker } from './test-broker.ts'
import { KINDS } from './test-kinds.ts'
import type { Kind } from './test-kinds.ts'

/** What Node compiled the last time: loading the sources is half the time of a short test file. */
const COMPILED = { NODE_COMPILE_CACHE: path.resolve('node_modules/.cache/waystation-tests') }

/** Of one failed test so much is said again in the summary. */
const FAILURE_LINES = 30

interface Outcome {
  readonly name: string
  readonly passed: boolean
  /** The verdict, and below it each skipped test with its reason. */
  readonly lines: readonly string[]
}

async function runKind(name: string, kind: Kind, output: string): Promise<Outcome> {
  if (!existsSync(kind.folder)) {
    const line = `${kind.folder}/ does not exist yet, nothing was run`
    return { name, passed: true, lines: [line] }
  }
  const files = [...new Set(globSync([...kind.patterns]))].toSorted()
  if (files.length === 0) {
    return { name, passed: false, lines: [`no test file matches ${kind.patterns.join(', ')}`] }
  }
  const scratch = mkdtempSync(path.join(tmpdir(), 'waystation-tests-'))
  const startedMs = performance.now()
  const broker = kind.hasBrokerInOne === true ? await buildTestBroker() : null
  try {
    const env = { ...outputEnvironment(output), ...COMPILED, ...broker?.environment }
    const shares = sharesOf(files, kind.isolation === 'none' ? kind.concurrency : 1)
    const runs = await Promise.all(
      shares.map(async (share, at) => {
        return runFiles(kind, share, { reports: path.join(scratch, String(at)), env })
      }),
    )
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    return judge(name, runs, { fileCount: files.length, seconds })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
    if (broker !== null) rmSync(broker.folder, { recursive: true, force: true })
  }
}

/** Neighbours go apart: files of one folder are often alike, and alike slow. */
function sharesOf(files: readonly string[], count: number): string[][] {
  const shares = Array.from({ length: Math.min(count, files.length) }, (): string[] => [])
  for (const [at, file] of files.entries()) shares[at % shares.length]!.push(file)
  return shares
}

interface Reports {
  readonly tap: string
  readonly durations: string
}

async function runFiles(
  kind: Kind,
  files: readonly string[],
  { reports, env }: { readonly reports: string; readonly env: NodeJS.ProcessEnv },
): Promise<Run> {
  const tap = `${reports}.tap`
  const durations = `${reports}.xml`
  const child = spawn(process.execPath, [...nodeFlags(kind, { tap, durations }), ...files], {
    stdio: 'inherit',
    timeout: kind.totalMs,
    env,
  })
  const [exit] = (await once(child, 'exit')) as [number | null]
  const text = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  return { exit, tap: text(tap), durations: text(durations) }
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
  /** In the form of JUnit, which says of each test in which file it is. */
  readonly durations: string
  /** Null when it did not end by itself, such as after `totalMs`. */
  readonly exit: number | null
}

function judge(
  name: string,
  runs: readonly Run[],
  { fileCount, seconds }: { readonly fileCount: number; readonly seconds: string },
): Outcome {
  const tap = runs.map((run) => run.tap).join('\n')
  const count = (label: string): number => {
    const found = tap.matchAll(new RegExp(`^# ${label} (\\d+)$`, 'gm'))
    return [...found].reduce((sum, [, digits]) => sum + Number(digits), 0)
  }
  const lines = [
    `${fileCount} files, ${count('tests')} tests, ${count('fail')} failed, ${count('skipped')} skipped, ${seconds} s`,
  ]
  const slowest = slowestFiles(runs.map((run) => run.durations).join('\n'))
  if (slowest.length > 0) lines.push(`slowest: ${slowest.join(', ')}`)
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
  if (runs.some(({ exit }) => exit === null)) {
    lines.push('ended after its time: a test leaves something open')
  }
  const isDone = runs.every((run) => run.exit === 0 && / *# tests [1-9]/.test(run.tap))
  return { name, passed: isDone && hollow.length === 0, lines }
}

/** So much of a file's time is worth a word. */
const SLOW_MS = 10_000
const SLOWEST_COUNT = 8

/** Where the time went, by what the tests of each file took. */
function slowestFiles(junit: string): string[] {
  const times = new Map<string, number>()
  for (const [, time, file = ''] of junit.matchAll(
    /<testcase [^>]*time="([^"]+)"[^>]*file="([^"]+)"/g,
  )) {
    times.set(file, (times.get(file) ?? 0) + Number(time) * 1000)
  }
  return [...times]
    .filter(([, ms]) => ms >= SLOW_MS)
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, SLOWEST_COUNT)
    .map(([file, ms]) => `${path.basename(file, '.test.ts')} ${Math.round(ms / 1000)} s`)
}

function nodeFlags(kind: Kind, { tap, durations }: Reports): string[] {
  const flags = ['--test', `--test-timeout=${kind.timeoutMs}`]
  if (kind.isolation === 'none') flags.push('--test-isolation=none')
  else {
    // What a file leaves open ends with its process, and holds up nobody.
    flags.push(`--test-concurrency=${kind.concurrency}`, '--test-force-exit')
  }
  const reporter = process.stdout.isTTY ? 'spec' : 'dot'
  flags.push(`--test-reporter=${reporter}`, '--test-reporter-destination=stdout')
  flags.push('--test-reporter=tap', `--test-reporter-destination=${tap}`)
  flags.push('--test-reporter=junit', `--test-reporter-destination=${durations}`)
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
  outcomes.push(await runKind(name, kind, output))
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
