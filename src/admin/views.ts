import type { BindingSpec } from '../broker/binding.ts'
import type { Destination } from '../broker/destination.ts'
import type { Exchange } from '../broker/exchange.ts'
import { policyDefinition, type Policy } from '../broker/policy.ts'
import { Queue } from '../broker/queue.ts'
import { Topic } from '../broker/topics/topic.ts'
import type { HeaderMap, HeaderValue } from '../model/header-value.ts'
import type { BindingView, DestinationView } from '../model/shapes/destinations.ts'

export function destinationView(destination: Destination): DestinationView {
  const { spec } = destination
  const window = destination instanceof Queue ? destination.deduplication : null
  return {
    vhost: destination.vhost.name,
    name: destination.name,
    profile: destination.profile,
    partitions: destination instanceof Topic ? destination.partitions.length : null,
    durable: spec.durable,
    autoDelete: spec.autoDelete,
    exclusive: destination.exclusiveOwner !== null,
    ready: destination.readyCount,
    unsettled: destination.unsettledCount,
    held: destination.heldCount,
    deduplicated: window?.droppedCount ?? 0,
    idsForgotten: window?.forgottenCount ?? 0,
    followers: destination.followerCount,
    consumers: destination.consumerCount,
    readyBytes: destination.readyBytes,
    refused: destination.intake.totals.refused,
    passedOver: destination.intake.totals.passedOver,
    heldBackBy: destination.heldBackBy,
    arguments: headersToShow(spec.arguments),
  }
}

export interface ExchangeView {
  readonly vhost: string
  readonly name: string
  readonly type: string
  readonly delayed: boolean
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly internal: boolean
  readonly alternateExchange: string | null
  readonly published: number
  readonly unrouted: number
  readonly arguments: Readonly<Record<string, unknown>>
}

export function exchangeView(exchange: Exchange): ExchangeView {
  const { spec } = exchange
  return {
    vhost: exchange.vhost.name,
    name: spec.name,
    type: spec.type,
    delayed: spec.delayed,
    durable: spec.durable,
    autoDelete: spec.autoDelete,
    internal: spec.internal,
    alternateExchange: exchange.alternateExchange,
    published: exchange.totals.published,
    unrouted: exchange.totals.unrouted,
    arguments: headersToShow(spec.arguments),
  }
}

export function bindingView(vhost: string, binding: BindingSpec): BindingView {
  const { source, target, targetKind, key } = binding
  return { vhost, source, target, targetKind, key, arguments: headersToShow(binding.arguments) }
}

export interface PolicyView {
  readonly vhost: string
  readonly name: string
  readonly pattern: string
  readonly appliesTo: string
  readonly priority: number
  readonly definition: Readonly<Record<string, unknown>>
}

export function policyView(vhost: string, policy: Policy): PolicyView {
  const { name, pattern, appliesTo, priority } = policy
  return {
    vhost,
    name,
    pattern,
    appliesTo,
    priority,
    definition: policyDefinition(policy.settings),
  }
}

export function headersToShow(headers: HeaderMap): Record<string, unknown> {
  return Object.fromEntries([...headers].map(([key, value]) => [key, headerToShow(value)]))
}

/** For reading, not for reading back: octets become base64 and large integers text. */
export function headerToShow(value: HeaderValue): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value.toString()
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof Map) return headersToShow(value)
  if (Array.isArray(value)) return value.map(headerToShow)
  return value
}
