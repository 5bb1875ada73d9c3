import { Queue } from '../../broker/queue.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { MetricParts } from './metric-parts.ts'
import type { MetricWriter, Sample } from './metric-writer.ts'

interface Summary {
  readonly vhost: VirtualHost
  readonly byProfile: Readonly<Record<'queue' | 'topic', Depth>>
  readonly consumers: number
  readonly heldBack: number
  readonly totals: Counts
  readonly topicBytes: number
}

interface Depth {
  count: number
  ready: number
  readyBytes: number
  unsettled: number
  held: number
}

type Counts = Record<
  'enqueued' | 'delivered' | 'settled' | 'redelivered' | 'refused' | 'published' | 'unrouted',
  number
>

/** What virtual hosts hold and count, whichever protocol it came by. Returns bytes of topics. */
export function writeVhosts(out: MetricWriter, { broker }: MetricParts): number {
  const summaries = Array.from(broker.vhosts(), summaryOf)
  const depths = (pick: (depth: Depth) => number): Sample[] => {
    return summaries.flatMap(({ vhost, byProfile }): Sample[] => [
      [{ vhost: vhost.name, profile: 'queue' }, pick(byProfile.queue)],
      [{ vhost: vhost.name, profile: 'topic' }, pick(byProfile.topic)],
    ])
  }
  const each = (pick: (summary: Summary) => number): Sample[] => {
    return summaries.map((summary) => [{ vhost: summary.vhost.name }, pick(summary)])
  }
  const counter = (name: keyof Counts, metric: string, help: string): void => {
    out.counter(
      `waystation_${metric}_total`,
      help,
      each(({ totals }) => totals[name]),
    )
  }
  out.gauge(
    'waystation_destinations',
    'Queues and topics.',
    depths(({ count }) => count),
  )
  out.gauge(
    'waystation_exchanges',
    'Exchanges.',
    each(({ vhost }) => [...vhost.exchanges()].length),
  )
  out.gauge(
    'waystation_consumers',
    'Consumers.',
    each(({ consumers }) => consumers),
  )
  out.gauge(
    'waystation_messages_ready',
    'Messages that wait; of a topic, messages that are kept.',
    depths(({ ready }) => ready),
  )
  out.gauge(
    'waystation_ready_bytes',
    'Bytes of their bodies.',
    depths((depth) => depth.readyBytes),
  )
  out.gauge(
    'waystation_messages_unacked',
    'Messages that are with consumers, unsettled.',
    depths(({ unsettled }) => unsettled),
  )
  out.gauge(
    'waystation_messages_held',
    'Failed messages that wait for their next attempt, and dead letters that nobody takes.',
    depths(({ held }) => held),
  )
  out.gauge(
    'waystation_schedules_pending',
    'Messages that wait for their time.',
    each(({ vhost }) => vhost.schedules.pendingCount),
  )
  out.gauge(
    'waystation_destinations_held_back',
    'Queues and topics that a limit holds back now.',
    each(({ heldBack }) => heldBack),
  )
  counter('enqueued', 'messages_enqueued', 'Messages that queues took in.')
  counter('delivered', 'messages_given_out', 'Messages that queues and topics gave out.')
  counter('settled', 'messages_acked', 'Messages that are done with: accepted, purged, dropped.')
  counter('redelivered', 'messages_redelivered', 'Messages that were given out again.')
  counter('published', 'messages_routed', 'Messages that were published to exchanges.')
  counter('unrouted', 'messages_unroutable', 'Messages that no binding took.')
  counter('refused', 'publishes_refused', 'Publishes that a limit refused.')
  out.counter(
    'waystation_dead_letters_total',
    'Messages that were published to a dead-letter exchange.',
    summaries.flatMap(({ vhost }) => {
      return Object.entries(vhost.totals.deaths).map(([reason, count]): Sample => {
        return [{ vhost: vhost.name, reason }, count]
      })
    }),
  )
  out.gauge(
    'waystation_vhost_limit',
    'Limits that are set.',
    summaries.flatMap(({ vhost }) => {
      return Object.entries(vhost.limits).map(([limit, value]): Sample => {
        return [{ vhost: vhost.name, limit }, value]
      })
    }),
  )
  return summaries.reduce((sum, { topicBytes }) => sum + topicBytes, 0)
}

function summaryOf(vhost: VirtualHost): Summary {
  const { exchanges, destinations } = vhost.totals
  const totals: Counts = { ...exchanges, ...destinations }
  const byProfile = { queue: noDepth(), topic: noDepth() }
  let consumers = 0
  let heldBack = 0
  let topicBytes = 0
  for (const exchange of vhost.exchanges()) {
    totals.published += exchange.totals.published
    totals.unrouted += exchange.totals.unrouted
  }
  for (const destination of vhost.destinations()) {
    const depth = byProfile[destination.profile]
    depth.count++
    depth.ready += destination.readyCount
    depth.readyBytes += destination.readyBytes
    depth.held += destination.heldCount
    if (destination instanceof Queue) depth.unsettled += destination.unsettledCount
    else topicBytes += destination.readyBytes
    consumers += destination.consumerCount
    if (destination.heldBackBy !== null) heldBack++
    for (const name of ['enqueued', 'delivered', 'settled', 'redelivered'] as const) {
      totals[name] += destination.totals[name]
    }
    totals.refused += destination.intake.totals.refused
  }
  return { vhost, byProfile, consumers, heldBack, totals, topicBytes }
}

function noDepth(): Depth {
  return { count: 0, ready: 0, readyBytes: 0, unsettled: 0, held: 0 }
}
