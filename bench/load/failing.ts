import type { ConsumeResult } from '../../src/load/consumer.ts'
import { expectReady } from './flow.ts'
import type { PublishResult } from '../../src/load/publisher.ts'
import type { Metrics, Target } from './target.ts'
import { declareTopology, deleteTopology } from '../../src/load/topology.ts'
import { WorkerProcess } from './worker-process.ts'

const BODY_BYTES = 100
/** Messages for each second that was asked for: enough for a steady rate. */
const COUNT_PER_SECOND = 20_000
const RETRIES = 3
const RETRY_DELAY_MS = 10
const PREFETCH = 5_000
const WINDOW = 5_000
const SECONDS_MAX = 600

/**
 * Every message fails. First each is rejected and goes to the dead letters at once; then, where
 * the broker retries, each fails three more times, 10 ms after one another, before it does. Throws
 * unless every message becomes one dead letter.
 */
export async function runFailing(target: Target, seconds: number): Promise<Metrics> {
  const count = Math.ceil((seconds * COUNT_PER_SECOND) / 2)
  const rejected = await run(target, { count, attempts: 1, queueArguments: {} })
  const metrics: Metrics = { 'dead letters/s': rejected.perSecond }
  if (target.isPeer) return metrics
  const queueArguments = { 'x-retry-delay': RETRY_DELAY_MS, 'x-retry-limit': RETRIES }
  const retried = await run(target, { count, attempts: RETRIES + 1, queueArguments })
  return {
    ...metrics,
    'failed attempts/s': retried.perSecond * (RETRIES + 1),
    'dead letters after retries/s': retried.perSecond,
  }
}

async function run(
  target: Target,
  given: {
    readonly count: number
    readonly attempts: number
    readonly queueArguments: Readonly<Record<string, number>>
  },
): Promise<{ readonly perSecond: number }> {
  const { endpoint } = target.server
  const { count, attempts } = given
  const topology = await declareTopology(endpoint, {
    queueCount: 2,
    fanOut: false,
    queueArguments: target.queueArguments,
    ownArguments: ([, dead]) => [
      {
        ...given.queueArguments,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead!,
      },
      {},
    ],
  })
  const [work, dead] = topology.queues
  const consumer = { role: 'consume', ...endpoint, prefetch: PREFETCH, checkOrder: false } as const
  const rest = { measureLatency: false, holdFirst: false }
  await using mourner = await WorkerProcess.start({ ...consumer, ...rest, queues: [dead!] })
  const settle = attempts === 1 ? 'reject' : 'requeue'
  await using failing = await WorkerProcess.start({
    ...consumer,
    ...rest,
    queues: [work!],
    settle,
  })
  await using publisher = await WorkerProcess.start({
    role: 'publish',
    ...endpoint,
    exchange: '',
    routingKeys: [work!],
    bodyBytes: BODY_BYTES,
    window: WINDOW,
    count,
    seconds: SECONDS_MAX,
    rate: 0,
  })
  const published = await publisher.tell<PublishResult>({ command: 'run' })
  const expected = published.published
  const died = await mourner.tell<ConsumeResult>({ command: 'finish', expected })
  const failed = await failing.tell<ConsumeResult>({
    command: 'finish',
    expected: expected * attempts,
  })
  if (died.consumed !== expected || died.sequenceSum !== published.sequenceSum) {
    throw new Error(`${expected} should be dead letters, but ${died.consumed} came`)
  }
  if (failed.consumed !== expected * attempts) {
    throw new Error(`${expected * attempts} attempts are due, but there were ${failed.consumed}`)
  }
  await expectReady(target, topology.queues, 0)
  await deleteTopology(endpoint, topology)
  return { perSecond: (1000 * expected) / (died.endMs - published.startMs) }
}
