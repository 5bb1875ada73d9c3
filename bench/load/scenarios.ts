import { runBacklog, runFanOutDisk, runUnsettled } from './backlog.ts'
import { runChurn, runIdle } from './connections.ts'
import { runFailing } from './failing.ts'
import { runFlow, type FlowOptions } from './flow.ts'
import { runKeys } from './keys.ts'
import { runMqttConnections } from './mqtt/connections.ts'
import { type MqttFlowOptions, runMqttFlow } from './mqtt/flow.ts'
import { runMqttRetained } from './mqtt/retained.ts'
import { runPeak } from './peak.ts'
import type { Metrics, Protocol, Target } from './target.ts'
import { runTracing } from './tracing.ts'

export interface Settings {
  /** How long each flow publishes. */
  readonly seconds: number
  /** Messages of the backlog: for the broker under test, and for a peer. */
  readonly backlog: number
  readonly peerBacklog: number
  /** Topics of the retained set. */
  readonly retained: number
}

export interface Scenario {
  readonly name: string
  readonly about: string
  readonly protocol: Protocol
  /** A peer that cannot do it. */
  readonly without?: string
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
  return amqp(name, about, (target, { seconds }) =>
    runFlow(target, { ...BASE, ...options, seconds }),
  )
}

function amqp(name: string, about: string, run: Scenario['run']): Scenario {
  return { name, about, protocol: 'amqp', run }
}

const AMQP_SCENARIOS: readonly Scenario[] = [
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
  amqp('latency', '100 B at 10,000 a second', (target, { seconds }) =>
    runFlow(target, {
      ...BASE,
      // Half of the ring: more than five seconds behind is a failure.
      window: 50_000,
      rate: 10_000,
      seconds: Math.max(seconds, LATENCY_SECONDS_MIN),
    }),
  ),
  amqp(
    'backlog',
    'a queue of 100 B messages is filled, restarted and drained',
    (target, { backlog, peerBacklog }) => runBacklog(target, target.isPeer ? peerBacklog : backlog),
  ),
  amqp('unsettled', 'disk space when one of a million messages is left', (target) =>
    runUnsettled(target, UNSETTLED_COUNT),
  ),
  amqp('fanout-disk', '200 bodies of 16 KiB in 1000 queues', runFanOutDisk),
  amqp(
    'peak',
    'a flood at ten times the rate of its consumer, for half of the time',
    (target, { seconds }) => runPeak(target, seconds),
  ),
  amqp(
    'key-shared',
    'four consumers share a thousand keys, with order and without',
    (target, { seconds }) => runKeys(target, seconds),
  ),
  amqp('failing', 'every message fails: dead letters, and retries before', (target, { seconds }) =>
    runFailing(target, seconds),
  ),
  amqp('tracing', 'size-100 with no message traced, 1 % and all, in turn', (target, { seconds }) =>
    runTracing(target, seconds),
  ),
  amqp('churn', 'connections opened and closed', runChurn),
  amqp('idle', '10,000 idle connections', runIdle),
]

/** The window is far below what mosquitto or a queue of 1000 messages would drop. */
const MQTT_BASE = {
  version: 4,
  qos: 0,
  publishers: 1,
  subscribers: 1,
  keepsSessions: false,
  bodyBytes: 100,
  window: 1_000,
  count: Number.MAX_SAFE_INTEGER,
} as const

function mqttFlow(
  name: string,
  about: string,
  options: Partial<Omit<MqttFlowOptions, 'seconds'>>,
): Scenario {
  const run: Scenario['run'] = (target, { seconds }) =>
    runMqttFlow(target, { ...MQTT_BASE, ...options, seconds })
  // Aedes knows 3.1.1 only.
  return { ...mqtt(name, about, run), ...(options.version === 5 ? { without: 'aedes' } : {}) }
}

function mqtt(name: string, about: string, run: Scenario['run']): Scenario {
  return { name, about, protocol: 'mqtt', run }
}

const FAN_OUT = { subscribers: 1_000, window: 50 } as const
const FAN_IN = { publishers: 1_000, window: 50 } as const

const MQTT_SCENARIOS: readonly Scenario[] = [
  mqttFlow('mqtt-qos0', 'QoS 0, 100 B, window 1000', {}),
  mqttFlow('mqtt-qos1', 'QoS 1, 100 B, window 1000', { qos: 1 }),
  mqttFlow('mqtt-qos2', 'QoS 2, 100 B, window 1000', { qos: 2 }),
  mqttFlow('mqtt-qos1-session', 'QoS 1 to a session that is kept', {
    qos: 1,
    keepsSessions: true,
  }),
  mqttFlow('mqtt-qos2-session', 'QoS 2 to a session that is kept', {
    qos: 2,
    keepsSessions: true,
  }),
  mqttFlow('mqtt5-qos0', 'MQTT 5, QoS 0, 100 B, window 1000', { version: 5 }),
  mqttFlow('mqtt5-qos1', 'MQTT 5, QoS 1, 100 B, window 20', { version: 5, qos: 1, window: 20 }),
  mqttFlow('mqtt-fanout', 'QoS 0, 100 B, 1 to 1000', FAN_OUT),
  mqttFlow('mqtt-fanout-qos1', 'QoS 1, 100 B, 1 to 1000', { ...FAN_OUT, qos: 1 }),
  mqttFlow('mqtt-fanin', 'QoS 0, 100 B, 1000 to 1', FAN_IN),
  mqttFlow('mqtt-fanin-qos1', 'QoS 1, 100 B, 1000 to 1', { ...FAN_IN, qos: 1 }),
  mqtt('mqtt-connections', '10,000 clients with keep-alive', (target) =>
    runMqttConnections(target, null),
  ),
  mqtt('mqtt-subscribed', '10,000 clients, each with a subscription of QoS 1', (target) =>
    runMqttConnections(target, 1),
  ),
  mqtt('mqtt-retained', 'a retained set is filled and looked up', (target, { retained }) =>
    runMqttRetained(target, retained),
  ),
]

export const SCENARIOS: readonly Scenario[] = [...AMQP_SCENARIOS, ...MQTT_SCENARIOS]
