import {
  CALL_EXCHANGE,
  filteredOf,
  FilterFields,
  type KeySharing,
  type MessageFilter,
  type StoredMessage,
} from '../../broker/index.ts'
import type { NativeForm } from '../../model/native-form.ts'
import type { Wanted } from './message-filter.ts'
import { routingKeyOf, exchangeOf } from '../../model/address.ts'
import { BytesCache } from './bytes-cache.ts'
import { matchesLevels, type ParsedFilter, topicOfCall } from './filter.ts'
import { topicOfKey } from './topic-key.ts'

/** A subscription as a session keeps it. */
export interface StoredSubscription {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: none. */
  readonly identifier: number
  /** What it wants of its topics. Absent: everything. */
  readonly wanted?: Wanted
  /** What was asked for of a shared one or a destination. Absent: nothing. */
  readonly keyShared?: KeySharing | null
}

export interface HeldSubscription extends StoredSubscription {
  readonly parsed: ParsedFilter
  /** Null: every message. */
  readonly messages: MessageFilter | null
}

/** What a message's address means to a subscriber. */
export interface Match {
  readonly topic: Buffer
  /** The highest of the subscriptions that match. */
  readonly qos: 0 | 1 | 2
  readonly retainAsPublished: boolean
  /**
   * What a message of the subscriber's own means: less where some of the subscriptions do not want
   * it, nothing where none does, else the same.
   */
  readonly own: Match | null
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

/** How to read headers of that form; undefined: nobody here knows. */
type FormOf = (id: number) => NativeForm | undefined

/** The subscriptions of a session by filter, and which of them a message is for. */
export class Subscriptions implements Matching {
  readonly #held: Map<string, HeldSubscription> = new Map()
  readonly #matches: BytesCache<Match | Choice | null>
  readonly #form: FormOf

  constructor(topicsCachedMax: number, form: FormOf) {
    this.#matches = new BytesCache(topicsCachedMax)
    this.#form = form
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
    let isNamed = false
    let isStored = false
    for (const { noLocal, qos } of this.#held.values()) {
      isNamed ||= noLocal
      isStored ||= qos > 0
    }
    // What is not stored is recognized while it is published.
    return isNamed && isStored
  }

  find(message: StoredMessage): Match | null {
    const { data, addressStart, addressEnd } = message
    let known = this.#matches.get(data, addressStart, addressEnd)
    if (known === undefined) {
      known = this.#find(topicOf(message))
      this.#matches.set(data, addressStart, addressEnd, known)
    }
    return known instanceof Choice ? known.find(message, this.#form(message.form)) : known
  }

  #find(topic: string): Match | Choice | null {
    const levels = topic.split('/')
    const found: HeldSubscription[] = []
    for (const subscription of this.#held.values()) {
      const { parsed } = subscription
      if (parsed.kind === 'topic' && matchesLevels(parsed.levels, levels)) found.push(subscription)
    }
    if (found.some(({ messages }) => messages !== null)) return new Choice(topic, found)
    return found.length === 0 ? null : matchOf(topic, found)
  }
}

/**
 * What a topic means where some of its subscriptions look at the message, too. Each set of them
 * that is found has one match, for an alias belongs to it.
 */
class Choice {
  readonly #topic: string
  readonly #subscriptions: readonly HeldSubscription[]
  readonly #matches: Map<string, Match | null> = new Map()
  readonly #fields = new FilterFields()

  constructor(topic: string, subscriptions: readonly HeldSubscription[]) {
    this.#topic = topic
    this.#subscriptions = subscriptions
  }

  find(message: StoredMessage, form: NativeForm | undefined): Match | null {
    const fields = this.#fields.open(filteredOf(message, form))
    const found = this.#subscriptions.filter(({ messages }) => messages?.matches(fields) !== false)
    fields.close()
    const name = found.map(({ filter }) => filter).join('\n')
    const known = this.#matches.get(name)
    if (known !== undefined) return known
    if (this.#matches.size >= CHOICES_MAX) this.#matches.clear()
    const match = found.length === 0 ? null : matchOf(this.#topic, found)
    this.#matches.set(name, match)
    return match
  }
}

/** Sets of subscriptions of one topic that are remembered; beyond, they are made again. */
const CHOICES_MAX = 64

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

/** What a message means that was sent for a subscription there is no more: it is to be finished. */
export function matchOfEnded(message: StoredMessage): Match {
  // No less than it was sent with: as QoS 1 it might be taken twice.
  return { ...plainMatch(topicOf(message), []), qos: 2 }
}

/** The topic a subscriber sees: a destination's own name where it was published to that. */
function topicOf({ data, addressStart, addressEnd }: StoredMessage): string {
  const key = routingKeyOf(data, addressStart, addressEnd)
  const exchange = exchangeOf(data, addressStart)
  if (exchange === CALL_EXCHANGE) return topicOfCall(key)
  return exchange === '' ? `$queue/${key}` : topicOfKey(key)
}

function matchOf(topic: string, found: readonly HeldSubscription[]): Match {
  const whole = plainMatch(topic, found)
  const others = found.filter(({ noLocal }) => !noLocal)
  if (others.length < found.length) {
    const own = others.length === 0 ? null : plainMatch(topic, others)
    return { ...whole, own }
  }
  return whole
}

/** Each is for the subscriber's own messages, too. */
function plainMatch(topic: string, found: readonly HeldSubscription[]): Match {
  const identifiers: Buffer[] = []
  let qos: 0 | 1 | 2 = 0
  for (const subscription of found) {
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.identifier > 0) identifiers.push(identifierProperty(subscription.identifier))
  }
  const match: { -readonly [Key in keyof Match]: Match[Key] } = {
    topic: Buffer.from(topic),
    qos,
    retainAsPublished: found.some(({ retainAsPublished }) => retainAsPublished),
    own: null,
    identifiers: identifiers.length === 0 ? NOTHING : Buffer.concat(identifiers),
    alias: 0,
  }
  match.own = match
  return match
}

function identifierProperty(identifier: number): Buffer {
  const octets = [IDENTIFIER_ID]
  let rest = identifier
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80)
  octets.push(rest)
  return Buffer.from(octets)
}
