import type { TimerTarget } from './timer-index.ts'
import type { TurnTask } from '../lib/turn.ts'
import type { EngineError } from '../engine/contract.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { DeathReason } from './annotations.ts'
import { BodyBytes } from './body-bytes.ts'
import { Consumer } from './consumer.ts'
import { ConsumerSet } from './consumer-set.ts'
import type { ConsumeOptions, Destination, DestinationSpec, GetDone } from './destination.ts'
import type { DestinationPolicy } from './policy.ts'
import { decodeQueueState, encodeQueueState } from './queue-state.ts'
import { QueueIndex, type RangeVisitor } from './queue-index.ts'
import { RecordCursor } from './record-cursor.ts'
import { SettleRuns } from './settle-runs.ts'
import type { Shard, ShardMember } from './shard.ts'
import { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many messages a queue gives out before other queues and sockets have their turn. */
const DISPATCH_COUNT_MAX = 1000

/** Where priorities are served fairly, those up to it count as normal (RabbitMQ, quorum queues). */
const FAIR_LOW_MAX = 4

const TIMER_EXPIRY = 1
const TIMER_UNUSED = 2

/** A message on its way to the dead letters, waiting to be read. */
interface Burial {
  readonly offset: number
  readonly reason: DeathReason
}

/**
 * A destination of profile queue: messages wait in order until a consumer settles them.
 *
 * A deterministic state machine over the records of its shard. What is in memory is an index of
 * offsets; the messages themselves are read from the log when their turn comes.
 */
export class Queue implements Destination, ShardMember, TurnTask, TimerTarget {
  turnQueued = false
  readonly id: number
  readonly vhost: VirtualHost
  readonly spec: DestinationSpec
  readonly shard: Shard
  readonly settleRuns: SettleRuns = new SettleRuns()
  readonly profile = 'queue'
  /** Messages ever taken in, given out and settled since the broker started. */
  readonly totals = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0 }
  /** Arguments and policy together. */
  #settings: DestinationPolicy
  #levels: QueueIndex[]
  readonly #consumers: ConsumerSet
  readonly #cursor = new RecordCursor()
  readonly #view = new StoredMessage()
  /** Failed attempts of messages that failed at least once. */
  readonly #attempts: Map<number, number> = new Map()
  readonly #bytes = new BodyBytes()
  /** Limits beyond which heads are dropped; Infinity: none. */
  #countMax = Infinity
  #bytesMax = Infinity
  #readyCount = 0
  /** Messages before it may have been given out before the broker was restarted. */
  #deliveredBefore = 0
  #deliveredMax = 0
  #mayExpire = false
  /**
   * The head of each level that was looked at last, and when it expires. Were all of them read
   * anew each time, a queue with more levels than the cache has room for would read for ever.
   */
  readonly #headOffsets: Float64Array
  readonly #headExpiries: Float64Array
  #expiryTimer = 0
  #unusedTimer = 0
  #loading = false
  #fault: BrokerError | null = null
  #burials: Burial[] = []
  /** Every record is read: before that nothing may be given out or die. */
  #started = false
  #getters: { readonly noAck: boolean; readonly done: GetDone }[] = []
  #deleted = false

  constructor(id: number, vhost: VirtualHost, spec: DestinationSpec, shard: Shard) {
    this.id = id
    this.vhost = vhost
    this.spec = spec
    this.shard = shard
    this.#settings = spec.settings
    this.#consumers = new ConsumerSet(spec.singleActive)
    this.#levels = Array.from({ length: spec.prioritiesMax + 1 }, () => new QueueIndex())
    this.#headOffsets = new Float64Array(this.#levels.length).fill(-1)
    this.#headExpiries = new Float64Array(this.#levels.length)
    shard.members.set(id, this)
  }

  get name(): string {
    return this.spec.name
  }

  get exclusiveOwner(): object | null {
    return this.spec.exclusiveOwner
  }

  get readyCount(): number {
    return this.#readyCount
  }

  get unsettledCount(): number {
    let count = 0
    for (const level of this.#levels) count += level.outCount
    return count
  }

  get consumerCount(): number {
    return this.#consumers.size
  }

  /** Bytes of the bodies that wait; exact where `bytesMax` is set, else a close estimate. */
  get readyBytes(): number {
    return this.#bytes.ready
  }

  get exactBytes(): number {
    return this.#settings.bytesMax === undefined ? -1 : this.#bytes.live
  }

  get settings(): DestinationPolicy {
    return this.#settings
  }

  /** Who is served while `singleActive` is set. */
  get activeConsumer(): Consumer | null {
    return this.#consumers.active
  }

  /** Arguments and policy changed or are known now: limits hold from here on. */
  applySettings(settings: DestinationPolicy): void {
    this.#settings = settings
    if (settings.messageTtlMs !== undefined) this.#mayExpire = true
    this.#headOffsets.fill(-1)
    if (settings.bytesMax !== undefined) this.#bytes.keepSizes()
    const drops = (settings.overflow ?? 'drop-head') === 'drop-head'
    this.#countMax = drops ? (settings.messagesMax ?? Infinity) : Infinity
    this.#bytesMax = drops ? (settings.bytesMax ?? Infinity) : Infinity
    if (!this.#started) return
    this.touch()
    this.#wake()
  }

  // --- taking in ---

  /** Whether a limit refuses one more message of this size. */
  refuses(bodyBytes: number): boolean {
    const settings = this.#settings
    if (settings.overflow === undefined || settings.overflow === 'drop-head') return false
    if (settings.messagesMax !== undefined && this.#readyCount >= settings.messagesMax) return true
    return settings.bytesMax !== undefined && this.readyBytes + bodyBytes > settings.bytesMax
  }

  /**
   * Takes in the message just appended at `offset`, of which `message` is the view; a consumer
   * that waits for it gets it at once.
   */
  enqueue(offset: number, message: StoredMessage): void {
    const level = this.#levels.length === 1 ? this.#levels[0]! : this.#levelFor(message.priority)
    const bodyBytes = message.bodyEnd - message.bodyStart
    this.totals.enqueued++
    // Also when it goes out at once: it may come back.
    if (message.expiresAtMs !== 0) this.#mayExpire = true
    if (this.#readyCount === 0) {
      const consumer = this.#consumers.next()
      if (consumer !== null) {
        level.pushOut(offset)
        this.#bytes.wentOut(offset, bodyBytes)
        this.#deliver(consumer, level, offset, message, false, 0)
        return
      }
    }
    level.push(offset)
    this.#readyCount++
    this.#bytes.ready += bodyBytes
    if (this.#readyCount > this.#countMax || this.#bytes.ready > this.#bytesMax) this.#overflow()
    if (this.#consumers.size > 0 || (this.#mayExpire && this.#expiryTimer === 0)) this.#wake()
  }

  // --- giving out ---

  consume(options: ConsumeOptions): Consumer {
    if (this.#consumers.hasExclusive || (options.exclusive && this.#consumers.size > 0)) {
      throw new BrokerError(
        'ACCESS_REFUSED',
        `queue '${this.name}' in vhost '${this.vhost.name}' in exclusive use`,
      )
    }
    const consumer = new Consumer(this, this, options)
    this.#consumers.add(consumer)
    this.touch()
    return consumer
  }

  consumers(): Iterable<Consumer> {
    return this.#consumers.list()
  }

  consumerReady(consumer: Consumer): void {
    this.#consumers.wake(consumer)
    if (this.#readyCount > 0) this.#wake()
  }

  removeConsumer(consumer: Consumer): void {
    const successor = this.#consumers.remove(consumer)
    this.touch()
    if (successor !== null) this.#wake()
    if (this.#consumers.size === 0 && this.spec.autoDelete) this.vhost.deleteUnused(this)
  }

  get(noAck: boolean, done: GetDone): void {
    if (this.#fault !== null) throw this.#fault
    this.touch()
    this.#getters.push({ noAck, done })
    if (!this.#serveGetters()) return
    // Another head stands first now, and may expire sooner.
    if (this.#mayExpire) this.#wake()
    this.#rest()
  }

  runTurn(): void {
    if (this.#deleted || this.#loading || this.#fault !== null || !this.#started) return
    if (this.#burials.length > 0 && !this.#bury()) return
    if (this.#getters.length > 0 && !this.#serveGetters()) return
    if (this.#mayExpire && !this.#expireHeads()) return
    if (!this.#enforceLimits()) return
    const before = this.#readyCount
    if (!this.#dispatch()) return
    if (this.#mayExpire && this.#readyCount !== before && !this.#expireHeads()) return
    this.#rest()
  }

  attemptsOf(offset: number): number {
    return this.#attempts.size === 0 ? 0 : (this.#attempts.get(offset) ?? 0)
  }

  // --- settlement ---

  accept(offset: number): void {
    const level = this.#levelHolding(offset)
    if (level.settleOut(offset)) this.#settled(level, offset)
  }

  release(offset: number): void {
    if (!this.#levelHolding(offset).release(offset)) return
    this.#readyCount++
    this.#bytes.ready += this.#bytes.leftOut(offset, this.unsettledCount)
    this.#wake()
  }

  fail(offset: number): void {
    if (!this.spec.countsAttempts) {
      this.release(offset)
      return
    }
    if (!this.#levelHolding(offset).isOut(offset)) return
    const attempts = this.attemptsOf(offset) + 1
    const attemptsMax = this.#settings.attemptsMax ?? -1
    if (attemptsMax >= 0 && attempts > attemptsMax) {
      this.#startBurial(offset, 'delivery_limit')
      return
    }
    this.#attempts.set(offset, attempts)
    this.shard.keepAttempts(this, offset, attempts)
    this.release(offset)
  }

  reject(offset: number): void {
    if (this.#levelHolding(offset).isOut(offset)) this.#startBurial(offset, 'rejected')
  }

  purge(): number {
    let purged = 0
    for (const level of this.#levels) {
      purged += level.purgeReady((start, count) => this.shard.settleRun(this, start, count))
    }
    this.#readyCount = 0
    this.#bytes.ready = 0
    this.totals.settled += purged
    for (const offset of this.#attempts.keys()) {
      if (!this.isLive(offset)) this.#attempts.delete(offset)
    }
    return purged
  }

  // --- life ---

  touch(): void {
    const expiresMs = this.#settings.expiresMs
    if (this.#unusedTimer !== 0) this.vhost.timers.cancel(this.#unusedTimer)
    this.#unusedTimer = 0
    if (expiresMs === undefined || this.#consumers.size > 0 || this.#deleted) return
    this.#unusedTimer = this.vhost.timers.schedule(this.vhost.now() + expiresMs, this, TIMER_UNUSED)
  }

  onTimer(value: number): void {
    if (value === TIMER_EXPIRY) {
      this.#expiryTimer = 0
      this.#wake()
      return
    }
    this.#unusedTimer = 0
    if (this.#consumers.size === 0) this.vhost.deleteUnused(this)
  }

  /** The virtual host took it from the list: consumers are told, space is given back. */
  dispose(): void {
    this.#deleted = true
    this.vhost.timers.cancel(this.#expiryTimer)
    this.vhost.timers.cancel(this.#unusedTimer)
    for (const consumer of Array.from(this.#consumers.list())) {
      this.#consumers.remove(consumer)
      consumer.orphan()
    }
    this.#answerGettersEmpty()
    const shard = this.shard
    shard.members.delete(this.id)
    this.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => shard.releaseRun(start, count))
    // Channels may hold deliveries of it for long: what they settle is not here any more.
    this.#levels = [new QueueIndex()]
    this.#readyCount = 0
    this.#bytes.reset(0)
    this.#attempts.clear()
    this.#burials = []
    this.#cursor.forget()
    this.#view.forget()
  }

  // --- recovery ---

  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void {
    this.#view.set(data, start, timestampMs)
    this.#levelFor(this.#view.priority).push(offset)
    this.#readyCount++
    this.#bytes.ready += this.#view.bodyEnd - this.#view.bodyStart
    if (this.#view.expiresAtMs !== 0) this.#mayExpire = true
  }

  recoverSettled(start: number, count: number): void {
    let settled = 0
    for (const level of this.#levels) settled += level.settleRun(start, count)
    this.#bytes.shrink((this.readyBytes / this.#readyCount) * settled, this.#readyCount - settled)
    this.#readyCount -= settled
    if (this.#attempts.size > 0) {
      for (const offset of this.#attempts.keys()) {
        if (offset >= start && offset < start + count) this.#attempts.delete(offset)
      }
    }
    this.#deliveredBefore = Math.max(this.#deliveredBefore, start + count)
    this.#deliveredMax = this.#deliveredBefore
  }

  recoverAttempts(offset: number, attempts: number): void {
    if (this.isLive(offset)) this.#attempts.set(offset, attempts)
    this.#deliveredBefore = Math.max(this.#deliveredBefore, offset + 1)
    this.#deliveredMax = this.#deliveredBefore
  }

  recoverBytes(bytes: number): void {
    this.#bytes.reset(bytes)
  }

  /** All records are read: gives out what waits, starts what depends on time. */
  recovered(): void {
    this.#started = true
    this.#view.forget()
    this.touch()
    this.#wake()
  }

  encodeState(): Buffer {
    return encodeQueueState({
      deliveredBefore: this.#deliveredMax,
      liveBytes: this.#bytes.live,
      mayExpire: this.#mayExpire,
      attempts: this.#attempts,
      levels: this.#levels,
    })
  }

  decodeState(bytes: Buffer): void {
    const state = decodeQueueState(bytes, this.#attempts, this.#levels)
    this.#deliveredBefore = state.deliveredBefore
    this.#deliveredMax = state.deliveredBefore
    this.#bytes.reset(state.liveBytes)
    this.#mayExpire ||= state.mayExpire
    this.#readyCount = 0
    for (const level of this.#levels) this.#readyCount += level.readyCount
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    for (const level of this.#levels) level.visitLive(from, to, visit)
  }

  isLive(offset: number): boolean {
    return this.#levels.some((level) => level.isLive(offset))
  }

  // --- inside ---

  #wake(): void {
    this.vhost.turn.dispatch(this)
  }

  #deliver(
    consumer: Consumer,
    level: QueueIndex,
    offset: number,
    message: StoredMessage,
    redelivered: boolean,
    attempts: number,
  ): void {
    const totals = this.totals
    totals.delivered++
    if (redelivered) totals.redelivered++
    if (offset >= this.#deliveredMax) this.#deliveredMax = offset + 1
    // Settled before it goes: the sink may look at the queue's counts.
    if (consumer.noAck && level.settleOut(offset)) this.#settled(level, offset)
    consumer.sink.deliver(consumer, message, offset, redelivered, attempts)
  }

  /** The message in `#view` is out; whoever took it from its level tells so. */
  #takenOut(offset: number): void {
    const bytes = this.#view.bodyEnd - this.#view.bodyStart
    this.#readyCount--
    this.#bytes.shrink(bytes, this.#readyCount)
    this.#bytes.wentOut(offset, bytes)
  }

  /** A message that was out is settled in its level. */
  #settled(level: QueueIndex, offset: number): void {
    this.totals.settled++
    if (this.#attempts.size > 0) this.#attempts.delete(offset)
    const outCount = this.#levels.length === 1 ? level.outCount : this.unsettledCount
    this.#bytes.leftOut(offset, outCount)
    this.shard.settle(this, offset)
  }

  #levelFor(priority: number): QueueIndex {
    if (this.spec.fairPriorities === true) return this.#levels[priority > FAIR_LOW_MAX ? 1 : 0]!
    return this.#levels[Math.min(priority, this.#levels.length - 1)]!
  }

  #levelHolding(offset: number): QueueIndex {
    const levels = this.#levels
    let at = levels.length - 1
    while (at > 0 && !levels[at]!.isLive(offset)) at--
    return levels[at]!
  }

  /** The level to serve next: the highest that has something ready. Only asked while one has. */
  #firstLevel(): QueueIndex {
    if (this.spec.fairPriorities === true) {
      const [low, high] = this.#levels as [QueueIndex, QueueIndex]
      if (low.readyCount === 0) return high
      return high.readyCount > 0 && this.totals.delivered % 3 !== 2 ? high : low
    }
    let at = this.#levels.length - 1
    while (at > 0 && this.#levels[at]!.readyCount === 0) at--
    return this.#levels[at]!
  }

  /** Points `#view` at a message; false: it is being read, and the queue runs again after. */
  #look(offset: number): boolean {
    if (this.shard.seek(this.#cursor, offset)) {
      this.#view.set(this.#cursor.entry!.data, this.#cursor.start, this.#cursor.entry!.timestampMs)
      return true
    }
    this.#loading = true
    this.shard.load(this.#cursor, offset, (error) => {
      this.#loading = false
      if (error === null) this.#wake()
      else this.#fail(error, offset)
    })
    return false
  }

  /** A message cannot be read: nothing is given out any more, for order is promised. */
  #fail(error: EngineError, offset: number): void {
    if (this.#deleted) return
    this.#fault = new BrokerError(
      'UNAVAILABLE',
      `queue '${this.name}' in vhost '${this.vhost.name}' cannot read its message ${offset}`,
      { cause: error },
    )
    if (error.kind !== 'closed') {
      this.vhost.log.error({ err: error, queue: this.name }, this.#fault.message)
    }
    this.#answerGettersEmpty()
  }

  /** Waits for others: lets go of what was read, so that idle queues pin no memory. */
  #rest(): void {
    this.#view.forget()
    if (this.#cursor.entry === null) return
    if (this.#readyCount === 0) this.#cursor.forget()
    else this.shard.rest(this.#cursor)
  }

  /** Gives out what waits; false when it goes on by itself in another turn. */
  #dispatch(): boolean {
    for (let left = DISPATCH_COUNT_MAX; left > 0; left--) {
      if (this.#readyCount === 0) return true
      const consumer = this.#consumers.next()
      if (consumer === null) return true
      const level = this.#firstLevel()
      const offset = level.next()
      if (!this.#look(offset)) return false
      if (this.#mayExpire && this.#expiryOf() <= this.vhost.now()) {
        this.#expireHead(level, offset)
        continue
      }
      const redelivered = level.nextIsReturned || offset < this.#deliveredBefore
      level.take()
      this.#takenOut(offset)
      this.#deliver(consumer, level, offset, this.#view, redelivered, this.attemptsOf(offset))
    }
    this.#wake()
    return false
  }

  /** False while a message is being read. */
  #serveGetters(): boolean {
    while (this.#getters.length > 0) {
      if (this.#readyCount === 0) {
        this.#answerGettersEmpty()
        return true
      }
      if (this.#loading) return false
      const level = this.#firstLevel()
      const offset = level.next()
      if (!this.#look(offset)) return false
      if (this.#mayExpire && this.#expiryOf() <= this.vhost.now()) {
        this.#expireHead(level, offset)
        continue
      }
      const redelivered = level.nextIsReturned || offset < this.#deliveredBefore
      const attempts = this.attemptsOf(offset)
      level.take()
      this.#takenOut(offset)
      this.totals.delivered++
      if (offset >= this.#deliveredMax) this.#deliveredMax = offset + 1
      const getter = this.#getters.shift()!
      if (getter.noAck && level.settleOut(offset)) this.#settled(level, offset)
      getter.done(this.#view, offset, redelivered, attempts)
    }
    return true
  }

  #answerGettersEmpty(): void {
    const getters = this.#getters
    this.#getters = []
    for (const getter of getters) getter.done(null, 0, false, 0)
  }

  // --- expiry ---

  /** When the message in `#view` expires, in milliseconds since the epoch. */
  #expiryOf(): number {
    const view = this.#view
    const own = view.expiresAtMs === 0 ? Infinity : view.expiresAtMs
    const ttlMs = this.#settings.messageTtlMs
    return ttlMs === undefined ? own : Math.min(own, view.timestampMs + ttlMs)
  }

  /** Expires what stands at the head of each level; false while a head is being read. */
  #expireHeads(): boolean {
    this.vhost.timers.cancel(this.#expiryTimer)
    this.#expiryTimer = 0
    let soonest = Infinity
    let left = DISPATCH_COUNT_MAX
    for (const [at, level] of this.#levels.entries()) {
      for (; level.readyCount > 0; left--) {
        const offset = level.next()
        if (this.#headOffsets[at] !== offset) {
          if (!this.#look(offset)) return false
          this.#headOffsets[at] = offset
          this.#headExpiries[at] = this.#expiryOf()
        }
        const expiryMs = this.#headExpiries[at]!
        if (expiryMs > this.vhost.now() || left <= 0) {
          soonest = Math.min(soonest, expiryMs)
          break
        }
        if (!this.#look(offset)) return false
        this.#expireHead(level, offset)
      }
    }
    if (soonest < Infinity) {
      this.#expiryTimer = this.vhost.timers.schedule(soonest, this, TIMER_EXPIRY)
    }
    return true
  }

  #expireHead(level: QueueIndex, offset: number): void {
    level.take()
    this.#takenOut(offset)
    this.#letDie(offset, 'expired')
  }

  // --- limits ---

  /** A message too many was taken in. */
  #overflow(): void {
    // Where bytes count, bodies must be looked at, and not while a message is being stored.
    if (this.#bytesMax === Infinity) this.#dropHeads()
    else this.#wake()
  }

  /** Drops heads beyond the limits; false while one is being read. */
  #enforceLimits(): boolean {
    if (this.#bytesMax === Infinity) {
      if (this.#readyCount > this.#countMax) this.#dropHeads()
      return true
    }
    for (let left = DISPATCH_COUNT_MAX; this.#readyCount > 0; left--) {
      if (this.#readyCount <= this.#countMax && this.readyBytes <= this.#bytesMax) return true
      if (left === 0) break
      const level = this.#firstLevel()
      const offset = level.next()
      if (!this.#look(offset)) return false
      level.take()
      this.#takenOut(offset)
      this.#letDie(offset, 'maxlen')
    }
    this.#wake()
    return true
  }

  /** Without a limit in bytes nobody needs to know how large they are. */
  #dropHeads(): void {
    for (let left = DISPATCH_COUNT_MAX; this.#readyCount > this.#countMax; left--) {
      if (left === 0) {
        this.#wake()
        return
      }
      const level = this.#firstLevel()
      const offset = level.next()
      level.take()
      this.#bytes.wentOut(offset, this.#bytes.leftReady(this.#readyCount))
      this.#readyCount--
      this.#startBurial(offset, 'maxlen')
    }
    // Another head stands first now, and may expire sooner.
    if (this.#mayExpire) this.#wake()
  }

  // --- dead letters ---

  /** A message that is out dies: at once where nobody wants its body, else when it was read. */
  #startBurial(offset: number, reason: DeathReason): void {
    if (this.#settings.deadLetterExchange === undefined) {
      const level = this.#levelHolding(offset)
      if (level.settleOut(offset)) this.#settled(level, offset)
      return
    }
    this.#burials.push({ offset, reason })
    this.#wake()
  }

  /** False while a message is being read. */
  #bury(): boolean {
    const burials = this.#burials
    // A quarter at least, so that those who make them faster never get far ahead.
    const count = Math.min(burials.length, Math.max(DISPATCH_COUNT_MAX, burials.length >> 2))
    let done = 0
    while (done < count) {
      const { offset, reason } = burials[done]!
      // Rejected twice: nothing is left to bury.
      if (this.#levelHolding(offset).isOut(offset)) {
        if (!this.#look(offset)) break
        this.#letDie(offset, reason)
      }
      done++
    }
    // More may have been added meanwhile: a dead letter may come back here.
    this.#burials = burials.slice(done)
    if (this.#burials.length > 0 && !this.#loading) this.#wake()
    return !this.#loading
  }

  /** The message in `#view`, which is out, dies: dead-lettered and settled in one entry. */
  #letDie(offset: number, reason: DeathReason): void {
    this.shard.beginHold()
    this.vhost.deadLetters.publish(this, this.#view, reason)
    const level = this.#levelHolding(offset)
    if (level.settleOut(offset)) this.#settled(level, offset)
    this.shard.endHold()
  }

  /** A message that a limit refused dies unstored, straight from the publisher's hands. */
  refuseToDeadLetters(draft: MessageDraft): void {
    this.vhost.deadLetters.publishDraft(this, draft, 'maxlen')
  }
}
