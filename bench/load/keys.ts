import type { ConsumeResult } from '../../src/load/consumer.ts'
import { checkCounts, expectReady } from './flow.ts'
import type { PublishResult } from '../../src/load/publisher.ts'
import { rateBetween } from '../../src/load/sampler.ts'
import type { Metrics, Target } from './target.ts'
import { declareTopology, deleteTopology } from '../../src/load/topology.ts'
import { WorkerProcess } from './worker-process.ts'

const BODY_BYTES = 100
const KEY_COUNT = 1_000
const CONSUMERS = 4
/** Of each consumer. */
const PREFETCH = 1_000
const WINDOW = 5_000
const WARM_UP_MS = 1_000

/**
 * One queue with four consumers gets messages of a thousand keys in turn: shared as ever, and
 * key-shared; each for half of the given time. Throws unless everything comes once.
 */
export async function runKeys(target: Target, seconds: number): Promise<Metrics> {
  // Others have no such queues.
  if (target.isPeer) return {}
  const shared = await run(target, seconds / 2, {})
  const keyShared = await run(target, seconds / 2, { 'x-key-shared': true })
  return {
    'shared consumed/s': shared,
    'key-shared consumed/s': keyShared,
    'key-shared % of shared': (100 * keyShared) / shared,
  }
}

async function run(
  target: Target,
  seconds: number,
  order: Readonly<Record<string, true>>,
): Promise<number> {
  const { endpoint } = target.server
  const keys = Array.from({ length: KEY_COUNT }, (_, index) => `k${String(index).padStart(4, '0')}`)
  const topology = await declareTopology(endpoint, {
    queueCount: 1,
    fanOut: true,
    routingKeys: keys,
    queueArguments: { ...target.queueArguments, ...order },
  })
  await using consumer = await WorkerProcess.start({
    role: 'consume',
    ...endpoint,
    queues: Array.from({ length: CONSUMERS }, () => topology.queues[0]!),
    prefetch: PREFETCH,
    checkOrder: false,
    measureLatency: false,
    holdFirst: false,
  })
  await using publisher = await WorkerProcess.start({
    role: 'publish',
    ...endpoint,
    exchange: topology.exchange,
    routingKeys: topology.routingKeys,
    bodyBytes: BODY_BYTES,
    window: WINDOW,
    count: Number.MAX_SAFE_INTEGER,
    seconds: Math.max(seconds, (2 * WARM_UP_MS) / 1000),
    rate: 0,
  })
  const published = await publisher.tell<PublishResult>({ command: 'run' })
  const expected = published.published
  const consumed = await consumer.tell<ConsumeResult>({ command: 'finish', expected })
  checkCounts(published, consumed, 1)
  await expectReady(target, topology.queues, 0)
  await deleteTopology(endpoint, topology)
  return rateBetween(consumed.samples, published.startMs + WARM_UP_MS, published.endMs)
}
