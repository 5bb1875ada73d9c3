import type { ChurnResult } from './churn.ts'
import { sleep } from '../../src/load/clock.ts'
import { cpuSeconds, residentBytes } from './process-stats.ts'
import type { Metrics, Target } from './target.ts'
import { WorkerProcess } from './worker-process.ts'

/** Few enough that the ports of closed connections do not run out. */
const CHURN_COUNT = 2_000
const CHURN_CONCURRENCY = 10
const IDLE_COUNT = 10_000
const SETTLE_MS = 5_000

/** Connections with one channel, opened and closed in order, ten at a time. */
export async function runChurn(target: Target): Promise<Metrics> {
  const { endpoint, pid } = target.server
  const spec = { ...endpoint, count: CHURN_COUNT, concurrency: CHURN_CONCURRENCY }
  await using worker = await WorkerProcess.start({ role: 'churn', ...spec })
  const before = cpuSeconds(pid)
  const result = await worker.tell<ChurnResult>({ command: 'run' })
  return {
    connections: result.opened,
    'connections/s': (result.opened * 1000) / (result.endMs - result.startMs),
    'broker CPU ms/connection': ((cpuSeconds(pid) - before) * 1000) / result.opened,
  }
}

/** Memory of connections that are open, have a channel and do nothing. */
export async function runIdle(target: Target): Promise<Metrics> {
  const { endpoint, pid } = target.server
  const before = residentBytes(pid)
  const spec = { ...endpoint, count: IDLE_COUNT }
  await using worker = await WorkerProcess.start({ role: 'idle', ...spec })
  await sleep(SETTLE_MS)
  const resident = residentBytes(pid)
  const open = await worker.tell<number>({ command: 'run' })
  if (open !== IDLE_COUNT) throw new Error(`${IDLE_COUNT} opened, but ${open} stayed`)
  return {
    connections: open,
    'resident before MB': before / 1e6,
    'resident MB': resident / 1e6,
    'kB/connection': (resident - before) / 1e3 / open,
  }
}
