import { nowMs, sleep } from '../../src/load/clock.ts'
import type { ConsumeResult } from '../../src/load/consumer.ts'
import { checkCounts, expectReady, runFlow } from './flow.ts'
import { diskBytes, residentBytes } from './process-stats.ts'
import type { PublishResult } from '../../src/load/publisher.ts'
import type { StopSignal } from './server.ts'
import type { Metrics, Target } from './target.ts'
import { declareTopology, deleteTopology, type Topology } from '../../src/load/topology.ts'
import { WorkerProcess } from './worker-process.ts'

const BODY_BYTES = 100
const WINDOW = 5_000
const PREFETCH = 5_000
const FILL_SECONDS_MAX = 1_200
/** Time for a broker to write behind or to collect garbage before it is measured. */
const SETTLE_MS = 5_000
const MEGABYTE = 1e6

/**
 * Fills a queue, restarts the broker under it and drains it.
 *
 * Memory is what the broker's processes keep resident while the messages stand there.
 */
export async function runBacklog(target: Target, count: number): Promise<Metrics> {
  const metrics: Record<string, number> = { messages: count }
  const empty = { bodyBytes: BODY_BYTES, window: WINDOW, queueCount: 1, fanOut: false, rate: 0 }
  const flow = await runFlow(target, { ...empty, seconds: 5 })
  metrics['empty-queue consumed/s'] = flow['consumed/s'] ?? 0
  const topology = await declareOne(target)
  metrics['resident before MB'] = residentBytes(target.server.pid) / MEGABYTE

  const published = await fill(target, topology, count, metrics)
  await expectReady(target, topology.queues, count)
  await sleep(SETTLE_MS)
  metrics['resident standing MB'] = residentBytes(target.server.pid) / MEGABYTE
  metrics['disk standing MB'] = disk(target)
  if (target.server.pid !== null) {
    for (const signal of target.server.stopSignals) {
      metrics[`ready after ${signal} ms`] = await restart(target, signal, topology, count)
    }
    metrics['resident after restart MB'] = residentBytes(target.server.pid) / MEGABYTE
  }
  await using consumer = await openConsumer(target, topology, false)
  const consumed = await consumer.tell<ConsumeResult>({ command: 'finish', expected: count })
  checkCounts(published, consumed, 1)
  metrics['drained/s'] = (count * 1000) / (consumed.endMs - consumed.startMs)
  metrics['drain % of empty-queue rate'] =
    (100 * metrics['drained/s']) / metrics['empty-queue consumed/s']
  await expectReady(target, topology.queues, 0)
  await sleep(SETTLE_MS)
  metrics['disk drained MB'] = disk(target)
  await deleteTopology(target.server.endpoint, topology)
  return metrics
}

const STEADY_SECONDS = 5
const STEADY_SECONDS_MAX = 60

/** Settles all of a queue but its first message and waits for the disk space to fall. */
export async function runUnsettled(target: Target, count: number): Promise<Metrics> {
  const metrics: Record<string, number> = { messages: count }
  const topology = await declareOne(target)
  metrics['disk before MB'] = disk(target)
  await fill(target, topology, count, metrics)
  await expectReady(target, topology.queues, count)
  metrics['disk full MB'] = disk(target)
  await using consumer = await openConsumer(target, topology, true)
  await consumer.tell<ConsumeResult>({ command: 'finish', expected: count - 1 })
  let smallest = disk(target)
  let steady = 0
  let seconds = 0
  for (; seconds < STEADY_SECONDS_MAX && steady < STEADY_SECONDS; seconds++) {
    await sleep(1000)
    const now = disk(target)
    steady = now < smallest ? 0 : steady + 1
    smallest = Math.min(smallest, now)
  }
  metrics['disk one left MB'] = disk(target)
  metrics['seconds until steady'] = seconds - steady
  await consumer.tell({ command: 'release' })
  await expectReady(target, topology.queues, 1)
  await deleteTopology(target.server.endpoint, topology)
  return metrics
}

/** Publishes to a thousand queues without consumers: is a body stored once or a thousand times? */
export async function runFanOutDisk(target: Target): Promise<Metrics> {
  const queueCount = 1_000
  const count = 200
  const bodyBytes = 16_384
  const { queueArguments, server } = target
  const options = { queueCount, fanOut: true, queueArguments }
  const topology = await declareTopology(server.endpoint, options)
  const before = disk(target)
  const fillOptions = { bodyBytes, window: 50 }
  const metrics: Record<string, number> = { messages: count, queues: queueCount }
  await fill(target, topology, count, metrics, fillOptions)
  await expectReady(target, topology.queues, count * queueCount)
  await sleep(SETTLE_MS)
  metrics['disk MB'] = disk(target) - before
  metrics['disk per body byte'] = (metrics['disk MB'] * MEGABYTE) / (count * bodyBytes)
  await deleteTopology(server.endpoint, topology)
  return metrics
}

function declareOne(target: Target): Promise<Topology> {
  const { queueArguments, server } = target
  return declareTopology(server.endpoint, { queueCount: 1, fanOut: false, queueArguments })
}

async function fill(
  target: Target,
  topology: Topology,
  count: number,
  metrics: Record<string, number>,
  options = { bodyBytes: BODY_BYTES, window: WINDOW },
): Promise<PublishResult> {
  await using publisher = await WorkerProcess.start({
    role: 'publish',
    ...target.server.endpoint,
    ...options,
    exchange: topology.exchange,
    routingKeys: topology.routingKeys,
    count,
    seconds: FILL_SECONDS_MAX,
    rate: 0,
  })
  let residentMax = 0
  const watch = (): void => {
    residentMax = Math.max(residentMax, residentBytes(target.server.pid))
  }
  watch()
  const timer = setInterval(watch, 500)
  try {
    const published = await publisher.tell<PublishResult>({ command: 'run' })
    watch()
    if (published.confirmed !== count) {
      throw new Error(`${count} to publish, but ${published.confirmed} confirmed`)
    }
    metrics['filled/s'] = (count * 1000) / (published.endMs - published.startMs)
    metrics['resident filling max MB'] = residentMax / MEGABYTE
    return published
  } finally {
    clearInterval(timer)
  }
}

async function restart(
  target: Target,
  signal: StopSignal,
  topology: Topology,
  count: number,
): Promise<number> {
  await target.server.stop(signal)
  const startMs = nowMs()
  await target.server.start()
  await expectReady(target, topology.queues, count)
  return nowMs() - startMs
}

function openConsumer(
  target: Target,
  topology: Topology,
  holdFirst: boolean,
): Promise<WorkerProcess> {
  return WorkerProcess.start({
    role: 'consume',
    ...target.server.endpoint,
    queues: topology.queues,
    prefetch: PREFETCH,
    checkOrder: true,
    measureLatency: false,
    holdFirst,
  })
}

function disk(target: Target): number {
  const { dataDirectory } = target.server
  return dataDirectory === null ? Number.NaN : diskBytes(dataDirectory) / MEGABYTE
}
