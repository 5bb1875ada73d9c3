import { CpuMeter } from '../cpu-meter.ts'
import { rateBetween } from '../../../src/load/sampler.ts'
import type { Metrics, Target } from '../target.ts'
import { WorkerProcess } from '../worker-process.ts'
import type { MqttLoadResult, MqttLoadSpec } from '../../../src/load/mqtt/load.ts'

export type MqttFlowOptions = Omit<MqttLoadSpec, 'role' | 'host' | 'port'>

/** Left out of the rate: compilers warm up. */
const WARM_UP_MS = 1_000

/**
 * Publishers and subscribers of one load process against one broker.
 *
 * The rate is what subscribers got between warm-up and the last publish. Throws unless every
 * message was acknowledged, if it asked for it, and came exactly once to every subscriber.
 */
export async function runMqttFlow(target: Target, options: MqttFlowOptions): Promise<Metrics> {
  const { endpoint, pid } = target.server
  await using worker = await WorkerProcess.start({ role: 'mqtt-load', ...endpoint, ...options })
  const cpu = new CpuMeter({ broker: pid, load: worker.pid })
  const result = await worker.tell<MqttLoadResult>({ command: 'run' })
  const cpuMetrics = cpu.metrics(result.consumed)
  checkMqttCounts(result, options)
  const fromMs = result.startMs + WARM_UP_MS
  return {
    messages: result.consumed,
    'consumed/s': rateBetween(result.samples, fromMs, result.endMs),
    ...cpuMetrics,
  }
}

/** Throws unless published = acknowledged and every copy was consumed once. */
export function checkMqttCounts(
  result: MqttLoadResult,
  { qos, subscribers }: Pick<MqttFlowOptions, 'qos' | 'subscribers'>,
): void {
  const { published, acknowledged, consumed, redelivered } = result
  const toAcknowledge = qos === 0 ? 0 : published
  if (acknowledged !== toAcknowledge) {
    throw new Error(`${toAcknowledge} to acknowledge, but ${acknowledged} were`)
  }
  if (consumed !== published * subscribers) {
    throw new Error(`${published * subscribers} to consume, but ${consumed} came`)
  }
  if (redelivered > 0) throw new Error(`${redelivered} were redelivered`)
}
