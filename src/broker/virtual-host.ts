import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Turn } from '../lib/turn.ts'
import { BrokerError } from '../model/errors.ts'
import type { LimitSet } from '../model/limit-set.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { NativeForm } from '../model/native-form.ts'
import type { BindingSpec } from './binding.ts'
import { BindingSet } from './binding-set.ts'
import { ConsumerWatch } from './consumer-watch.ts'
import { DeadLetters } from './dead-letters.ts'
import { DelayStore } from './delay-store.ts'
import { type DestinationSpec, isStored } from './destination.ts'
import { DestinationRegistry } from './destination-registry.ts'
import { Exchange, type ExchangeSpec } from './exchange.ts'
import type { Flows } from './flow/index.ts'
import { VhostRoom } from './flow/vhost-room.ts'
import { Inbox, type InboxSink } from './inbox.ts'
import type { BrokerLog } from './broker-log.ts'
import type { Calendar } from './calendar.ts'
import type { Metadata, StoredDestination, StoredVhost, VhostIds } from './metadata.ts'
import { type DeclareMismatch, effectiveSettings, type Policy, PolicySet } from './policy.ts'
import type { Pressure } from './pressure.ts'
import { PREDECLARED_EXCHANGES } from './predeclared-exchanges.ts'
import { changeProfile } from './profile-change.ts'
import { Queue } from './queue.ts'
import { RecurringSchedules } from './recurring-schedules.ts'
import { RetainedSet } from './retained-set.ts'
import type { PublishResult, Route } from './route.ts'
import { Router } from './router.ts'
import { Schedules } from './schedules.ts'
import { type SessionListener, Sessions } from './sessions.ts'
import type { Shards } from './shards.ts'
import type { TimerIndex } from './timer-index.ts'
import type { SharedSubscriptions } from './topics/shared-subscriptions.ts'
import type { Subscriptions } from './topics/subscriptions.ts'
import { TopicMaker } from './topics/topic-maker.ts'
import { TopicStates } from './topics/topic-states.ts'
import { Topic } from './topics/topic.ts'
import type { Transactions } from './topics/transactions.ts'
import type { Tracer } from './tracing/tracer.ts'
import { VhostBounds } from './vhost-bounds.ts'
import { VhostTotals } from './vhost-totals.ts'

/** What a virtual host is built from; all of it belongs to the broker. */
export interface VhostOptions {
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly timers: TimerIndex
  readonly tracer: Tracer
  readonly log: BrokerLog
  readonly metadata: Metadata
  readonly flows: Flows
  readonly shards: Shards
  readonly pressure: Pressure
  readonly forms: ReadonlyMap<number, NativeForm>
  readonly sessionListeners: ReadonlySet<SessionListener>
  readonly calendar: Calendar
}

/** A name space: exchanges, destinations, bindings and policies that see only each other. */
export class VirtualHost {
  readonly name: string
  readonly turn: Turn
  readonly timers: TimerIndex
  readonly tracer: Tracer
  readonly log: BrokerLog
  readonly random: RandomSource
  readonly flows: Flows
  readonly policies: PolicySet = new PolicySet()
  readonly deadLetters: DeadLetters
  readonly delays: DelayStore
  readonly schedules: Schedules
  readonly sessions: Sessions
  readonly retained: RetainedSet
  readonly subscriptions: Subscriptions
  readonly shared: SharedSubscriptions
  readonly transactions: Transactions
  readonly consumerWatch: ConsumerWatch
  readonly totals: VhostTotals = new VhostTotals()
  readonly bounds: VhostBounds
  /** What leads where. */
  readonly bindingSet: BindingSet
  declareMismatch: DeclareMismatch = 'fail'
  /** Moves with every change of exchanges, destinations, bindings or policies. */
  topologyVersion = 1
  readonly #options: VhostOptions
  readonly #clock: Clock
  readonly #router: Router
  readonly #exchanges: Map<string, Exchange> = new Map()
  readonly #destinations: DestinationRegistry = new DestinationRegistry()
  readonly #topicMaker: TopicMaker
  readonly #topicStates: TopicStates
  readonly #inboxes: Map<string, Inbox> = new Map()
  #isGone = false

  constructor(name: string, ids: VhostIds, options: VhostOptions) {
    this.name = name
    this.turn = options.turn
    this.consumerWatch = new ConsumerWatch(options.turn)
    this.timers = options.timers
    this.tracer = options.tracer
    this.log = options.log
    this.random = options.random
    this.flows = options.flows
    this.#openRoom()
    this.#options = options
    this.#clock = options.clock
    this.deadLetters = new DeadLetters(this)
    this.sessions = new Sessions(this, options.metadata, options.sessionListeners)
    const { durable, limits } = options.shards
    this.bounds = new VhostBounds(name, { ...options, limits })
    this.bindingSet = new BindingSet({
      ...{ vhost: name, vhostId: ids.delayId, log: options.shards.bindings },
      ...{ exchanges: this.#exchanges, destinations: this.#destinations },
      ...{ bounds: this.bounds, clock: options.clock },
      changed: (source) => this.#routesChanged(source),
      unbound: (source) => this.#deleteUnusedExchange(source),
    })
    this.delays = new DelayStore(ids.delayId, this, durable)
    const { calendar, shards } = options
    const recurring = { state: shards.state, calendar, limits, id: ids.delayId }
    this.schedules = new Schedules(this, {
      ...{ delays: this.delays, shard: durable, limits },
      recurring: new RecurringSchedules(this, recurring),
    })
    this.retained = new RetainedSet(ids.retainedId, this, {
      shard: durable,
      countMax: limits.retainedCountMax,
    })
    const now = (): number => this.now()
    this.#topicMaker = new TopicMaker(this, { shards, forms: options.forms, now })
    this.#topicStates = new TopicStates(ids.delayId, {
      ...{ state: options.shards.state, cycle: options.shards.cycle, limits },
      ...{
        timers: this.timers,
        log: this.log,
        forms: options.forms,
        topics: this.#destinations.topics,
      },
      now,
    })
    this.subscriptions = this.#topicStates.subscriptions
    this.shared = this.#topicStates.shared
    this.transactions = this.#topicStates.transactions
    this.#router = new Router(this, durable, options.shards.transient)
    for (const spec of PREDECLARED_EXCHANGES) this.#addExchange(spec)
  }

  /** Builds what was stored; bindings follow, and messages when the shards are read. */
  async restore(stored: StoredVhost): Promise<void> {
    this.declareMismatch = stored.declareMismatch
    this.flows.setVhostLimits(this.name, stored.limits)
    for (const policy of stored.policies) this.policies.set(policy)
    for (const policy of stored.operatorPolicies) this.policies.setOperator(policy)
    for (const spec of stored.exchanges) this.#addExchange(spec)
    await this.#restoreDestinations(stored.destinations)
    this.#topicStates.restore()
    this.schedules.recurring.restore()
    this.sessions.restore(stored.sessions)
  }

  /** Every record is read: timers start, what waits is given out. */
  recovered(): void {
    this.delays.recovered()
    this.schedules.recurring.recovered()
    for (const destination of this.#destinations.all()) destination.recovered()
    this.sessions.recovered()
  }

  now(): number {
    return this.#clock.now()
  }

  form(id: number): NativeForm | undefined {
    return this.#options.forms.get(id)
  }

  exchange(name: string): Exchange | undefined {
    return this.#exchanges.get(name)
  }

  exchanges(): Iterable<Exchange> {
    return this.#exchanges.values()
  }

  destination(name: string): Queue | Topic | undefined {
    return this.#destinations.get(name)
  }

  get destinationCount(): number {
    return this.#destinations.size
  }

  destinations(): Iterable<Queue | Topic> {
    return this.#destinations.all()
  }

  /** The topic with that id; a topic that is declared again has another one. */
  topic(id: number): Topic | undefined {
    return this.#destinations.topics.get(id)
  }

  topics(): Iterable<Topic> {
    return this.#destinations.topics.values()
  }

  bindings(): Iterable<BindingSpec> {
    return this.bindingSet.specs()
  }

  inbox(name: string): Inbox | undefined {
    return this.#inboxes.get(name)
  }

  /** A name that answers can be published to while it is open; nothing is stored for it. */
  openInbox(name: string, sink: InboxSink): Inbox {
    const inbox = new Inbox(this, name, sink, (closed) => {
      if (this.#inboxes.get(closed.name) === closed) this.#inboxes.delete(closed.name)
      this.topologyVersion++
    })
    this.#inboxes.set(name, inbox)
    this.topologyVersion++
    return inbox
  }

  // --- publishing ---

  route(exchange: Exchange, routingKey: string): Route {
    return this.#router.route(exchange, [routingKey])
  }

  /** For a message with several keys: a destination gets one copy, however many of them match. */
  routeMany(exchange: Exchange, keys: readonly string[], _draft: MessageDraft): Route {
    const version = this.topologyVersion
    return { exchange, keys, version, cacheable: false, targets: null }
  }

  publish(route: Route, draft: MessageDraft): PublishResult {
    return this.#router.publish(route, draft)
  }

  /** False, and nothing is done, where no destination is found or each one is full. */
  moveExcept(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft,
    excepts: (name: string) => boolean,
  ): boolean {
    return this.#router.moveExcept(exchange, keys, draft, excepts)
  }

  publishExcept(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft,
    excepts: (name: string) => boolean,
  ): PublishResult {
    return this.#router.publishExcept(exchange, keys, draft, excepts)
  }

  // --- topology ---

  /** Creates it and resolves when that is stored; gives the one that is there as it is. */
  async declareExchange(spec: ExchangeSpec): Promise<Exchange> {
    this.#checkThere()
    const existing = this.#exchanges.get(spec.name)
    if (existing !== undefined) {
      await this.#options.metadata.settled()
      return existing
    }
    this.bounds.require('exchange', spec.name, this.#exchanges.size)
    const exchange = this.#addExchange(spec)
    try {
      if (spec.durable) await this.#options.metadata.putExchange(this.name, spec)
    } catch (error) {
      this.#exchanges.delete(spec.name)
      this.topologyVersion++
      throw error
    }
    return exchange
  }

  /** Nothing happens when it is not there. */
  async deleteExchange(name: string, options: { readonly ifUnused: boolean }): Promise<void> {
    const exchange = this.#exchanges.get(name)
    if (exchange === undefined) return
    if (options.ifUnused && !exchange.matcher.isEmpty) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `exchange '${name}' in vhost '${this.name}' in use`,
      )
    }
    const steps = this.bindingSet.dropInSteps(exchange)
    if (steps !== null) await steps
    if (this.#exchanges.get(name) !== exchange) return
    this.#exchanges.delete(name)
    this.totals.exchangeGone(exchange.totals)
    const sources = this.bindingSet.dropAllOf(exchange)
    this.topologyVersion++
    await this.#forget('exchange', name, exchange.spec.durable)
    for (const source of sources) this.#deleteUnusedExchange(source)
  }

  /** Creates it and resolves when that is stored; gives the one that is there as it is. */
  async declareQueue(spec: DestinationSpec): Promise<Queue | Topic> {
    this.#checkThere()
    // The logs of a topic are being opened under this name: whoever comes second gets that one.
    const opening = this.#destinations.changeOf(spec.name)
    if (opening !== undefined) await opening
    const existing = this.#destinations.get(spec.name)
    if (existing !== undefined) {
      existing.touch()
      await this.#options.metadata.settled()
      return existing
    }
    this.bounds.require('queue', spec.name, this.#destinations.size)
    const stored = isStored(spec)
    const id = stored ? this.#options.metadata.takeId() : this.#options.shards.takeTransientId()
    if (spec.profile === 'queue') {
      const queue = this.#addQueue(id, spec)
      queue.recovered()
      if (stored) await this.#store(id, spec)
      return queue
    }
    const added = this.#addTopic(id, spec)
    this.#destinations.changing(spec.name, added)
    try {
      const topic = await added
      if (stored) await this.#store(id, spec)
      return topic
    } finally {
      this.#destinations.changed(spec.name)
    }
  }

  /** Returns how many messages went with it; 0 when it was not there. */
  async deleteDestination(
    name: string,
    options: { readonly ifUnused: boolean; readonly ifEmpty: boolean },
  ): Promise<number> {
    const destination = this.#destinations.get(name)
    if (destination === undefined) return 0
    if (options.ifUnused && destination.consumerCount > 0) {
      throw new BrokerError('PRECONDITION_FAILED', `queue '${name}' in vhost '${this.name}' in use`)
    }
    if (options.ifEmpty && destination.readyCount > 0) {
      throw new BrokerError(
        'PRECONDITION_FAILED',
        `queue '${name}' in vhost '${this.name}' is not empty`,
      )
    }
    const count = destination.readyCount
    await this.#drop(destination)
    return count
  }

  /** Deletes a destination that nobody waits for: auto-delete, expiry, a gone owner. */
  deleteUnused(destination: Queue | Topic): void {
    if (!this.#destinations.has(destination)) return
    this.#drop(destination).catch((error: unknown) => {
      this.log.error({ err: error, queue: destination.name }, 'a queue could not be deleted')
    })
  }

  /** Deletes what was exclusive to a connection that is gone. */
  connectionClosed(owner: object): void {
    for (const destination of this.#destinations.ownedBy(owner)) this.deleteUnused(destination)
    this.#destinations.ownerGone(owner)
  }

  /** Adds a binding and resolves when it is stored; adding it again changes nothing. */
  async bind(spec: BindingSpec): Promise<void> {
    await this.bindingSet.bind(spec)
  }

  /** Nothing happens when there is no such binding. */
  async unbind(spec: BindingSpec): Promise<void> {
    await this.bindingSet.unbind(spec)
  }

  /** Settings and arguments of it become those of `spec`; all else of it stays. */
  async adopt(
    destination: Queue | Topic,
    spec: Pick<DestinationSpec, 'arguments' | 'settings'>,
  ): Promise<void> {
    const { arguments: args, settings } = spec
    const { name } = destination
    while (this.#destinations.changeOf(name) !== undefined) await this.#destinations.changeOf(name)
    this.#checkHas(destination)
    destination.spec = { ...destination.spec, arguments: args, settings }
    this.#applyQueuePolicy(destination)
    this.topologyVersion++
    await this.#storeAgain(destination)
  }

  /**
   * Gives a topic more partitions and resolves when that is stored. `PRECONDITION_FAILED` where it
   * has as many or more.
   */
  async growTopic(topic: Topic, partitionCount: number): Promise<void> {
    // One after the other: each stores how many there are then.
    await this.#destinations.inTurn(topic.name, async () => this.#grow(topic, partitionCount))
  }

  /** Makes a topic like `spec` of a queue, or a queue of a topic, which begins with all it holds. */
  async changeProfile(old: Queue | Topic, spec: DestinationSpec): Promise<Queue | Topic> {
    const { metadata, shards, forms } = this.#options
    return this.#destinations.inTurn(old.name, async () =>
      changeProfile(old, spec, {
        ...{ shards, forms },
        takeStoredId: async () => metadata.takeStoredId(),
        openTopic: async (id, topic) => this.#topicMaker.openNew(id, topic),
        checkThere: (destination) => this.#checkHas(destination),
        store: async (destination) => this.#storeAgain(destination),
        replace: (was, next) => this.#replace(was, next),
        deletePartitions: async (topic) => this.#dropPartitions(topic),
      }),
    )
  }

  async setDeclareMismatch(declareMismatch: DeclareMismatch): Promise<void> {
    this.declareMismatch = declareMismatch
    await this.#storeSelf()
  }

  get limits(): LimitSet {
    return this.flows.vhost(this.name).limits
  }

  /** Replaces all of them and resolves when that is stored. */
  async setLimits(limits: LimitSet): Promise<void> {
    this.flows.setVhostLimits(this.name, limits)
    await this.#storeSelf()
  }

  // --- policies ---

  async setPolicy(policy: Policy, operator = false): Promise<void> {
    if (operator) this.policies.setOperator(policy)
    else this.policies.set(policy)
    this.#applyPolicies()
    await this.#options.metadata.putPolicy(this.name, policy, operator)
  }

  /** False when there was no such policy. */
  async deletePolicy(name: string, operator = false): Promise<boolean> {
    const there = operator ? this.policies.removeOperator(name) : this.policies.remove(name)
    if (!there) return false
    this.#applyPolicies()
    await this.#options.metadata.deletePolicy(this.name, name, operator)
    return true
  }

  /** Everything in it goes, and nothing comes any more; resolves when that is stored. */
  async dispose(): Promise<void> {
    this.#isGone = true
    this.#exchanges.clear()
    this.topologyVersion++
    this.delays.dispose()
    this.schedules.recurring.dispose()
    this.sessions.dispose()
    this.retained.dispose()
    this.#topicStates.dispose()
    await this.#destinations.changesOver()
    const destinations = Array.from(this.#destinations.all())
    await Promise.all(destinations.map((destination) => this.#drop(destination)))
  }

  // --- inside ---

  async #storeSelf(): Promise<void> {
    const { name, declareMismatch, limits } = this
    const ids = { delayId: this.delays.id, retainedId: this.retained.id }
    await this.#options.metadata.putVhost({ name, ...ids, declareMismatch, limits })
  }

  /** All that waits here counts for the limits of the virtual host. */
  #openRoom(): void {
    const allowance = this.flows.vhost(this.name)
    allowance.room = new VhostRoom(allowance, () => this.destinations(), this.flows.clock)
  }

  #checkThere(): void {
    if (this.#isGone) throw new BrokerError('NOT_FOUND', `no vhost '${this.name}'`)
  }

  #addExchange(spec: ExchangeSpec): Exchange {
    const exchange = new Exchange(this, spec, this.#options.random)
    this.#exchanges.set(spec.name, exchange)
    this.#applyExchangePolicy(exchange)
    this.topologyVersion++
    return exchange
  }

  async #restoreDestinations(stored: readonly StoredDestination[]): Promise<void> {
    const topics = stored.filter(({ spec }) => spec.profile === 'topic')
    const opened = await this.#topicMaker.open(topics)
    for (const { id, spec } of stored) {
      if (spec.profile === 'queue') this.#addQueue(id, spec)
      else this.#register(opened.get(id)!)
    }
  }

  #addQueue(id: number, spec: DestinationSpec): Queue {
    const { durable, transient } = this.#options.shards
    const queue = new Queue(id, this, spec, isStored(spec) ? durable : transient)
    this.#register(queue)
    return queue
  }

  async #addTopic(id: number, spec: DestinationSpec): Promise<Topic> {
    const topic = await this.#topicMaker.openNew(id, spec)
    this.#register(topic)
    return topic
  }

  async #grow(topic: Topic, partitionCount: number): Promise<void> {
    const opened = await this.#topicMaker.openMore(topic, partitionCount)
    const spec = { ...topic.spec, partitionCount }
    try {
      this.#checkHas(topic)
      if (isStored(spec)) {
        await this.#options.metadata.putDestination(this.name, { id: topic.id, spec })
        this.#checkHas(topic)
      }
    } catch (error) {
      await this.#topicMaker.delete(opened)
      throw error
    }
    topic.spec = { ...topic.spec, partitionCount }
    for (const partition of opened) topic.addPartition(partition)
    this.topologyVersion++
  }

  #checkHas(destination: Queue | Topic): void {
    if (this.#destinations.has(destination)) return
    const { name } = destination
    throw new BrokerError('NOT_FOUND', `no queue '${name}' in vhost '${this.name}'`)
  }

  /** The bindings of one become the other's; what is stored of them has names alone. */
  #replace(old: Queue | Topic, next: Queue | Topic): void {
    this.#destinations.replace(old, next)
    this.#registered(next)
    this.bindingSet.move(old, next)
  }

  async #storeAgain({ id, spec }: Queue | Topic): Promise<void> {
    if (isStored(spec)) await this.#options.metadata.putDestination(this.name, { id, spec })
  }

  #register(destination: Queue | Topic): void {
    this.#destinations.add(destination)
    this.#registered(destination)
  }

  #registered(destination: Queue | Topic): void {
    this.#applyQueuePolicy(destination)
    this.topologyVersion++
  }

  async #store(id: number, spec: DestinationSpec): Promise<void> {
    try {
      await this.#options.metadata.putDestination(this.name, { id, spec })
    } catch (error) {
      const destination = this.#destinations.get(spec.name)
      destination?.dispose()
      if (destination !== undefined) this.#destinations.remove(destination)
      this.topologyVersion++
      throw error
    }
  }

  async #drop(destination: Queue | Topic): Promise<void> {
    const steps = this.bindingSet.dropInSteps(destination)
    if (steps !== null) await steps
    if (!this.#destinations.has(destination)) return
    this.#destinations.remove(destination)
    const sources = this.bindingSet.dropAllOf(destination)
    this.topologyVersion++
    destination.dispose()
    await this.#forget('destination', destination.name, isStored(destination.spec))
    if (destination instanceof Topic) await this.#dropPartitions(destination)
    for (const source of sources) this.#deleteUnusedExchange(source)
  }

  async #dropPartitions({ id, partitions }: Topic): Promise<void> {
    // Not before: should a crash come between, the topic is there and so are they.
    this.#topicStates.topicDeleted(id)
    for (const partition of partitions) partition.forget()
    await this.#topicMaker.delete(partitions)
  }

  /**
   * Its bindings go before it, so that a crash in between leaves none for the next of that name.
   * Where there is one already, what is stored of that stands under the name.
   */
  async #forget(kind: 'exchange' | 'destination', name: string, stored: boolean): Promise<void> {
    if (!stored) return
    await this.bindingSet.settled()
    const { metadata } = this.#options
    const next = this.#destinations.get(name)
    const isKept =
      kind === 'exchange'
        ? this.#exchanges.get(name)?.spec.durable === true
        : next !== undefined && isStored(next.spec)
    if (isKept) await metadata.settled()
    else await metadata.delete(this.name, kind, name)
  }

  #routesChanged({ name }: Exchange): void {
    this.topologyVersion++
    const topic = this.#destinations.get(name)
    if (topic instanceof Topic) topic.routesChanged()
  }

  #deleteUnusedExchange(exchange: Exchange): void {
    if (!exchange.spec.autoDelete || !exchange.matcher.isEmpty) return
    if (this.#exchanges.get(exchange.name) !== exchange) return
    this.deleteExchange(exchange.name, { ifUnused: false }).catch((error: unknown) => {
      this.log.error({ err: error, exchange: exchange.name }, 'an exchange could not be deleted')
    })
  }

  #applyPolicies(): void {
    for (const exchange of this.#exchanges.values()) this.#applyExchangePolicy(exchange)
    for (const destination of this.#destinations.all()) this.#applyQueuePolicy(destination)
    this.topologyVersion++
  }

  #applyExchangePolicy(exchange: Exchange): void {
    const { settings } = this.policies.match({ name: exchange.name, kind: 'exchange' })
    exchange.alternateExchange =
      exchange.spec.alternateExchange ?? settings.alternateExchange ?? null
  }

  #applyQueuePolicy(destination: Queue | Topic): void {
    const { name, spec } = destination
    const { settings } = this.policies.match(
      destination.profile === 'topic'
        ? { name, kind: 'topic' }
        : { name, kind: 'queue', queueType: spec.countsAttempts ? 'quorum' : 'classic' },
    )
    destination.applySettings(effectiveSettings(spec.settings, settings))
  }
}
