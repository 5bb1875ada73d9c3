import { nowMs, sleep } from '../../src/load/clock.ts'
import type { ConsumeResult } from '../../src/load/consumer.ts'
import { CpuMeter } from './cpu-meter.ts'
import type { Latencies } from '../../src/load/histogram.ts'
import type { PublishResult } from '../../src/load/publisher.ts'
import { rateBetween } from '../../src/load/sampler.ts'
import type { Metrics, Target } from './target.ts'
import { countReady, declareTopology, deleteTopology } from '../../src/load/topology.ts'
import { WorkerProcess } from './worker-process.ts'

export interface FlowOptions {
  readonly bodyBytes: number
  readonly window: number
  readonly queueCount: number
  readonly fanOut: boolean
  /** Messages a second, 0 for as many as possible. */
  readonly rate: number
  readonly seconds: number
  /** Default: no limit but time. */
  readonly count?: number
}

const PREFETCH = 5_000
/** Left out of the rate: compilers warm up, files are opened. */
const WARM_UP_MS = 1_000
const READY_TIMEOUT_MS = 10_000

/**
 * One publisher process with confirms and one consumer process with acks, at once.
 *
 * The rate is what the consumer got between warm-up and the last publish. Throws unless every
 * message was confirmed and came exactly once to every queue it was for.
 */
export async function runFlow(target: Target, options: FlowOptions): Promise<Metrics> {
  const { endpoint, pid } = target.server
  const { queueArguments } = target
  const topology = await declareTopology(endpoint, { ...options, queueArguments })
  const fanOut = options.fanOut ? options.queueCount : 1
  await using consumer = await WorkerProcess.start({
    role: 'consume',
    ...endpoint,
    queues: topology.queues,
    prefetch: Math.max(10, Math.floor(PREFETCH / (options.fanOut ? options.queueCount : 1))),
    checkOrder: options.queueCount === 1,
    measureLatency: options.rate > 0,
    holdFirst: false,
  })
  await using publisher = await WorkerProcess.start({
    role: 'publish',
    ...endpoint,
    exchange: topology.exchange,
    routingKeys: topology.routingKeys,
    bodyBytes: options.bodyBytes,
    window: options.window,
    count: options.count ?? Number.MAX_SAFE_INTEGER,
    seconds: options.seconds,
    rate: options.rate,
  })
  const cpu = new CpuMeter({ broker: pid, publisher: publisher.pid, consumer: consumer.pid })
  const published = await publisher.tell<PublishResult>({ command: 'run' })
  const expected = published.published * fanOut
  const consumed = await consumer.tell<ConsumeResult>({ command: 'finish', expected })
  const cpuMetrics = cpu.metrics(consumed.consumed)
  checkCounts(published, consumed, fanOut)
  await expectReady(target, topology.queues, 0)
  await deleteTopology(endpoint, topology)
  // The copies of a fan-out come long after their one publish, so its whole time counts.
  const fromMs = published.startMs + (options.fanOut ? 0 : WARM_UP_MS)
  const toMs = options.fanOut ? consumed.endMs : published.endMs
  return {
    messages: consumed.consumed,
    'consumed/s': rateBetween(consumed.samples, fromMs, toMs),
    'confirmed/s': rateBetween(published.samples, fromMs, published.endMs),
    ...latencyMetrics('delivery', consumed.latencies),
    ...latencyMetrics('confirm', published.confirmLatencies),
    ...cpuMetrics,
  }
}

/** Throws unless published = confirmed and every copy was consumed once. */
export function checkCounts(
  published: PublishResult,
  consumed: ConsumeResult,
  fanOut: number,
): void {
  const expected = published.published * fanOut
  if (published.confirmed !== published.published) {
    throw new Error(`${published.published} published, but ${published.confirmed} confirmed`)
  }
  if (consumed.consumed !== expected) {
    throw new Error(`${expected} to consume, but ${consumed.consumed} came`)
  }
  if (consumed.sequenceSum !== published.sequenceSum * fanOut) {
    throw new Error('the right number of messages, but not the ones that were published')
  }
  if (consumed.redelivered > 0) throw new Error(`${consumed.redelivered} were redelivered`)
}

/** Waits until the queues hold so many: a broker may count late, or still be starting. */
export async function expectReady(
  target: Target,
  queues: readonly string[],
  expected: number,
): Promise<void> {
  const deadline = nowMs() + READY_TIMEOUT_MS
  for (;;) {
    let found: string
    try {
      const ready = await countReady(target.server.endpoint, queues)
      if (ready === expected) return
      found = `the broker counts ${ready}`
    } catch (error) {
      found = (error as Error).message
    }
    if (nowMs() > deadline) {
      throw new Error(`${expected} messages should stand in the queues: ${found}`)
    }
    await sleep(20)
  }
}

function latencyMetrics(name: string, latencies: Latencies | null): Metrics {
  if (latencies === null) return {}
  return {
    [`${name} p50 ms`]: latencies.p50Ms,
    [`${name} p99 ms`]: latencies.p99Ms,
    [`${name} p99.9 ms`]: latencies.p999Ms,
    [`${name} max ms`]: latencies.maxMs,
  }
}
