import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import type { VirtualHost } from '../../broker/virtual-host.ts'
import { answerList, answerOne } from './listing.ts'
import { clusterName, setClusterName } from './notes.ts'
import { fieldsOf, requireFields } from './input.ts'
import { type Asked, requireTag, visibleVhosts } from './operator.ts'
import { NODE, type RabbitParts } from './parts.ts'
import { unsettledOf } from './queue-view.ts'
import { notFound } from './refusal.ts'
import type { Routes } from './routes.ts'
import { stored } from '../stored.ts'

type View = Record<string, unknown>

/** What the broker is and does as a whole. */
export function addOverview(routes: Routes, parts: RabbitParts): void {
  const { broker } = parts
  routes.add('GET', '/overview', (asked) => answerOne(asked, overview(parts, asked)))
  routes.add('GET', '/nodes', (asked) => {
    requireTag(asked, 'monitoring')
    return answerList(asked, [{ name: NODE, view: () => nodeView(parts) }])
  })
  routes.add('GET', '/nodes/:node', (asked) => {
    requireTag(asked, 'monitoring')
    if (asked.req.param('node') !== NODE) throw notFound()
    return answerOne(asked, nodeView(parts))
  })
  routes.add('GET', '/nodes/:node/memory', (asked) => {
    requireTag(asked, 'monitoring')
    if (asked.req.param('node') !== NODE) throw notFound()
    const { memoryBytes } = parts.status()
    return asked.json({ memory: { total: { rss: memoryBytes, allocated: memoryBytes } } })
  })
  routes.add('GET', '/cluster-name', (asked) => asked.json({ name: clusterName(broker) }))
  routes.add('PUT', '/cluster-name', async (asked) => {
    requireTag(asked, 'administrator')
    const fields = await fieldsOf(asked)
    requireFields(fields, ['name'])
    setClusterName(broker, String(fields['name']))
    await stored(broker)
    return asked.body(null, 204)
  })
  routes.add('GET', '/whoami', (asked) => {
    const { name, tags } = asked.get('operator')
    return asked.json({ name, tags, is_internal_user: true })
  })
  routes.add('GET', '/extensions', (asked) => asked.json([]))
  routes.add('GET', '/feature-flags', (asked) => {
    requireTag(asked, 'monitoring')
    return asked.json(FEATURES.map((name) => featureView(name, parts)))
  })
  routes.add('PUT', '/feature-flags/:name/enable', (asked) => {
    requireTag(asked, 'administrator')
    // All of them are on already.
    if (!FEATURES.includes(asked.req.param('name') ?? '')) throw notFound()
    return asked.body(null, 204)
  })
  routes.add('GET', '/deprecated-features', (asked) => asked.json([]))
  routes.add('GET', '/deprecated-features/used', (asked) => asked.json([]))
}

/** Those of RabbitMQ's feature flags that stand for something which is so here. */
const FEATURES: readonly string[] = [
  'classic_queue_type_delivery_support',
  'consumer_timeout_for_queue_policy',
  'direct_exchange_routing_v2',
  'drop_unroutable_metric',
  'empty_basic_get_metric',
  'implicit_default_bindings',
  'maintenance_mode_status',
  'message_containers',
  'quorum_queue',
  'stream_queue',
  'stream_single_active_consumer',
  'user_limits',
  'virtual_host_metadata',
]

function featureView(name: string, { terms }: RabbitParts): View {
  return {
    name,
    desc: `as in RabbitMQ ${terms.version}`,
    doc_url: '',
    state: 'enabled',
    stability: 'required',
    provided_by: 'waystation',
  }
}

interface Totals {
  readonly queues: Record<'messages' | 'messages_ready' | 'messages_unacknowledged', number>
  readonly stats: Record<string, number>
  readonly counts: { queues: number; exchanges: number; consumers: number }
}

export function totalsOf(vhosts: readonly VirtualHost[]): Totals {
  const queues = { messages: 0, messages_ready: 0, messages_unacknowledged: 0 }
  const stats = { publish: 0, deliver_get: 0, ack: 0, redeliver: 0, drop_unroutable: 0 }
  const counts = { queues: 0, exchanges: 0, consumers: 0 }
  for (const vhost of vhosts) {
    for (const exchange of vhost.exchanges()) {
      counts.exchanges++
      stats.publish += exchange.totals.published
      stats.drop_unroutable += exchange.totals.unrouted
    }
    for (const queue of vhost.destinations()) {
      counts.queues++
      addQueue(queue, queues, stats)
      counts.consumers += queue.consumerCount
    }
  }
  return { queues, stats, counts }
}

function addQueue(
  queue: Queue | Topic,
  queues: Totals['queues'],
  stats: { deliver_get: number; ack: number; redeliver: number },
): void {
  const unsettled = unsettledOf(queue)
  queues.messages_ready += queue.readyCount
  queues.messages_unacknowledged += unsettled
  queues.messages += queue.readyCount + unsettled
  stats.deliver_get += queue.totals.delivered
  stats.ack += queue.totals.settled
  stats.redeliver += queue.totals.redelivered
}

function overview(parts: RabbitParts, asked: Asked): View {
  const { broker, rates, terms } = parts
  const vhosts = visibleVhosts(parts, asked.get('operator'))
  const { queues, stats, counts } = totalsOf(vhosts)
  const status = parts.status()
  const connections = parts.protocols.flatMap((protocol) => protocol.connections())
  const isAll = vhosts.length === [...broker.vhosts()].length
  return {
    management_version: terms.version,
    rabbitmq_version: terms.version,
    product_name: 'Waystation',
    product_version: status.version,
    cluster_name: clusterName(broker),
    cluster_tags: {},
    node_tags: {},
    node: NODE,
    erlang_version: '',
    erlang_full_version: '',
    rates_mode: 'basic',
    sample_retention_policies: { global: [], basic: [], detailed: [] },
    default_queue_type: 'classic',
    disable_stats: false,
    enable_queue_totals: false,
    is_op_policy_updating_enabled: true,
    exchange_types: terms.exchangeTypes.map(exchangeTypeView),
    statistics_db_event_queue: 0,
    message_stats: rates.stats(isAll ? broker : vhosts, stats),
    queue_totals: rates.stats(isAll ? broker.pressure : queues, queues),
    object_totals: {
      ...counts,
      channels: connections.reduce((sum, { channels }) => sum + channels, 0),
      connections: connections.length,
    },
    churn_rates: {},
    listeners: listenerViews(parts),
    contexts: listenerViews(parts)
      .filter(({ protocol }) => protocol === 'http')
      .map(({ ip_address: ip, port }) => {
        return { node: NODE, description: 'RabbitMQ Management', path: '/', ip, port }
      }),
  }
}

function exchangeTypeView(name: string): View {
  return { name, description: `exchanges of type ${name}`, enabled: true }
}

const PROTOCOL_NAMES: Readonly<Record<string, string>> = {
  amqps: 'amqp/ssl',
  mqtts: 'mqtt/ssl',
  'mqtt-ws': 'http/web-mqtt',
  'mqtt-wss': 'https/web-mqtt',
  kafkas: 'kafka/ssl',
}

export interface ListenerView {
  readonly node: string
  /** As RabbitMQ calls it. */
  readonly protocol: string
  readonly ip_address: string
  readonly port: number
  readonly socket_opts: object
}

export function listenerViews({ status }: RabbitParts): ListenerView[] {
  return status().listeners.map(({ name, address }) => {
    const colon = address.lastIndexOf(':')
    return {
      node: NODE,
      protocol: PROTOCOL_NAMES[name] ?? name,
      ip_address: address.slice(0, colon).replaceAll(/[[\]]/g, ''),
      port: Number(address.slice(colon + 1)),
      socket_opts: {},
    }
  })
}

function nodeView(parts: RabbitParts): View {
  const { broker, terms } = parts
  const status = parts.status()
  const { storeAlarm, isMemoryLow } = broker.pressure
  const sockets = status.listeners.reduce((sum, { connections }) => sum + connections, 0)
  return {
    name: NODE,
    type: 'disc',
    running: true,
    being_drained: false,
    os_pid: String(status.pid),
    uptime: broker.clock.now() - status.startedAtMs,
    rates_mode: 'basic',
    partitions: [],
    cluster_links: [],
    run_queue: 0,
    processors: 1,
    mem_used: status.memoryBytes,
    mem_limit: status.memoryLimitBytes,
    mem_alarm: isMemoryLow,
    mem_calculation_strategy: 'rss',
    disk_free: status.diskFreeBytes,
    disk_free_limit: status.diskFreeLimitBytes,
    disk_free_alarm: storeAlarm !== null,
    fd_used: 0,
    fd_total: 0,
    sockets_used: sockets,
    sockets_total: 0,
    proc_used: 0,
    proc_total: 0,
    exchange_types: terms.exchangeTypes.map(exchangeTypeView),
    auth_mechanisms: ['PLAIN', 'EXTERNAL', 'SCRAM-SHA-256', 'SCRAM-SHA-512'].map((name) => {
      return { name, description: `SASL ${name}`, enabled: true }
    }),
    applications: [{ name: 'waystation', description: 'Waystation', version: status.version }],
    enabled_plugins: [],
    contexts: [],
    config_files: [],
    log_files: [],
    db_dir: status.data,
    net_ticktime: 60,
    message_stats: {},
  }
}
