import { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import type { SubscriptionView } from '../../model/shapes/destinations.ts'
import { subscriptionViews } from '../topic-views.ts'
import type { Exposition } from './exposition.ts'
import type { Labels, Sample } from './metric-writer.ts'

/** One page of queues and topics, and how far their subscriptions are. */
export interface ObjectPage {
  readonly vhosts: readonly VirtualHost[]
  /** Part of the names to show; empty: all. */
  readonly name: string
  readonly page: number
  readonly pageSize: number
}

/** As many series as the page is large, times a dozen; never all that there are. */
export function writeObjects(out: Exposition, { vhosts, name, page, pageSize }: ObjectPage): void {
  const found = vhosts.flatMap((vhost) => {
    return [...vhost.destinations()].filter((each) => each.name.includes(name))
  })
  const start = (page - 1) * pageSize
  const shown = found.slice(start, start + pageSize)
  const each = (pick: (destination: Queue | Topic) => number): Sample[] => {
    return shown.map((destination) => [labelsOf(destination), pick(destination)])
  }
  if (start + shown.length < found.length) out.comment(`more on page=${page + 1}`)
  out.gauge(
    'waystation_destination_messages_ready',
    'Messages that wait.',
    each((it) => it.readyCount),
  )
  out.gauge(
    'waystation_destination_messages_unacked',
    'Messages that are with consumers, unsettled.',
    each((it) => (it instanceof Queue ? it.unsettledCount : 0)),
  )
  out.gauge(
    'waystation_destination_messages_held',
    'Failed messages that wait for their next attempt, and dead letters that nobody takes.',
    each(({ heldCount }) => heldCount),
  )
  out.gauge(
    'waystation_destination_ready_bytes',
    'Bytes that wait.',
    each((it) => it.readyBytes),
  )
  out.gauge(
    'waystation_destination_consumers',
    'Consumers.',
    each((it) => it.consumerCount),
  )
  for (const [total, metric, help] of TOTALS) {
    const counter = `waystation_destination_messages_${metric}_total`
    out.counter(
      counter,
      help,
      each(({ totals }) => totals[total]),
    )
  }
  const names = new Set(shown.map((destination) => key(destination.vhost.name, destination.name)))
  const subscriptions = vhosts
    .flatMap(subscriptionViews)
    .filter(({ vhost, topic }) => topic !== null && names.has(key(vhost, topic)))
  out.gauge(
    'waystation_subscription_lag',
    'Messages that a subscription has still to read.',
    subscriptions.slice(0, pageSize).map((view) => [subscriptionLabels(view), view.lag]),
  )
}

const TOTALS = [
  ['enqueued', 'enqueued', 'Messages that came in.'],
  ['delivered', 'given_out', 'Messages that were given out.'],
  ['settled', 'acked', 'Messages that are done with.'],
  ['redelivered', 'redelivered', 'Messages that were given out again.'],
] as const

function labelsOf({ vhost, name, profile }: Queue | Topic): Labels {
  return { vhost: vhost.name, destination: name, profile }
}

function subscriptionLabels({ vhost, name, topic }: SubscriptionView): Labels {
  return { vhost, destination: topic, subscription: name }
}

function key(vhost: string, destination: string): string {
  return `${vhost}\0${destination}`
}
