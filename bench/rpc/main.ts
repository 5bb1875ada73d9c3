/**
 * `npm run bench -- rpc`: calls per second of our frames and of our gRPC, directly and through the
 * broker, beside those of others in the same run. Servers and callers are processes of their own;
 * the other side echoes about 100 octets.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { describeCommit, describeMachine } from '../load/report.ts'
import type { Measured } from './drive.ts'
import { type Kind, KINDS, type Load, Parts } from './kinds.ts'
import { Processes } from './processes.ts'

const USAGE = `npm run bench -- rpc [kind...] [options]
  --seconds N            how long each is measured (default 5)
  --rounds N             how often; the kinds take turns (default 3)
  --json FILE            where to write the runs
kinds (all that are installed):
${KINDS.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join('\n')}`

interface RpcRun extends Measured {
  readonly kind: string
  readonly load: string
  readonly round: number
}

export async function runRpcBench(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (values.help) {
    console.log(USAGE)
    return
  }
  await using parts = new Parts()
  const kinds = chooseKinds(positionals, parts)
  const runs: RpcRun[] = []
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const kind of kinds) {
      for (const load of kind.loads) {
        const measured = await measure(kind, parts, { ...load, seconds: Number(values.seconds) })
        runs.push({ kind: kind.name, load: load.name, round, ...measured })
        console.log(lineOf(kind, load, measured))
      }
    }
  }
  console.log(`\nmedians of ${values.rounds} rounds`)
  for (const kind of kinds) {
    for (const load of kind.loads) {
      const own = runs.filter((run) => run.kind === kind.name && run.load === load.name)
      console.log(lineOf(kind, load, medianOf(own)))
    }
  }
  if (values.json === undefined) return
  mkdirSync(path.dirname(values.json), { recursive: true })
  const head = {
    date: new Date().toISOString(),
    commit: describeCommit(),
    machine: describeMachine(),
  }
  writeFileSync(values.json, `${JSON.stringify({ ...head, runs }, null, 2)}\n`)
}

function chooseKinds(names: readonly string[], parts: Parts): readonly Kind[] {
  for (const name of names) {
    if (!KINDS.some((kind) => kind.name === name)) throw new Error(`no kind '${name}'\n${USAGE}`)
  }
  const wanted = KINDS.filter(({ name }) => names.length === 0 || names.includes(name))
  const there = wanted.filter((kind) => kind.isThere(parts))
  for (const { name } of wanted.filter((kind) => !there.includes(kind))) {
    console.log(`not installed: ${name}`)
  }
  return there
}

async function measure(
  kind: Kind,
  parts: Parts,
  load: Load & { readonly seconds: number },
): Promise<Measured> {
  await using processes = new Processes()
  const url = await kind.open(processes, parts)
  const text = await processes.line(kind.caller(parts, url, load), load.seconds)
  return JSON.parse(text) as Measured
}

function medianOf(runs: readonly RpcRun[]): Measured {
  const median = (pick: (run: RpcRun) => number): number =>
    runs.map(pick).toSorted((one, other) => one - other)[Math.floor(runs.length / 2)] ?? 0
  return {
    callsPerSecond: median((run) => run.callsPerSecond),
    p50Ms: median((run) => run.p50Ms),
    p99Ms: median((run) => run.p99Ms),
  }
}

function lineOf(kind: Kind, load: Load, { callsPerSecond, p50Ms, p99Ms }: Measured): string {
  const rate = Math.round(callsPerSecond).toLocaleString('en').padStart(9)
  const head = `${kind.name.padEnd(16)} ${load.name.padEnd(20)} ${rate}`
  if (load.messageBytes !== null) {
    const megabytes = (callsPerSecond * load.messageBytes) / 1e6
    return `${head} messages/s  ${megabytes.toFixed(1)} MB/s`
  }
  return `${head} calls/s  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms`
}
