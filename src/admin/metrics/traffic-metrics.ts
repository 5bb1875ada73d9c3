import type { TrafficTotal } from '../../model/traffic-ledger.ts'
import type { MetricParts } from './metric-parts.ts'
import type { ConnectionView } from '../../model/shapes/connections.ts'
import type { MetricWriter, Sample } from './metric-writer.ts'

type Total = { -readonly [Key in keyof TrafficTotal]: TrafficTotal[Key] } & { open: number }

/** Connections and what passed through them, by protocol and virtual host. */
export function writeTraffic(out: MetricWriter, parts: MetricParts): void {
  const open = parts.protocols.flatMap((protocol) => protocol.connections())
  const totals = trafficOf(parts)
  const by = (pick: (total: Total) => number): Sample[] => {
    return totals.map((total) => [{ protocol: total.protocol, vhost: total.vhost }, pick(total)])
  }
  const byProtocol = (pick: (views: readonly ConnectionView[]) => number): Sample[] => {
    const groups = Map.groupBy(open, ({ protocol }) => protocol)
    return Array.from(groups, ([protocol, views]) => [{ protocol }, pick(views)])
  }
  out.gauge(
    'waystation_connections',
    'Open connections.',
    by(({ open: count }) => count),
  )
  out.counter(
    'waystation_connections_opened_total',
    'Connections that were opened.',
    by(({ open: count, connections }) => count + connections),
  )
  out.counter(
    'waystation_connections_closed_total',
    'Connections that were closed.',
    by(({ connections }) => connections),
  )
  out.gauge(
    'waystation_connections_held_back',
    'Connections that are not read because of a limit.',
    byProtocol((views) => views.filter(({ heldBackBy }) => heldBackBy !== null).length),
  )
  out.gauge(
    'waystation_connections_blocked',
    'Connections that are not read because the store takes no more.',
    byProtocol((views) => views.filter(({ state }) => state === 'blocked').length),
  )
  out.gauge(
    'waystation_channels',
    'Open channels.',
    byProtocol((views) => views.reduce((sum, { channels }) => sum + channels, 0)),
  )
  out.counter(
    'waystation_messages_published_total',
    'Messages that clients sent.',
    by(({ published }) => published),
  )
  out.counter(
    'waystation_messages_delivered_total',
    'Messages that were sent to clients.',
    by(({ delivered }) => delivered),
  )
  out.counter(
    'waystation_received_bytes_total',
    'Bytes that clients sent.',
    by(({ receivedBytes }) => receivedBytes),
  )
  out.counter(
    'waystation_sent_bytes_total',
    'Bytes that were sent to clients.',
    by(({ sentBytes }) => sentBytes),
  )
  const { listeners } = parts.status()
  out.gauge(
    'waystation_listener_connections',
    'Open sockets of a listener.',
    listeners.map(({ name, connections }) => [{ listener: name }, connections]),
  )
}

/** Of closed and open connections together, so that no counter goes back. */
function trafficOf({ protocols }: MetricParts): Total[] {
  const totals = new Map<string, Total>()
  const totalOf = (protocol: string, vhost: string): Total => {
    const key = `${protocol}\0${vhost}`
    const known = totals.get(key)
    if (known !== undefined) return known
    const counts = { published: 0, delivered: 0, receivedBytes: 0, sentBytes: 0 }
    const total = { protocol, vhost, open: 0, connections: 0, ...counts }
    totals.set(key, total)
    return total
  }
  for (const source of protocols) {
    for (const past of source.past?.totals() ?? []) add(totalOf(past.protocol, past.vhost), past)
    for (const view of source.connections()) {
      const total = totalOf(view.protocol, view.vhost ?? '')
      total.open++
      const { publishedCount = 0, deliveredCount = 0, receivedBytes, sentBytes } = view
      const counts = { published: publishedCount, delivered: deliveredCount }
      add(total, { ...counts, connections: 0, receivedBytes, sentBytes })
    }
  }
  return [...totals.values()]
}

function add(total: Total, more: Omit<TrafficTotal, 'protocol' | 'vhost'>): void {
  total.connections += more.connections
  total.published += more.published
  total.delivered += more.delivered
  total.receivedBytes += more.receivedBytes
  total.sentBytes += more.sentBytes
}
