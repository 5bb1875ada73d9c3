/**
 * `npm run bench -- rpc`: calls per second of our frames, brokered and direct, and of grpc-js in the
 * same run. Broker, provider and caller are processes of their own; the other side echoes about 100 octets.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { describeCommit, describeMachine } from '../load/report.ts'

const PEER = path.join(import.meta.dirname, 'peer.ts')
const KINDS = ['brokered', 'direct', 'grpc-js'] as const
const IN_FLIGHT = [1, 64] as const
/** For a process to start on a machine that is busy. */
const READY_WITHIN_MS = 60_000

interface Measured {
  readonly callsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface RpcRun extends Measured {
  readonly kind: string
  readonly inFlight: number
  readonly round: number
}

export async function runRpcBench(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '5' },
      rounds: { type: 'string', default: '3' },
      json: { type: 'string' },
    },
    allowPositionals: true,
  })
  const runs: RpcRun[] = []
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const kind of KINDS) {
      for (const inFlight of IN_FLIGHT) {
        const measured = await measure(kind, inFlight, Number(values.seconds))
        runs.push({ kind, inFlight, round, ...measured })
        console.log(lineOf(kind, inFlight, measured))
      }
    }
  }
  console.log(`\nmedians of ${values.rounds} rounds`)
  for (const kind of KINDS) {
    for (const inFlight of IN_FLIGHT) {
      const own = runs.filter((run) => run.kind === kind && run.inFlight === inFlight)
      console.log(lineOf(kind, inFlight, medianOf(own)))
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

async function measure(kind: string, inFlight: number, seconds: number): Promise<Measured> {
  await using processes = new AsyncDisposableStack()
  const start = async (...args: string[]): Promise<string> => {
    const child = spawn(process.execPath, [PEER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()))
    processes.defer(async () => {
      child.kill('SIGKILL')
      await ended
    })
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${args.join(' ')} said nothing`)),
        READY_WITHIN_MS + seconds * 2000,
      )
      child.once('exit', () => reject(new Error(`${args.join(' ')} ended without a word`)))
      child.stdout.once('data', (bytes: Buffer) => {
        clearTimeout(timer)
        resolve(bytes.toString('utf8').trim())
      })
    })
  }
  const broker = kind === 'brokered' ? await start('broker') : ''
  const url = await start(kind, 'provide', broker)
  return JSON.parse(await start(kind, 'call', url, String(inFlight), String(seconds))) as Measured
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

function lineOf(kind: string, inFlight: number, measured: Measured): string {
  const { callsPerSecond, p50Ms, p99Ms } = measured
  const rate = Math.round(callsPerSecond).toLocaleString('en').padStart(9)
  const times = `p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms`
  return `${kind.padEnd(9)} ${String(inFlight).padStart(3)} in flight ${rate} calls/s  ${times}`
}
