import type { TimerTarget } from './timer-index.ts'
import type { TurnTask } from '../lib/turn.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { DeathReason } from './annotations.ts'
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
  /** Bytes of the bodies that wait; exact where `bytesMax` is set, else a close estimate. */
  readyBytes = 0
  /** Messages ever taken in, given out and settled since the broker started. */
  readonly totals = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0 }
  /** Arguments and policy together. */
  #settings: DestinationPolicy
  readonly #levels: QueueIndex[]
  readonly #consumers: ConsumerSet
  readonly #cursor = new RecordCursor()
  readonly #view = new StoredMessage()
  /** Failed attempts of messages that failed at least once. */
  readonly #attempts: Map<number, number> = new Map()
  /** Body sizes of messages that are out, kept where `bytesMax` needs them. */
  readonly #outSizes: Map<number, number> = new Map()
  #outBytes = 0
  #readyCount = 0
  /** Messages before it may have been given out before the broker was restarted. */
  #deliveredBefore = 0
  #deliveredMax = 0
  #mayExpire = false
  #expiryTimer = 0
  #unusedTimer = 0
  #loading = false
  #fault: BrokerError | null = null
  #burials: Burial[] = []
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
    if (this.#readyCount === 0) {
      const consumer = this.#consumers.next()
      if (consumer !== null) {
        level.pushOut(offset)
        this.#deliver(consumer, level, offset, message, false, 0)
        return
      }
    }
    level.push(offset)
    this.#readyCount++
    this.readyBytes += bodyBytes
    if (message.expiresAtMs !== 0) this.#mayExpire = true
    if (this.#settings.messagesMax !== undefined || this.#settings.bytesMax !== undefined) {
      this.#enforceLimits()
    }
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
    this.#serveGetters()
  }

  runTurn(): void {
    if (this.#deleted || this.#loading || this.#fault !== null) return
    if (this.#burials.length > 0 && !this.#bury()) return
    if (this.#getters.length > 0 && !this.#serveGetters()) return
    if (this.#mayExpire && !this.#expireHeads()) return
    if (this.#settings.bytesMax !== undefined) this.#enforceLimits()
    for (let left = DISPATCH_COUNT_MAX; left > 0; left--) {
      if (this.#readyCount === 0) return
      const consumer = this.#consumers.next()
      if (consumer === null) return
      const level = this.#firstLevel()
      const offset = level.next()
      if (!this.#look(offset)) return
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
  }

  attemptsOf(offset: number): number {
    return this.#attempts.size === 0 ? 0 : (this.#attempts.get(offset) ?? 0)
  }

  // --- settlement ---

  accept(offset: number): void {
    this.#settle(this.#levelHolding(offset), offset)
  }

  release(offset: number): void {
    if (this.#deleted || !this.#levelHolding(offset).release(offset)) return
    this.#readyCount++
    this.#cameBack(offset)
    this.#wake()
  }

  fail(offset: number): void {
    if (!this.spec.countsAttempts) {
      this.release(offset)
      return
    }
    if (this.#deleted) return
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
    this.#startBurial(offset, 'rejected')
  }

  purge(): number {
    let purged = 0
    for (const level of this.#levels) {
      purged += level.purgeReady((start, count) => this.shard.settleRun(this, start, count))
    }
    this.#readyCount = 0
    this.readyBytes = 0
    this.totals.settled += purged
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
    this.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      if (shard.relocations.isEmpty) shard.extents.releaseRun(start, count)
      else {
        for (let index = 0; index < count; index++) {
          shard.extents.release(shard.relocations.release(start + index))
        }
      }
    })
  }

  // --- recovery ---

  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void {
    this.#view.set(data, start, timestampMs)
    this.#levelFor(this.#view.priority).push(offset)
    this.#readyCount++
    this.readyBytes += this.#view.bodyEnd - this.#view.bodyStart
    if (this.#view.expiresAtMs !== 0) this.#mayExpire = true
  }

  recoverSettled(start: number, count: number): void {
    for (let offset = start; offset < start + count; offset++) {
      const average = this.readyBytes / Math.max(1, this.#readyCount)
      if (!this.#levels.some((level) => level.settle(offset))) continue
      this.#readyCount--
      this.readyBytes = this.#readyCount === 0 ? 0 : Math.max(0, this.readyBytes - average)
      this.#attempts.delete(offset)
    }
    this.#deliveredBefore = Math.max(this.#deliveredBefore, start + count)
    this.#deliveredMax = this.#deliveredBefore
  }

  recoverAttempts(offset: number, attempts: number): void {
    if (this.isLive(offset)) this.#attempts.set(offset, attempts)
    this.#deliveredBefore = Math.max(this.#deliveredBefore, offset + 1)
    this.#deliveredMax = this.#deliveredBefore
  }

  /** All records are read: gives out what waits, starts what depends on time. */
  recovered(): void {
    this.touch()
    if (this.#mayExpire) this.#wake()
  }

  encodeState(): Buffer {
    return encodeQueueState({
      deliveredBefore: this.#deliveredMax,
      liveBytes: this.readyBytes + this.#outBytes,
      mayExpire: this.#mayExpire,
      attempts: this.#attempts,
      levels: this.#levels,
    })
  }

  decodeState(bytes: Buffer): void {
    const state = decodeQueueState(bytes, this.#attempts, this.#levels)
    this.#deliveredBefore = state.deliveredBefore
    this.#deliveredMax = state.deliveredBefore
    this.readyBytes = state.liveBytes
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
    const bodyBytes = message.bodyEnd - message.bodyStart
    this.#outBytes += bodyBytes
    if (this.#settings.bytesMax !== undefined) this.#outSizes.set(offset, bodyBytes)
    // Settled before it goes: the sink may look at the queue's counts.
    if (consumer.noAck) this.#settle(level, offset)
    consumer.sink.deliver(consumer, message, offset, redelivered, attempts)
  }

  #takenOut(offset: number): void {
    this.#readyCount--
    const bytes = this.#view.bodyEnd - this.#view.bodyStart
    this.readyBytes = this.#readyCount === 0 ? 0 : Math.max(0, this.readyBytes - bytes)
    if (this.#settings.bytesMax !== undefined) this.#outSizes.set(offset, bytes)
  }

  #outSizeOf(offset: number): number {
    const size = this.#outSizes.get(offset)
    if (size !== undefined) {
      this.#outSizes.delete(offset)
      return size
    }
    return this.#outBytes / Math.max(1, this.unsettledCount + 1)
  }

  #cameBack(offset: number): void {
    const bytes = this.#outSizeOf(offset)
    this.#outBytes = Math.max(0, this.#outBytes - bytes)
    this.readyBytes += bytes
  }

  #settle(level: QueueIndex, offset: number): void {
    // Deleted: its space was given back already, together with what is out.
    if (this.#deleted || !level.settle(offset)) return
    this.totals.settled++
    if (this.#attempts.size > 0) this.#attempts.delete(offset)
    if (level.outCount === 0 && this.#levels.length === 1) {
      this.#outBytes = 0
      if (this.#outSizes.size > 0) this.#outSizes.clear()
    } else this.#outBytes = Math.max(0, this.#outBytes - this.#outSizeOf(offset))
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
      if (error !== null && error.kind !== 'closed') {
        this.#fault = new BrokerError(
          'UNAVAILABLE',
          `queue '${this.name}' in vhost '${this.vhost.name}' cannot read its message ${offset}`,
          { cause: error },
        )
        this.vhost.log.error({ err: error, queue: this.name }, this.#fault.message)
        this.#answerGettersEmpty()
      }
      this.#wake()
    })
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
      this.#outBytes += this.#view.bodyEnd - this.#view.bodyStart
      const getter = this.#getters.shift()!
      if (getter.noAck) this.#settle(level, offset)
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
    for (const level of this.#levels) {
      for (let left = DISPATCH_COUNT_MAX; level.readyCount > 0; left--) {
        const offset = level.next()
        if (!this.#look(offset)) return false
        const expiryMs = this.#expiryOf()
        if (expiryMs > this.vhost.now()) {
          soonest = Math.min(soonest, expiryMs)
          break
        }
        if (left === 0) {
          this.#wake()
          break
        }
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

  #enforceLimits(): void {
    const { messagesMax, bytesMax } = this.#settings
    if (messagesMax !== undefined) {
      while (this.#readyCount > messagesMax) this.#dropHead()
    }
    if (bytesMax === undefined) return
    while (this.readyBytes > bytesMax && this.#readyCount > 0) {
      const level = this.#firstLevel()
      const offset = level.next()
      if (this.#loading || !this.#look(offset)) return
      level.take()
      this.#takenOut(offset)
      this.#letDie(offset, 'maxlen')
    }
  }

  #dropHead(): void {
    const level = this.#firstLevel()
    const offset = level.next()
    const average = this.readyBytes / Math.max(1, this.#readyCount)
    level.take()
    this.#readyCount--
    this.readyBytes = this.#readyCount === 0 ? 0 : Math.max(0, this.readyBytes - average)
    this.#startBurial(offset, 'maxlen')
  }

  // --- dead letters ---

  /** A message that is out dies: at once where nobody wants its body, else when it was read. */
  #startBurial(offset: number, reason: DeathReason): void {
    if (this.#settings.deadLetterExchange === undefined) {
      this.#settle(this.#levelHolding(offset), offset)
      return
    }
    this.#burials.push({ offset, reason })
    if (this.#burials.length === 1) this.#wake()
  }

  /** False while a message is being read. */
  #bury(): boolean {
    const burials = this.#burials
    let done = 0
    while (done < burials.length && done < DISPATCH_COUNT_MAX) {
      const { offset, reason } = burials[done]!
      // Purged or settled meanwhile: there is nothing left to bury.
      if (this.isLive(offset)) {
        if (!this.#look(offset)) break
        this.#letDie(offset, reason)
      }
      done++
    }
    this.#burials = burials.slice(done)
    if (this.#burials.length === 0) return true
    if (!this.#loading) this.#wake()
    return !this.#loading
  }

  /** The message in `#view` dies: dead-lettered and settled in one entry. */
  #letDie(offset: number, reason: DeathReason): void {
    this.shard.beginHold()
    const view = this.#view
    this.vhost.deadLetters.publish(this, view, reason)
    this.#settle(this.#levelHolding(offset), offset)
    this.shard.endHold()
  }

  /** A message that a limit refused dies unstored, straight from the publisher's hands. */
  refuseToDeadLetters(draft: MessageDraft): void {
    this.vhost.deadLetters.publishDraft(this, draft, 'maxlen')
  }
}
