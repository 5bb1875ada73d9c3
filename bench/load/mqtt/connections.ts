import { nowMs, sleep } from '../../../src/load/clock.ts'
import { cpuSeconds, residentBytes } from '../process-stats.ts'
import type { Metrics, Target } from '../target.ts'
import { WorkerProcess } from '../worker-process.ts'
import type { MqttIdleResult } from './idle.ts'
import type { Qos } from '../../../src/load/mqtt/wire.ts'

const COUNT = 10_000
const KEEP_ALIVE_SECONDS = 60
const SETTLE_MS = 3_000

/** Memory of a fresh broker's clients that are connected, keep alive and do nothing. */
export async function runMqttConnections(
  target: Target,
  subscribedQos: Qos | null,
): Promise<Metrics> {
  const { server } = target
  if (server.pid !== null) await server.renew()
  const before = residentBytes(server.pid)
  const options = { count: COUNT, keepAliveSeconds: KEEP_ALIVE_SECONDS, subscribedQos }
  const cpuBefore = cpuSeconds(server.pid)
  const startMs = nowMs()
  await using worker = await WorkerProcess.start({
    role: 'mqtt-idle',
    ...server.endpoint,
    ...options,
  })
  const openMs = nowMs() - startMs
  const openCpu = cpuSeconds(server.pid) - cpuBefore
  await sleep(SETTLE_MS)
  const resident = residentBytes(server.pid)
  const cpuIdle = cpuSeconds(server.pid)
  const { answered, pingMs } = await worker.tell<MqttIdleResult>({ command: 'run' })
  if (answered !== COUNT) throw new Error(`${COUNT} pinged, but ${answered} were answered`)
  return {
    connections: answered,
    'opened/s': (COUNT * 1_000) / openMs,
    'broker CPU ms/connection': (openCpu * 1e3) / COUNT,
    'resident before MB': before / 1e6,
    'resident MB': resident / 1e6,
    'kB/connection': (resident - before) / 1e3 / COUNT,
    'all answer PINGREQ ms': pingMs,
    'broker CPU µs/PINGREQ': ((cpuSeconds(server.pid) - cpuIdle) * 1e6) / COUNT,
  }
}
