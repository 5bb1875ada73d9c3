import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'

/** Seeds to run alone, as a failure names them, such as `17,4711`. */
const SEEDS = process.env['WAYSTATION_SIMULATION_SEEDS']
/** How many seeds, from 1 on, run otherwise, over all files. */
const RUNS = Number(process.env['WAYSTATION_SIMULATION_RUNS'] ?? 2000)
/** Seeds of one process and one test: starting a process costs about as much as three. */
const SEEDS_PER_TEST = 250
/** Files that share the seeds, so that every core has some. */
const PARTS = 4
/** A process that takes longer hangs: a second for each seed, where a tenth is usual. */
const PROCESS_MS_MAX = 250_000

/** Where programs are kept as the first process read them: that takes as long as ten seeds. */
const CACHE = path.join(tmpdir(), 'waystation-simulation-cache')

const PROGRAM = path.join(import.meta.dirname, 'seed-process.ts')

/** What came of some seeds. */
export interface SeedRun {
  /** How often the brokers crashed in those that ended well. */
  readonly crashCount: number
  /** The first seed that failed, and what was said; null: all ended well. */
  readonly failure: { readonly seed: number; readonly text: string } | null
}

/** Runs seeds in a process of their own, with a bug planted or none. */
export async function runSeeds(seeds: readonly number[], bug: string | null): Promise<SeedRun> {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify({ seeds, bug })], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: PROCESS_MS_MAX,
    env: { NODE_COMPILE_CACHE: CACHE, ...process.env },
  })
  const exit = once(child, 'exit') as Promise<[code: number | null, signal: string | null]>
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exit,
  ])
  const lines = output.split('\n').slice(0, -1)
  const crashCount = lines.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)
  const seed = seeds[lines.length]
  if (seed === undefined && code === 0) return { crashCount, failure: null }
  const said = errors === '' ? `ended with ${code ?? signal} and said nothing` : errors
  return { crashCount, failure: { seed: seed ?? seeds.at(-1)!, text: said } }
}

/** Declares the tests of one file, `part` counted from 0. */
export function testSeeds(part: number): void {
  const all = SEEDS?.split(',').map(Number) ?? firstSeeds(RUNS)
  const seeds = all.filter((_seed, at) => at % PARTS === part)
  for (let at = 0; at < seeds.length; at += SEEDS_PER_TEST) {
    const some = seeds.slice(at, at + SEEDS_PER_TEST)
    const label = `${some.length} seeds from ${some[0]} to ${some.at(-1)}`
    test(`a broker among crashes is what its model says: ${label}`, async () => {
      const { crashCount, failure } = await runSeeds(some, null)
      if (failure !== null) {
        const command = `WAYSTATION_SIMULATION_SEEDS=${failure.seed} npm run test:simulation`
        assert.fail(`seed ${failure.seed} failed; again with: ${command}\n${failure.text}`)
      }
      assert.ok(crashCount >= some.length, `only ${crashCount} crashes in ${label}`)
    })
  }
}

export function firstSeeds(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1)
}
