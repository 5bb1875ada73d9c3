import { runBacklog, runFanOutDisk, runUnsettled } from './backlog.ts'
import { runChurn, runIdle } from './connections.ts'
import { runFlow, type FlowOptions } from './flow.ts'
import type { Metrics, Target } from './target.ts'

export interface Settings {
  /** How long each flow publishes. */
  readonly seconds: number
  /** Messages of the backlog: for the broker under test, and for a peer. */
  readonly backlog: number
  readonly peerBacklog: number
}

export interface Scenario {
  readonly name: string
  readonly about: string
  run(target: Target, settings: Settings): Promise<Metrics>
}

const UNSETTLED_COUNT = 1_000_000
const LATENCY_SECONDS_MIN = 10

const BASE = { bodyBytes: 100, window: 5_000, queueCount: 1, fanOut: false, rate: 0 } as const

function flow(
  name: string,
  about: string,
  options: Partial<Omit<FlowOptions, 'seconds'>>,
): Scenario {
  return {
    name,
    about,
    run: (target, { seconds }) => runFlow(target, { ...BASE, ...options, seconds }),
  }
}

export const SCENARIOS: readonly Scenario[] = [
  flow('size-16', '16 B, window 5000', { bodyBytes: 16 }),
  flow('size-100', '100 B, window 5000', {}),
  flow('size-1024', '1 KiB, window 5000', { bodyBytes: 1_024 }),
  flow('size-65536', '64 KiB, window 100', { bodyBytes: 65_536, window: 100 }),
  flow('window-1', '100 B, window 1', { window: 1 }),
  flow('window-100', '100 B, window 100', { window: 100 }),
  flow('queues-1000', '100 B over 1000 queues', { queueCount: 1_000 }),
  flow('fanout-100', '100 B, 1 to 100', {
    queueCount: 100,
    fanOut: true,
    window: 100,
    count: 50_000,
  }),
  flow('fanout-1000', '100 B, 1 to 1000', {
    queueCount: 1_000,
    fanOut: true,
    window: 10,
    count: 5_000,
  }),
  {
    name: 'latency',
    about: '100 B at 10,000 a second',
    run: (target, { seconds }) =>
      runFlow(target, {
        ...BASE,
        // Half of the ring: more than five seconds behind is a failure.
        window: 50_000,
        rate: 10_000,
        seconds: Math.max(seconds, LATENCY_SECONDS_MIN),
      }),
  },
  {
    name: 'backlog',
    about: 'a queue of 100 B messages is filled, restarted and drained',
    run: (target, { backlog, peerBacklog }) =>
      runBacklog(target, target.isPeer ? peerBacklog : backlog),
  },
  {
    name: 'unsettled',
    about: 'disk space when one of a million messages is left',
    run: (target) => runUnsettled(target, UNSETTLED_COUNT),
  },
  {
    name: 'fanout-disk',
    about: '200 bodies of 16 KiB in 1000 queues',
    run: (target) => runFanOutDisk(target),
  },
  { name: 'churn', about: 'connections opened and closed', run: (target) => runChurn(target) },
  { name: 'idle', about: '10,000 idle connections', run: (target) => runIdle(target) },
]
