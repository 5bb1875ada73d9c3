import type { Digest } from '../lib/digest.ts'
import { headerToJson } from '../model/header-json.ts'
import type { HeaderMap } from '../model/header-value.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { Letter } from './dead-letters.ts'
import { deduplicationIdOf, isDuplicate, rememberId } from './deduplication.ts'
import { Exchange, type MatchedTarget } from './exchange.ts'
import { filteredDraft, FilterFields } from './filter/index.ts'
import { FilteredTarget } from './filtered-target.ts'
import { type Flow, type Flows, INTAKE } from './flow/index.ts'
import { Inbox } from './inbox.ts'
import { Queue } from './queue.ts'
import { messageRecordBytes, type MessageTimes, TARGETS_MAX, writeMessageRecord } from './record.ts'
import { PUBLISH, type PublishResult, type Route, Targets } from './route.ts'
import { RoutingKey } from './routing/index.ts'
import type { Shard } from './shard.ts'
import { StoredMessage } from './stored-message.ts'
import { Topic } from './topics/topic.ts'
import type { VirtualHost } from './virtual-host.ts'

const NO_TIMES: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }

/** Finds where messages go and puts them there. One per virtual host. */
export class Router {
  readonly #vhost: VirtualHost
  readonly #durable: Shard
  readonly #transient: Shard
  readonly #flows: Flows
  readonly #key = new RoutingKey()
  /** Of the message that is being routed, while it is open. */
  readonly #fields = new FilterFields()
  readonly #view = new StoredMessage()
  readonly #times: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }
  /** How many publishes stand around the present one: dead letters are published from inside. */
  #depth = 0

  constructor(vhost: VirtualHost, durable: Shard, transient: Shard) {
    this.#vhost = vhost
    this.#durable = durable
    this.#transient = transient
    this.#flows = vhost.flows
  }

  route(exchange: Exchange, keys: readonly string[]): Route {
    const version = this.#vhost.topologyVersion
    const found = this.#find(exchange, keys, null)
    return found.cacheable
      ? { exchange, keys, version, cacheable: true, targets: found.targets }
      : { exchange, keys, version, cacheable: false, targets: null }
  }

  publish(route: Route, draft: MessageDraft): PublishResult {
    route.exchange.totals.published++
    const { tracer } = this.#vhost
    if (!tracer.isOn || !tracer.wants(route, draft)) return this.#publish(route, draft)
    const { trace } = draft
    const result = this.#publish(route, draft)
    draft.trace = 0
    tracer.published(trace, result === PUBLISH.UNROUTED)
    return result
  }

  #publish(route: Route, draft: MessageDraft): PublishResult {
    const { exchange } = route
    const { metered, current } = this.#flows
    if (metered !== null && !draft.ofBroker) {
      if (!metered.admits(draft.bodyEnd - draft.bodyStart)) return PUBLISH.REJECTED
      draft.owner = metered.owner
    } else if (draft.owner !== null && !draft.ofBroker) draft.owner = null
    if (draft.delayMs > 0 || draft.schedule !== null) {
      const taken = this.#vhost.schedules.take(draft)
      if (taken !== null) return taken
    }
    const targets = route.targets ?? this.#find(exchange, route.keys, draft).targets
    const result = this.#store(targets, draft, current)
    if (result === PUBLISH.UNROUTED) exchange.totals.unrouted++
    return result
  }

  /** Publishes to all but the destinations that `excepts` names. */
  publishExcept(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft,
    excepts: (name: string) => boolean,
  ): PublishResult {
    const { targets } = this.#find(exchange, keys, draft)
    const kept = new Targets()
    for (const queue of [...targets.durable, ...targets.transient]) {
      if (!excepts(queue.name)) kept.addQueue(queue)
    }
    for (const topic of targets.topics) if (!excepts(topic.name)) kept.addTopic(topic)
    for (const inbox of targets.inboxes) if (!excepts(inbox.name)) kept.inboxes.push(inbox)
    return this.#store(kept, draft, null)
  }

  /**
   * As `publishExcept`, for messages that are stored already: false, and nothing is done, where no
   * destination is found or each one is full. Those that `excepts` names count as done with it.
   */
  moveExcept(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft,
    excepts: (name: string) => boolean,
  ): boolean {
    const isTaken = this.#isTaken({ exchange, keys, draft }, (queue) => {
      return excepts(queue.name) || this.#takesIn(queue, draft)
    })
    if (isTaken) this.publishExcept(exchange, keys, draft, excepts)
    return isTaken
  }

  #isTaken({ exchange, keys, draft }: Letter, takes: (queue: Queue) => boolean): boolean {
    const { topics, durable, transient } = this.#find(exchange, keys, draft).targets
    return topics.length > 0 || durable.some(takes) || transient.some(takes)
  }

  /** Whether a message is kept somewhere when it goes to a queue: there, or as its dead letter. */
  #takesIn(queue: Queue, draft: MessageDraft): boolean {
    if (!queue.refuses(draft.bodyEnd - draft.bodyStart)) return true
    if (queue.settings.overflow !== 'reject-dead-letter') return false
    const letter = this.#vhost.deadLetters.ofRefused(queue, draft, 'maxlen')
    if (letter === null) return false
    // It ends: no dead letter goes again to a queue that refused it on its way.
    return this.#isTaken(letter, (next) => {
      return !letter.excepts(next.name) && this.#takesIn(next, letter.draft)
    })
  }

  /** `flow`: who publishes; null: the broker itself, which no rate holds. */
  #store(targets: Targets, draft: MessageDraft, flow: Flow | null): PublishResult {
    if (targets.isEmpty) return PUBLISH.UNROUTED
    if (targets.limited) return this.#storeLimited(targets, draft, flow)
    const now = this.#vhost.now()
    const times = draft.ttlMs < 0 ? NO_TIMES : this.#times
    if (draft.ttlMs >= 0) this.#times.expiresAtMs = now + draft.ttlMs
    const view = this.#depth === 0 ? this.#view : new StoredMessage()
    this.#depth++
    if (targets.durable.length > 0) {
      this.#enqueue(this.#durable, targets.durable, draft, times, view, now)
    }
    if (targets.transient.length > 0) {
      this.#enqueue(this.#transient, targets.transient, draft, times, view, now)
    }
    for (const topic of targets.topics) topic.append(draft)
    if (targets.inboxes.length > 0) this.#handOver(targets.inboxes, draft, view, now)
    this.#depth--
    return PUBLISH.ROUTED
  }

  #enqueue(
    shard: Shard,
    queues: readonly Queue[],
    draft: MessageDraft,
    times: MessageTimes,
    view: StoredMessage,
    now: number,
  ): void {
    if (queues.length > TARGETS_MAX) {
      const rest = queues.slice(TARGETS_MAX)
      this.#enqueue(shard, queues.slice(0, TARGETS_MAX), draft, times, view, now)
      this.#enqueue(shard, rest, draft, times, view, now)
      return
    }
    const offset = shard.append(draft, queues, times)
    view.set(shard.lastBuffer, shard.lastStart, now)
    if (draft.trace !== 0) {
      const isSynced = shard.durable && draft.persistent
      const where = { offset, destinations: queues, isSynced }
      this.#vhost.tracer.stored(draft.trace, shard, where)
    }
    for (let index = 0; index < queues.length; index++) queues[index]!.enqueue(offset, view)
  }

  /** Some may refuse: the others take the message all the same, and the publisher is told. */
  #storeLimited(targets: Targets, draft: MessageDraft, flow: Flow | null): PublishResult {
    const bodyBytes = draft.bodyEnd - draft.bodyStart
    const taking = new Targets()
    const refusing: Queue[] = []
    const id =
      targets.deduplicates && !draft.ofBroker
        ? deduplicationIdOf(this.#vhost.form(draft.form), draft)
        : null
    let isRefused = false
    for (const queue of [...targets.durable, ...targets.transient]) {
      if (id !== null && isDuplicate(queue, id)) continue
      const result = queue.intake.takes(flow, bodyBytes)
      if (result === INTAKE.TAKE) taking.addQueue(queue)
      else if (result === INTAKE.REFUSE) {
        refusing.push(queue)
        this.#flows.refusedBy = queue
      } else this.#passedOver(queue, draft)
    }
    for (const topic of targets.topics) {
      const result = topic.intake.takes(flow, bodyBytes)
      if (result === INTAKE.TAKE) taking.topics.push(topic)
      else if (result === INTAKE.REFUSE) {
        isRefused = true
        this.#flows.refusedBy = topic
      } else this.#passedOver(topic, draft)
    }
    taking.inboxes.push(...targets.inboxes)
    taking.limited = false
    if (id === null) this.#store(taking, draft, null)
    else this.#storeWithId(taking, draft, id)
    for (const queue of refusing) {
      if (draft.trace !== 0) {
        this.#vhost.tracer.step(draft.trace, 'refused', {
          at: queue.name,
          detail: queue.heldBackBy ?? 'it is full',
        })
      }
      if (queue.settings.overflow === 'reject-dead-letter') queue.refuseToDeadLetters(draft)
    }
    return refusing.length === 0 && !isRefused ? PUBLISH.ROUTED : PUBLISH.REJECTED
  }

  #passedOver({ name }: Queue | Topic, { trace }: MessageDraft): void {
    if (trace === 0) return
    this.#vhost.tracer.step(trace, 'dropped', { at: name, detail: 'a sample is kept, without it' })
  }

  /** Message and id are stored together: an id without its message would lose what is sent again. */
  #storeWithId(targets: Targets, draft: MessageDraft, id: Digest): void {
    this.#durable.beginHold()
    this.#store(targets, draft, null)
    for (const queue of targets.durable) rememberId(queue, id, draft.persistent)
    for (const queue of targets.transient) rememberId(queue, id, false)
    this.#durable.endHold()
  }

  /** One record for all of them, however many there are. */
  #handOver(
    inboxes: readonly Inbox[],
    draft: MessageDraft,
    view: StoredMessage,
    now: number,
  ): void {
    const size = messageRecordBytes(draft, 0, NO_TIMES)
    const record = Buffer.allocUnsafe(size)
    writeMessageRecord(record, 0, size, draft, [], NO_TIMES)
    view.set(record, 0, now)
    for (const inbox of inboxes) if (inbox.isOpen) inbox.sink.deliverDirect(view, draft.actor)
    if (draft.trace === 0) return
    const detail = `handed over unstored to ${inboxes.length} who listened`
    this.#vhost.tracer.step(draft.trace, 'delivered', { detail })
  }

  #find(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft | null,
  ): { readonly targets: Targets; readonly cacheable: boolean } {
    // One that could not be read may have left them open.
    if (this.#fields.isOpen) this.#fields.close()
    const targets = new Targets()
    let cacheable = exchange.isCacheable
    // A set shows what is added while it is walked, so exchanges found on the way are walked too,
    // each once: cycles of bindings end, and a destination gets one copy.
    const found = new Set<MatchedTarget>([exchange])
    for (const target of found) {
      if (target instanceof Queue) {
        targets.addQueue(target)
        if (target.successor !== null) targets.addTopic(target.successor)
      } else if (target instanceof Topic) {
        targets.addTopic(target)
        if (target.successor !== null) targets.addQueue(target.successor)
      } else if (target instanceof Inbox) targets.inboxes.push(target)
      else if (target instanceof FilteredTarget) {
        // What it means follows from the message, never from the key alone.
        cacheable = false
        if (draft !== null && this.#takes(target, draft)) found.add(target.target)
      } else if (!(target instanceof Exchange)) continue
      else if (target.name === '') this.#findByName(keys, found)
      else {
        cacheable &&= target.isCacheable
        this.#follow(target, keys, draft, found)
      }
    }
    if (this.#fields.isOpen) this.#fields.close()
    return { targets, cacheable }
  }

  #takes({ filter }: FilteredTarget, draft: MessageDraft): boolean {
    if (!this.#fields.isOpen) {
      this.#fields.open(filteredDraft(draft, this.#vhost.form(draft.form)))
    }
    return filter.matches(this.#fields)
  }

  /** Adds what an exchange routes to, or its alternate where that is nothing. */
  #follow(
    exchange: Exchange,
    keys: readonly string[],
    draft: MessageDraft | null,
    found: Set<MatchedTarget>,
  ): void {
    const { alternateExchange } = exchange
    if (alternateExchange === null) {
      for (const key of keys) this.#match(exchange, key, draft, found)
      return
    }
    // Apart: what others found already is a match all the same.
    const matched = new Set<MatchedTarget>()
    for (const key of keys) this.#match(exchange, key, draft, matched)
    let isTaken = false
    for (const target of matched) {
      const isFiltered = draft !== null && target instanceof FilteredTarget
      if (isFiltered && !this.#takes(target, draft)) continue
      isTaken = true
      found.add(target)
    }
    if (isTaken) return
    const alternate = this.#vhost.exchange(alternateExchange)
    if (alternate !== undefined) found.add(alternate)
  }

  #match(
    exchange: Exchange,
    key: string,
    draft: MessageDraft | null,
    found: Set<MatchedTarget>,
  ): void {
    const { hashHeader, hashProperty } = exchange.spec
    const headers = draft === null ? null : this.#headersFor(exchange, draft)
    let text = key
    if (typeof hashHeader === 'string') text = headerText(headers, hashHeader)
    else if (typeof hashProperty === 'string' && draft !== null) {
      const form = this.#vhost.form(draft.form)
      const { header, headerStart, headerEnd } = draft
      text = form?.property(header, headerStart, headerEnd, hashProperty) ?? ''
    }
    exchange.matcher.match(this.#key.setText(text), headers, found)
  }

  #headersFor(exchange: Exchange, draft: MessageDraft): HeaderMap | null {
    if (exchange.matcher.dependsOn !== 'headers' && typeof exchange.spec.hashHeader !== 'string') {
      return null
    }
    const form = this.#vhost.form(draft.form)
    return form?.headers(draft.header, draft.headerStart, draft.headerEnd) ?? null
  }

  /** The default exchange: a key is the name of a destination. */
  #findByName(keys: readonly string[], found: Set<MatchedTarget>): void {
    for (const name of new Set(keys)) {
      const destination = this.#vhost.destination(name)
      if (destination !== undefined) {
        found.add(destination)
        continue
      }
      const inbox = this.#vhost.inbox(name)
      if (inbox !== undefined) found.add(inbox)
    }
  }
}

function headerText(headers: HeaderMap | null, name: string): string {
  const value = headers?.get(name)
  if (typeof value === 'string') return value
  return value === undefined || value === null ? '' : JSON.stringify(headerToJson(value))
}
