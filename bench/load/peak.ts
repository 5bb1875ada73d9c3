import type { ConsumeResult } from '../../src/load/consumer.ts'
import { checkCounts, expectReady } from './flow.ts'
import { residentBytes } from './process-stats.ts'
import type { PublishResult } from '../../src/load/publisher.ts'
import type { Sample } from '../../src/load/sampler.ts'
import type { Metrics, Target } from './target.ts'
import {
  countReady,
  declareTopology,
  deleteTopology,
  type Topology,
} from '../../src/load/topology.ts'
import { WorkerProcess } from './worker-process.ts'

/** What the backend takes, in messages a second; the flood is ten times as much. */
const RATE = 2_000
const FLOOD_RATE = 10 * RATE
const BODY_BYTES = 1_024
const LENGTH_MAX = 10_000
const MEGABYTE = 1e6
const WATCH_MS = 100
/** A window of the backend's side may hold what came late from the one before, as sockets have it. */
const WINDOW_MS = 100
const SECONDS_MAX = 600

type QueueArguments = Readonly<Record<string, string | number>>

interface Flood {
  readonly arguments: QueueArguments
  /** 0: as fast as confirms allow. */
  readonly rate: number
  readonly count: number
}

interface Outcome {
  readonly published: PublishResult
  readonly consumed: ConsumeResult
  readonly residentMax: number
  readonly readyMax: number
}

/**
 * A flood at ten times the rate of a paced consumer, for half of the given time: first into a
 * queue without a limit, then into one that blocks. Throws unless everything comes once and in
 * order, the backend is never given more than its rate, the limit holds, and the publisher that
 * is blocked is told so.
 */
export async function runPeak(target: Target, seconds: number): Promise<Metrics> {
  // Others have no rates.
  if (target.isPeer) return {}
  const floodSeconds = seconds / 2
  const paced = { 'x-consume-rate': RATE }
  const count = Math.ceil(FLOOD_RATE * floodSeconds)
  const stored = await runFlood(target, { arguments: paced, rate: FLOOD_RATE, count })
  const blocks = { ...paced, 'x-max-length': LENGTH_MAX, 'x-overflow': 'block' }
  const held = await runFlood(target, {
    arguments: blocks,
    rate: 0,
    count: LENGTH_MAX + Math.ceil(RATE * floodSeconds),
  })
  if (held.published.blocked === 0) throw new Error('the publisher was not told that it waits')
  // One read may be on its way when the queue is full.
  const readMessages = Math.ceil((1024 * 1024) / BODY_BYTES)
  if (held.readyMax > LENGTH_MAX + readMessages) {
    throw new Error(`${held.readyMax} messages wait in a queue of at most ${LENGTH_MAX}`)
  }
  return {
    ...metricsOf('flood', stored),
    ...metricsOf('blocked', held),
    'blocked told': held.published.blocked,
  }
}

function metricsOf(name: string, { published, consumed, residentMax, readyMax }: Outcome): Metrics {
  const rates = windowRates(consumed.samples)
  return {
    [`${name} published/s`]: perSecond(published.published, published.startMs, published.endMs),
    [`${name} consumed/s`]: perSecond(consumed.consumed, published.startMs, consumed.endMs),
    [`${name} window p50 % of rate`]: percentOfRate(rates, 0.5),
    [`${name} window p99 % of rate`]: percentOfRate(rates, 0.99),
    [`${name} window max % of rate`]: percentOfRate(rates, 1),
    [`${name} ahead of rate max`]: aheadMax(consumed.samples),
    [`${name} ready max`]: readyMax,
    [`${name} resident max MB`]: residentMax / MEGABYTE,
  }
}

async function runFlood(target: Target, flood: Flood): Promise<Outcome> {
  const { endpoint, pid } = target.server
  const topology = await declareTopology(endpoint, {
    queueCount: 1,
    fanOut: false,
    queueArguments: { ...target.queueArguments, ...flood.arguments },
  })
  await using consumer = await WorkerProcess.start({
    role: 'consume',
    ...endpoint,
    queues: topology.queues,
    prefetch: 1_000,
    checkOrder: true,
    measureLatency: false,
    holdFirst: false,
  })
  await using publisher = await WorkerProcess.start({
    role: 'publish',
    ...endpoint,
    exchange: topology.exchange,
    routingKeys: topology.routingKeys,
    bodyBytes: BODY_BYTES,
    window: flood.rate === 0 ? 1_000 : FLOOD_RATE,
    count: flood.count,
    seconds: SECONDS_MAX,
    rate: flood.rate,
  })
  await using watch = new Watch(target, topology)
  const published = await publisher.tell<PublishResult>({ command: 'run' })
  const expected = published.published
  const consumed = await consumer.tell<ConsumeResult>({ command: 'finish', expected })
  checkCounts(published, consumed, 1)
  checkPace(consumed.samples)
  await expectReady(target, topology.queues, 0)
  await deleteTopology(endpoint, topology)
  const { residentMax, readyMax } = watch
  return { published, consumed, residentMax: Math.max(residentMax, residentBytes(pid)), readyMax }
}

/** Looks at memory and at the length of the queue while a flood goes on. */
class Watch implements AsyncDisposable {
  residentMax = 0
  readyMax = 0
  readonly #timer: NodeJS.Timeout
  #looking: Promise<void> = Promise.resolve()
  #isLooking = false

  constructor({ server }: Target, { queues }: Topology) {
    this.#timer = setInterval(() => {
      this.residentMax = Math.max(this.residentMax, residentBytes(server.pid))
      if (this.#isLooking) return
      this.#isLooking = true
      this.#looking = countReady(server.endpoint, queues).then(
        (ready) => {
          this.readyMax = Math.max(this.readyMax, ready)
          this.#isLooking = false
        },
        // The queue is gone by then.
        () => undefined,
      )
    }, WATCH_MS)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }
}

/**
 * From any sample to any later one: never more than the rate and one window's delay. That the
 * broker gives out no more than the rate in any window is for a test in its own time to say.
 */
function checkPace(samples: readonly Sample[]): void {
  const slack = (RATE * WINDOW_MS) / 1000
  const most = aheadMax(samples)
  if (most > slack) throw new Error(`the backend was given ${Math.ceil(most)} more than its rate`)
}

/** How many messages more than its rate came from some sample to a later one, at most. */
function aheadMax(samples: readonly Sample[]): number {
  let lowest = Infinity
  let most = 0
  for (const { timeMs, count } of samples) {
    const ahead = count - (timeMs * RATE) / 1000
    lowest = Math.min(lowest, ahead)
    most = Math.max(most, ahead - lowest)
  }
  return most
}

/** Of each tenth of a second, in messages a second; in ascending order. */
function windowRates(samples: readonly Sample[]): number[] {
  const rates: number[] = []
  for (const [index, { timeMs, count }] of samples.entries()) {
    const before = samples[index - 1]
    if (before === undefined || before.count === 0 || count === before.count) continue
    rates.push(((count - before.count) * 1000) / (timeMs - before.timeMs))
  }
  return rates.toSorted((a, b) => a - b)
}

function percentOfRate(rates: readonly number[], part: number): number {
  const at = Math.min(rates.length - 1, Math.floor(rates.length * part))
  return (100 * (rates[at] ?? 0)) / RATE
}

function perSecond(count: number, startMs: number, endMs: number): number {
  return (count * 1000) / (endMs - startMs)
}
