import { BrokerError } from '../model/errors.ts'
import type { BindingSpec } from './binding.ts'
import type { Allowance, Flows } from './flow/index.ts'
import type { BrokerLimits } from './limits.ts'
import type { Pressure } from './pressure.ts'

/** What one may be too many of, with the limit that an operator sets and the broker's own. */
const BOUNDED = {
  queue: { limit: 'max-queues', otherwise: 'destinationCountMax' },
  exchange: { limit: 'max-exchanges', otherwise: 'exchangeCountMax' },
  binding: { limit: 'max-bindings', otherwise: 'bindingCountMax' },
  session: { limit: 'max-sessions', otherwise: 'sessionCountMax' },
} as const

/**
 * How much clients may make a virtual host keep. Each kind of thing has an end also where nobody
 * has set one, and while memory runs out nothing new is made at all: what a client declares stays
 * in memory, and no publisher's waiting would free it.
 */
export class VhostBounds {
  /** Those of inboxes too, which are as dear as others. Counted by whoever makes and drops them. */
  bindingCount = 0
  readonly #vhost: string
  readonly #flows: Flows
  readonly #limits: BrokerLimits
  readonly #pressure: Pressure

  constructor(
    vhost: string,
    parts: {
      readonly flows: Flows
      readonly limits: BrokerLimits
      readonly pressure: Pressure
    },
  ) {
    this.#vhost = vhost
    this.#flows = parts.flows
    this.#limits = parts.limits
    this.#pressure = parts.pressure
  }

  /** Throws `LIMIT_EXCEEDED` where `count` is all there may be, in RabbitMQ's words for queues. */
  require(kind: keyof typeof BOUNDED, name: string, count: number): void {
    this.#requireMemory(kind, name)
    const { limit, otherwise } = BOUNDED[kind]
    const max = this.#flows.vhost(this.#vhost).limits[limit] ?? this.#limits[otherwise]
    if (count < max) return
    throw refused(kind, name, `${kind} limit in vhost '${this.#vhost}' (${max}) is reached`)
  }

  /** `count`: as many as there would be in all topics together. */
  requirePartitions(topic: string, count: number): void {
    const limits = this.#flows.vhost(this.#vhost).limits
    const max = limits['max-partitions'] ?? this.#limits.partitionTotalMax
    if (count <= max) return
    const why = `partition limit in vhost '${this.#vhost}' (${max}) is reached`
    throw new BrokerError('LIMIT_EXCEEDED', `cannot add partitions to topic '${topic}': ${why}`)
  }

  requireBinding({
    source,
    target,
    targetKind,
  }: Pick<BindingSpec, 'source' | 'target' | 'targetKind'>): void {
    const kind = targetKind === 'exchange' ? 'exchange' : 'queue'
    this.require('binding', `${kind} '${target}' to exchange '${source}'`, this.bindingCount)
  }

  /** Of an exchange that must look at each of them for each message. */
  requireCompared({ source, target }: Pick<BindingSpec, 'source' | 'target'>, count: number): void {
    const max = this.#limits.comparedBindingsMax
    if (count < max) return
    const why = `exchange '${source}' has ${count} bindings by headers or filters, limit is ${max}`
    throw new BrokerError('LIMIT_EXCEEDED', `cannot bind '${target}': ${why}`)
  }

  /** The same for a session, which counts for its user too. */
  requireSession(name: string, count: number, user: Allowance): void {
    this.require('session', name, count)
    const max = user.max('max-sessions')
    if (user.sessionCount < max) return
    throw refused('session', name, `session limit of ${user.title} (${max}) is reached`)
  }

  #requireMemory(kind: string, name: string): void {
    if (this.#pressure.isMemoryLow) throw refused(kind, name, 'the broker is low on memory')
  }
}

function refused(kind: string, name: string, why: string): BrokerError {
  const what = kind === 'binding' ? `bind ${name}` : `declare ${kind} '${name}'`
  return new BrokerError('LIMIT_EXCEEDED', `cannot ${what}: ${why}`)
}
