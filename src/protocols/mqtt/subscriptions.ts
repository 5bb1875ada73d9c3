import type { StoredMessage } from '../../broker/index.ts'
import { routingKeyOf, exchangeOf } from '../../model/address.ts'
import { BytesCache } from './bytes-cache.ts'
import { matchesLevels, type ParsedFilter } from './filter.ts'
import { topicOfKey } from './topic-key.ts'

/** A subscription as a session keeps it. */
export interface StoredSubscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly identifier: number
}

export interface HeldSubscription extends StoredSubscription {
  readonly parsed: ParsedFilter
}

/** What a message's address means to a subscriber. */
export interface Match {
  readonly topic: Buffer
  /** The highest of the subscriptions that match. */
  readonly qos: 0 | 1 | 2
  readonly retainAsPublished: boolean
  /** No subscription that matches wants the subscriber's own messages. */
  readonly noLocal: boolean
  /** Encoded subscription identifier properties. */
  readonly identifiers: Buffer
  /** The alias that stands for the topic on this connection; 0: none yet. */
  alias: number
}

/** Says what a message means to whoever takes it; null: nothing. */
export interface Matching {
  find(message: StoredMessage): Match | null
}

const NOTHING: Buffer = Buffer.alloc(0)
const IDENTIFIER_ID = 0x0b

/** The subscriptions of a session by filter, and which of them a message is for. */
export class Subscriptions implements Matching {
  readonly #held: Map<string, HeldSubscription> = new Map()
  readonly #matches: BytesCache<Match | null>

  constructor(topicsCachedMax: number) {
    this.#matches = new BytesCache(topicsCachedMax)
  }

  get size(): number {
    return this.#held.size
  }

  get(filter: string): HeldSubscription | undefined {
    return this.#held.get(filter)
  }

  list(): Iterable<HeldSubscription> {
    return this.#held.values()
  }

  /** Of topics only: groups and destinations have a matching of their own. */
  set(subscription: HeldSubscription): void {
    this.#held.set(subscription.filter, subscription)
    this.#matches.clear()
  }

  delete(filter: string): void {
    this.#held.delete(filter)
    this.#matches.clear()
  }

  hasNoLocal(): boolean {
    for (const { noLocal, qos } of this.#held.values()) if (noLocal && qos > 0) return true
    return false
  }

  find(message: StoredMessage): Match | null {
    const { data, addressStart, addressEnd } = message
    const known = this.#matches.get(data, addressStart, addressEnd)
    if (known !== undefined) return known
    const match = this.#find(topicOf(message))
    this.#matches.set(data, addressStart, addressEnd, match)
    return match
  }

  #find(topic: string): Match | null {
    const levels = topic.split('/')
    const found: HeldSubscription[] = []
    for (const subscription of this.#held.values()) {
      const { parsed } = subscription
      if (parsed.kind === 'topic' && matchesLevels(parsed.levels, levels)) found.push(subscription)
    }
    return found.length === 0 ? null : matchOf(topic, found)
  }
}

/** One subscription that has a queue of its own: a group's, or a destination by name. */
export class SingleMatching implements Matching {
  readonly #subscription: HeldSubscription
  readonly #matches: BytesCache<Match | null>

  constructor(subscription: HeldSubscription, topicsCachedMax: number) {
    this.#subscription = subscription
    this.#matches = new BytesCache(topicsCachedMax)
  }

  find(message: StoredMessage): Match | null {
    const { data, addressStart, addressEnd } = message
    const known = this.#matches.get(data, addressStart, addressEnd)
    if (known !== undefined) return known
    const topic = topicOf(message)
    const { parsed } = this.#subscription
    const isFor = parsed.kind === 'destination' || matchesLevels(parsed.levels, topic.split('/'))
    const match = isFor ? matchOf(topic, [this.#subscription]) : null
    this.#matches.set(data, addressStart, addressEnd, match)
    return match
  }
}

/** The topic a subscriber sees: a destination's own name where it was published to that. */
function topicOf({ data, addressStart }: StoredMessage): string {
  const key = routingKeyOf(data, addressStart)
  return exchangeOf(data, addressStart) === '' ? `$queue/${key}` : topicOfKey(key)
}

function matchOf(topic: string, found: readonly HeldSubscription[]): Match {
  const identifiers: Buffer[] = []
  let qos: 0 | 1 | 2 = 0
  for (const subscription of found) {
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.identifier > 0) identifiers.push(identifierProperty(subscription.identifier))
  }
  return {
    topic: Buffer.from(topic),
    qos,
    retainAsPublished: found.some(({ retainAsPublished }) => retainAsPublished),
    noLocal: found.every(({ noLocal }) => noLocal),
    identifiers: identifiers.length === 0 ? NOTHING : Buffer.concat(identifiers),
    alias: 0,
  }
}

function identifierProperty(identifier: number): Buffer {
  const octets = [IDENTIFIER_ID]
  let rest = identifier
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80)
  octets.push(rest)
  return Buffer.from(octets)
}
