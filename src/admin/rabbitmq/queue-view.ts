import { createHash } from 'node:crypto'
import type { BindingSpec } from '../../broker/binding.ts'
import type { Exchange } from '../../broker/exchange.ts'
import { policyDefinition, type Policy, type PolicySubject } from '../../broker/policy.ts'
import { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import { headersIdentity } from '../../model/header-value.ts'
import { headersToShow } from '../views.ts'
import { NODE, type RabbitParts } from './parts.ts'

type View = Record<string, unknown>

/** Readers of a topic keep their own count: nothing in it is anybody's until it is gone. */
export function unsettledOf(destination: Queue | Topic): number {
  return destination instanceof Queue ? destination.unsettledCount : 0
}

export function queueView(parts: RabbitParts, queue: Queue | Topic): View {
  const { terms, rates } = parts
  const { spec, vhost, name } = queue
  const messages_ready = queue.readyCount
  const messages_unacknowledged = unsettledOf(queue)
  const counts = {
    messages: messages_ready + messages_unacknowledged,
    messages_ready,
    messages_unacknowledged,
  }
  const { enqueued, delivered, redelivered, settled } = queue.totals
  const { policy, operator, settings } = vhost.policies.match(subjectOf(queue))
  const exclusive = [...queue.consumers()].find((consumer) => consumer.exclusive)
  const active = queue instanceof Queue && spec.singleActive ? queue.activeConsumer : null
  const bytes = queue.readyBytes
  return {
    name,
    vhost: vhost.name,
    type: terms.queueType(spec),
    durable: spec.durable,
    auto_delete: spec.autoDelete,
    exclusive: queue.exclusiveOwner !== null,
    arguments: headersToShow(spec.arguments),
    node: NODE,
    state: 'running',
    policy: policy?.name ?? null,
    operator_policy: operator?.name ?? null,
    effective_policy_definition: policyDefinition(settings),
    consumers: queue.consumerCount,
    consumer_capacity: consumerCapacity(queue),
    consumer_utilisation: consumerCapacity(queue),
    exclusive_consumer_tag: exclusive?.tag ?? null,
    single_active_consumer_tag: active?.tag ?? null,
    head_message_timestamp: null,
    memory: 0,
    message_bytes: bytes,
    message_bytes_ready: bytes,
    message_bytes_unacknowledged: 0,
    message_bytes_persistent: spec.durable ? bytes : 0,
    message_bytes_ram: 0,
    messages_ram: 0,
    messages_persistent: spec.durable ? counts.messages : 0,
    ...rates.stats(queue, counts),
    message_stats: rates.stats(queue.totals, {
      publish: enqueued,
      deliver_get: delivered,
      redeliver: redelivered,
      ack: settled,
    }),
  }
}

/** How many of its consumers could take more at once. */
function consumerCapacity(queue: Queue | Topic): number {
  if (queue.consumerCount === 0) return 0
  let ready = 0
  for (const consumer of queue.consumers()) if (consumer.ready) ready++
  return ready / queue.consumerCount
}

function subjectOf({ name, profile, spec }: Queue | Topic): PolicySubject {
  if (profile === 'topic') return { name, kind: 'topic' }
  return { name, kind: 'queue', queueType: spec.countsAttempts ? 'quorum' : 'classic' }
}

export function exchangeView({ terms, rates }: RabbitParts, exchange: Exchange): View {
  const { spec, vhost, totals } = exchange
  const { policy } = vhost.policies.match({ name: spec.name, kind: 'exchange' })
  return {
    name: spec.name,
    vhost: vhost.name,
    type: terms.exchangeType(spec),
    durable: spec.durable,
    auto_delete: spec.autoDelete,
    internal: spec.internal,
    arguments: headersToShow(spec.arguments),
    policy: policy?.name ?? null,
    user_who_performed_action: 'waystation',
    message_stats: rates.stats(totals, {
      publish_in: totals.published,
      publish_out: totals.published - totals.unrouted,
    }),
  }
}

export function bindingView(vhost: string, binding: BindingSpec): View {
  return {
    source: binding.source,
    vhost,
    destination: binding.target,
    destination_type: binding.targetKind === 'exchange' ? 'exchange' : 'queue',
    routing_key: binding.key,
    arguments: headersToShow(binding.arguments),
    properties_key: propertiesKey(binding),
  }
}

/** Names a binding among those of the same ends: its key, and what stands for its arguments. */
export function propertiesKey({ key, arguments: args }: BindingSpec): string {
  const quoted = encodeURIComponent(key).replaceAll('%20', '+')
  if (args.size === 0) return key === '' ? '~' : quoted
  const digest = createHash('sha256').update(headersIdentity(args)).digest('base64url')
  return `${quoted}~${digest.slice(0, 8)}`
}

const APPLIES_TO: Readonly<Record<Policy['appliesTo'], string>> = {
  all: 'all',
  exchanges: 'exchanges',
  destinations: 'queues',
  queues: 'queues',
  topics: 'streams',
  'classic-queues': 'classic_queues',
  'quorum-queues': 'quorum_queues',
}

export function policyView(vhost: string, policy: Policy): View {
  const { name, pattern, appliesTo, priority, settings } = policy
  return {
    vhost,
    name,
    pattern,
    'apply-to': APPLIES_TO[appliesTo],
    definition: policyDefinition(settings),
    priority,
  }
}
