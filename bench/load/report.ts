import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Metrics } from './target.ts'

export interface Run {
  readonly scenario: string
  readonly target: string
  readonly round: number
  /** What went wrong; then there are no metrics. */
  readonly error: string | null
  readonly metrics: Metrics
}

export interface Report {
  readonly date: string
  readonly commit: string
  readonly machine: Readonly<Record<string, string | number>>
  /** Product and version by target, as each names itself. */
  readonly versions: Readonly<Record<string, string>>
  readonly settings: object
  readonly runs: readonly Run[]
}

export function describeMachine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()} ${arch()}`,
    node: process.version,
  }
}

/** The commit of the working tree, marked when files differ from it; `unknown` without git. */
export function describeCommit(): string {
  const git = (...args: readonly string[]): string => {
    const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
    return execFileSync('git', args, { encoding: 'utf8', stdio }).trim()
  }
  try {
    const changed = git('status', '--porcelain', '--', 'src') === '' ? '' : '+changes'
    return git('rev-parse', '--short=12', 'HEAD') + changed
  } catch {
    // A tarball has no history, and a bench there is as good.
    return 'unknown'
  }
}

/**
 * One scenario as a table: a line per metric with the median over the rounds, a column per
 * target, and how many times each other target's figure the first one's is.
 */
export function scenarioTable(runs: readonly Run[]): string {
  const targets = [...new Set(runs.map((run) => run.target))]
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))]
  const rows = [['', ...targets, ...targets.slice(1).map((target) => `× ${target}`)]]
  for (const name of names) {
    const values = targets.map((target) => medianOf(runs, target, name))
    const [first = Number.NaN] = values
    const ratios = values.slice(1).map((value) => formatRatio(first / value))
    rows.push([name, ...values.map(formatNumber), ...ratios])
  }
  const widths = rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, at) =>
        at === 0 ? cell.padEnd(widths?.[at] ?? 0) : cell.padStart(widths?.[at] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  const errors = runs.filter((run) => run.error !== null)
  return [...lines, ...errors.map((run) => `FAILED on ${run.target}: ${run.error}`)].join('\n')
}

/** Writes it to `file`, or else into the folder of results that git ignores. */
export function writeReport(file: string | undefined, report: Report): void {
  const results = fileURLToPath(new URL('../results/local', import.meta.url))
  const day = report.date.slice(0, 16).replaceAll(':', '')
  const path = file ?? join(results, `${day}-${report.commit}.json`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify(report, null, 1)}\n`)
}

function medianOf(runs: readonly Run[], target: string, metric: string): number {
  const values = runs
    .filter((run) => run.target === target && metric in run.metrics)
    .map((run) => run.metrics[metric] ?? Number.NaN)
    .toSorted((a, b) => a - b)
  return values[values.length >> 1] ?? Number.NaN
}

function formatNumber(value: number): string {
  if (Number.isNaN(value)) return '-'
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 })
}

function formatRatio(value: number): string {
  return Number.isFinite(value) ? value.toFixed(2) : '-'
}
