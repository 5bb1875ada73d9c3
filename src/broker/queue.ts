import type { TimerTarget } from './timer-index.ts'
import type { TurnTask } from '../lib/turn.ts'
import type { EngineError } from '../engine/contract.ts'
import type { Digest } from '../lib/digest.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import { Burials } from './burials.ts'
import { Consumer } from './consumer.ts'
import { ConsumerSet } from './consumer-set.ts'
import type { ConsumeOptions, Destination, DestinationSpec, GetDone } from './destination.ts'
import { takeWindow, windowFor, withWindow } from './deduplication.ts'
import type { DeduplicationWindow } from './deduplication-window.ts'
import { DispatchChoice } from './dispatch-choice.ts'
import type { FailureText } from './failure-texts.ts'
import { Intake, Pace } from './flow/index.ts'
import { HeadExpiry } from './head-expiry.ts'
import { LengthLimit } from './length-limit.ts'
import type { KeySharing } from './message-key.ts'
import { MessageReader } from './message-reader.ts'
import type { OwnDispatch } from './own-dispatch.ts'
import type { DestinationPolicy } from './policy.ts'
import { QueueContents } from './queue-contents.ts'
import type { RangeVisitor } from './index-chunk.ts'
import type { QueueIndex } from './queue-index.ts'
import { RetryHold } from './retry-hold.ts'
import { SettleRuns } from './settle-runs.ts'
import type { Shard, ShardMember } from './shard.ts'
import type { StoredMessage } from './stored-message.ts'
import type { Topic } from './topics/topic.ts'
import { QueueTrace } from './tracing/queue-trace.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many messages a queue gives out before other queues and sockets have their turn. */
const DISPATCH_COUNT_MAX = 1000

/** What `#readNext` found; the message it readied is in the reader's view, and out. */
const NEXT = { TAKEN: 0, EXPIRED: 1, READING: 2, NONE: 3 } as const

/**
 * A destination of profile queue: messages wait in order until a consumer settles them.
 *
 * A deterministic state machine over the records of its shard. What it holds is in
 * `QueueContents`, and how messages end in `Burials`, `HeadExpiry` and `LengthLimit`; here is who
 * gets them, and when. The messages themselves are read from the log when their turn comes.
 */
export class Queue implements Destination, ShardMember, TurnTask, TimerTarget {
  turnQueued = false
  readonly id: number
  readonly vhost: VirtualHost
  /** Changed by `VirtualHost.adopt` only. */
  spec: DestinationSpec
  readonly shard: Shard
  readonly settleRuns: SettleRuns = new SettleRuns()
  readonly profile = 'queue'
  /** Told only while `shard.traced` is not null. */
  readonly trace: QueueTrace = new QueueTrace(this)
  /** Messages ever taken in, given out and settled since the broker started. */
  readonly totals: QueueContents['totals']
  /** Null unless duplicates are dropped. */
  deduplication: DeduplicationWindow | null = null
  readonly intake: Intake
  /** What is published to the queue is stored there too; null: it stays what it is. */
  successor: Topic | null = null
  /** Arguments and policy together. */
  #settings: DestinationPolicy
  readonly #consumers: ConsumerSet
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  readonly #burials: Burials
  readonly #expiry: HeadExpiry
  readonly #limit: LengthLimit
  readonly #retry: RetryHold
  readonly #choice: DispatchChoice
  /** Of all that is given out; null: as fast as consumers take it. */
  #pace: Pace | null = null
  #unusedTimer = 0
  #fault: BrokerError | null = null
  /** Every record is read: before that nothing may be given out or die. */
  #started = false
  #getters: { readonly noAck: boolean; readonly done: GetDone }[] = []
  #deleted = false
  #frozen = false
  /** Where `#readNext` found its message. */
  #takenOffset = 0
  #takenLevel: QueueIndex | null = null
  #takenAgain = false

  constructor(id: number, vhost: VirtualHost, spec: DestinationSpec, shard: Shard) {
    this.id = id
    this.vhost = vhost
    this.spec = spec
    this.shard = shard
    this.#settings = spec.settings
    this.#consumers = new ConsumerSet(spec.singleActive, () => vhost.consumerWatch.changed(this))
    const contents = new QueueContents({
      member: this,
      shard,
      levelCount: spec.prioritiesMax + 1,
      fair: spec.fairPriorities === true,
    })
    const reader = new MessageReader(shard, (error, offset) => {
      if (error === null) this.#wake()
      else this.#fail(error, offset)
    })
    const burials = new Burials(this, contents, reader)
    const expiry = new HeadExpiry(this, { contents, reader, burials })
    this.totals = contents.totals
    this.#contents = contents
    this.#reader = reader
    this.#burials = burials
    this.#expiry = expiry
    this.#retry = new RetryHold(this, contents, reader)
    this.#limit = new LengthLimit(this, { contents, reader, burials, expiry })
    this.#choice = new DispatchChoice({
      ...{ queue: this, contents, consumers: this.#consumers, reader, expiry },
      deliver: (consumer, offset, message, again) => {
        this.#deliver(consumer, contents.levelHolding(offset), offset, message, again)
      },
    })
    this.intake = new Intake(this, vhost.flows.clock, this.#limit)
    shard.members.set(id, this)
  }

  get name(): string {
    return this.spec.name
  }

  get exclusiveOwner(): object | null {
    return this.spec.exclusiveOwner
  }

  get readyCount(): number {
    return this.#contents.readyCount
  }

  get unsettledCount(): number {
    return this.#contents.outCount - this.heldCount
  }

  get heldCount(): number {
    return this.#retry.count + this.#burials.keptCount
  }

  get followerCount(): number {
    return this.#choice.followerCount
  }

  get keySharing(): KeySharing | null {
    return this.#choice.keySharing
  }

  get retries(): boolean {
    return this.#retry.isOn
  }

  get consumerCount(): number {
    return this.#consumers.size
  }

  /** Bytes of the bodies that wait; exact where `bytesMax` is set, else a close estimate. */
  get readyBytes(): number {
    return this.#contents.bytes.ready
  }

  get exactBytes(): number {
    return this.#settings.bytesMax === undefined ? -1 : this.#contents.bytes.live
  }

  get settings(): DestinationPolicy {
    return this.#settings
  }

  /** It has given out as much as its rate allows, and goes on by itself; or it is frozen. */
  get isPaced(): boolean {
    return this.#frozen || this.#pace?.isOpen() === false
  }

  get heldBackBy(): string | null {
    return this.intake.heldBackBy ?? this.pacedBy
  }

  /** The rate by which it gives out nothing now; null: none. */
  get pacedBy(): string | null {
    return this.#pace?.heldBackBy ?? null
  }

  /** How far a consumer's filter is; null: it has none. */
  filterStanding(consumer: Consumer): ReturnType<DispatchChoice['filterStanding']> {
    return this.#choice.filterStanding(consumer)
  }

  /** Who is served while `singleActive` is set. */
  get activeConsumer(): Consumer | null {
    return this.#consumers.active
  }

  /** Arguments and policy changed or are known now: limits hold from here on. */
  applySettings(settings: DestinationPolicy): void {
    this.#settings = settings
    if (this.#frozen) return
    this.#expiry.applyTtl(settings.messageTtlMs)
    this.#limit.apply(settings)
    this.intake.apply(settings)
    this.#setPace(settings)
    this.#retry.apply(settings)
    const { deduplicationIdsMax } = this.shard.limits
    this.deduplication = windowFor(this.deduplication, settings, deduplicationIdsMax)
    this.#choice.apply(settings)
    if (!this.#started) return
    this.touch()
    this.#wake()
  }

  // --- taking in ---

  /** Whether a limit refuses one more message of this size. */
  refuses(bodyBytes: number): boolean {
    return this.#limit.refuses(bodyBytes)
  }

  /**
   * Takes in the message just appended at `offset`, of which `message` is the view; a consumer
   * that waits for it gets it at once.
   */
  enqueue(offset: number, message: StoredMessage): void {
    const contents = this.#contents
    const level = contents.levelFor(message.priority)
    const bodyBytes = message.bodyEnd - message.bodyStart
    contents.totals.enqueued++
    // Also when it goes out at once: it may come back.
    if (message.expiresAtMs !== 0) this.#expiry.mayExpire = true
    const own = this.#choice.current
    if (own !== null) {
      contents.push(level, offset, bodyBytes)
      if (own.cameIn(offset, message)) return
    } else if (contents.readyCount === 0 && !this.isPaced) {
      const consumer = this.#consumers.next()
      if (consumer !== null) {
        contents.pushOut(level, offset, bodyBytes)
        contents.countDelivery(offset, false)
        this.#deliver(consumer, level, offset, message, false)
        return
      }
    }
    if (own === null) contents.push(level, offset, bodyBytes)
    if (this.#limit.tookIn() || this.#consumers.size > 0 || this.#expiry.needsTimer) this.#wake()
  }

  /** A message that a limit refused dies unstored, straight from the publisher's hands. */
  refuseToDeadLetters(draft: MessageDraft): void {
    this.vhost.deadLetters.publishDraft(this, draft, 'maxlen')
  }

  // --- giving out ---

  consume(options: ConsumeOptions): Consumer {
    if (this.#consumers.hasExclusive || (options.exclusive && this.#consumers.size > 0)) {
      throw new BrokerError(
        'ACCESS_REFUSED',
        `queue '${this.name}' in vhost '${this.vhost.name}' in exclusive use`,
      )
    }
    this.#choice.admit(options)
    const consumer = new Consumer(this, this, options)
    this.#consumers.add(consumer)
    this.#choice.added(consumer, this.#settings)
    this.touch()
    return consumer
  }

  consumers(): Iterable<Consumer> {
    return this.#consumers.list()
  }

  consumerReady(consumer: Consumer): void {
    this.#consumers.wake(consumer)
    this.#choice.current?.consumerReady(consumer)
    if (this.#contents.readyCount > 0) this.#wake()
  }

  removeConsumer(consumer: Consumer): void {
    const successor = this.#consumers.remove(consumer)
    this.#choice.removed(consumer, successor, this.#settings)
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
    if (this.#expiry.mayExpire) this.#wake()
    this.#rest()
  }

  runTurn(): void {
    if (this.#deleted || this.#frozen || this.#reader.isLoading) return
    if (this.#fault !== null || !this.#started) return
    if (!this.#burials.run() || !this.#retry.run()) return
    if (this.#getters.length > 0 && !this.#serveGetters()) return
    if (!this.#expiry.run()) return
    if (!this.#limit.run()) return
    const before = this.#contents.readyCount
    if (!this.#dispatch()) return
    if (this.#contents.readyCount !== before && !this.#expiry.run()) return
    this.#rest()
  }

  attemptsOf(offset: number): number {
    return this.#contents.attemptsOf(offset)
  }

  // --- being looked through ---

  /** What is neither ready nor with a consumer, and why nothing comes at all; null: it does. */
  get heldCounts(): {
    readonly waiting: number
    readonly soonestMs: number
    readonly kept: number
    readonly fault: string | null
  } {
    const fault = this.#fault?.message ?? null
    const { count: waiting, soonestMs } = this.#retry
    return { waiting, soonestMs, kept: this.#burials.keptCount, fault }
  }

  /** Until when a message is held back, 0: it is not; and whether it is dead and nobody takes it. */
  heldBack(offset: number): { readonly untilMs: number; readonly isKept: boolean } {
    const untilMs = this.#retry.notBefore.get(offset) ?? 0
    return { untilMs, isKept: this.#burials.isKept(offset) }
  }

  /** It gives out nothing any more. */
  get isDeleted(): boolean {
    return this.#deleted || this.#frozen
  }

  isReady(offset: number): boolean {
    return this.#contents.isReady(offset)
  }

  /** No message before it, from `from` on, is here; Infinity: none at all. */
  liveFrom(from: number): number {
    return this.#contents.liveFrom(from)
  }

  /** Takes a message that is ready, wherever it stands: it is out as if a consumer had it. */
  takeReady(offset: number): void {
    this.#contents.takeAt(offset)
  }

  // --- settlement ---

  accept(offset: number): void {
    // HOT, as below: of nearly all messages nothing is told.
    if (this.shard.traced?.mayHold(offset) === true) this.trace.ended(offset, 'accepted')
    this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
  }

  release(offset: number): void {
    if (!this.#contents.release(offset)) return
    if (this.shard.traced !== null) this.trace.step(offset, 'released')
    this.#wake()
  }

  fail(offset: number, error?: string): void {
    if (!this.spec.countsAttempts && !this.#retry.isOn) {
      this.release(offset)
      return
    }
    if (!this.#contents.isOut(offset)) return
    if (error !== undefined) this.#contents.keepFailure(offset, error)
    const attempts = this.attemptsOf(offset) + 1
    if (this.shard.traced !== null) this.trace.failed(offset, 'failed', attempts, error)
    const attemptsMax = this.#settings.attemptsMax ?? -1
    if (attemptsMax >= 0 && attempts > attemptsMax) {
      this.#burials.start(offset, 'delivery_limit')
      return
    }
    if (this.#retry.isOn) {
      this.#choice.current?.failed(offset)
      this.#retry.start(offset, attempts)
      return
    }
    this.#contents.keepAttempts(offset, attempts)
    this.release(offset)
  }

  reject(offset: number, error?: string): void {
    if (!this.#contents.isOut(offset)) return
    if (this.shard.traced !== null)
      this.trace.failed(offset, 'rejected', this.attemptsOf(offset), error)
    if (error !== undefined && this.#settings.deadLetterExchange !== undefined) {
      this.#contents.keepFailure(offset, error)
    }
    this.#burials.start(offset, 'rejected')
  }

  purge(): number {
    if (this.#frozen) {
      throw new BrokerError('PRECONDITION_FAILED', `queue '${this.name}' is becoming a topic`)
    }
    if (this.shard.traced !== null) this.trace.emptied('purged')
    return this.#contents.purge() + this.#retry.purge() + this.#burials.purge()
  }

  // --- life ---

  touch(): void {
    const expiresMs = this.#settings.expiresMs
    if (this.#unusedTimer !== 0) this.vhost.timers.cancel(this.#unusedTimer)
    this.#unusedTimer = 0
    if (expiresMs === undefined || this.#consumers.size > 0 || this.isDeleted) return
    this.#unusedTimer = this.vhost.timers.schedule(this.vhost.now() + expiresMs, this)
  }

  onTimer(): void {
    this.#unusedTimer = 0
    if (this.#consumers.size === 0) this.vhost.deleteUnused(this)
  }

  /** The virtual host took it from the list: consumers are told, space is given back. */
  dispose(): void {
    this.#deleted = true
    this.vhost.totals.destinationGone(this.totals, this.intake.totals.refused)
    if (this.shard.traced !== null) this.trace.emptied('dropped')
    this.#expiry.stop()
    this.stop()
    this.vhost.timers.cancel(this.#unusedTimer)
    this.#orphanConsumers()
    this.#answerGettersEmpty()
    this.shard.members.delete(this.id)
    this.#retry.clear()
    this.#contents.clear()
    this.#burials.clear()
    this.#reader.forget()
  }

  /** Nothing of it waits for time to pass any more, but what the timers of the broker end. */
  stop(): void {
    this.#pace?.stop()
  }

  /**
   * Something takes its place: it tells its consumers to go, and takes in without limits and gives
   * out nothing until `thaw` or `dispose`. Who holds messages may still settle them.
   */
  freeze(): void {
    this.#frozen = true
    this.intake.apply({})
    this.#limit.apply({})
    this.touch()
    this.#orphanConsumers()
  }

  /** It stays what it is. */
  thaw(): void {
    this.#frozen = false
    this.successor = null
    this.vhost.topologyVersion++
    if (!this.#deleted) this.applySettings(this.#settings)
  }

  // --- recovery ---

  recoverMessage(offset: number, data: Buffer, start: number, timestampMs: number): void {
    const view = this.#reader.view
    view.set(data, start, timestampMs)
    this.#contents.recoverMessage(offset, view)
    if (view.expiresAtMs !== 0) this.#expiry.mayExpire = true
  }

  recoverSettled(start: number, count: number): void {
    this.#contents.recoverSettled(start, count)
  }

  recoverAttempts(offset: number, attempts: number, notBeforeMs: number): void {
    this.#contents.recoverAttempts(offset, attempts)
    this.#retry.recover(offset, notBeforeMs)
  }

  recoverSeen(id: Digest, timeMs: number): void {
    this.deduplication?.remember(id, timeMs)
  }

  recoverFailure(offset: number, text: FailureText): void {
    this.#contents.recoverFailure(offset, text)
  }

  recoverBytes(bytes: number): void {
    this.#contents.bytes.reset(bytes)
  }

  /** All records are read: gives out what waits, starts what depends on time. */
  recovered(): void {
    this.#started = true
    this.#retry.recovered()
    this.#reader.view.forget()
    this.touch()
    this.#wake()
  }

  encodeState(): Buffer {
    const state = this.#contents.encodeState(this.#expiry.mayExpire, this.#retry.notBefore)
    return withWindow(state, this.deduplication)
  }

  decodeState(bytes: Buffer): void {
    const { mayExpire } = this.#contents.decodeState(
      takeWindow(bytes, this.deduplication),
      this.#retry.notBefore,
    )
    this.#expiry.mayExpire ||= mayExpire
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    this.#contents.visitLive(from, to, visit)
  }

  isLive(offset: number): boolean {
    return this.#contents.isLive(offset)
  }

  // --- inside ---

  #orphanConsumers(): void {
    for (const consumer of Array.from(this.#consumers.list())) {
      const successor = this.#consumers.remove(consumer)
      this.#choice.removed(consumer, successor, this.#settings)
      consumer.orphan()
    }
  }

  #wake(): void {
    this.vhost.turn.dispatch(this)
  }

  #deliver(
    consumer: Consumer,
    level: QueueIndex,
    offset: number,
    message: StoredMessage,
    redelivered: boolean,
  ): void {
    const attempts = redelivered ? this.#contents.attemptsOf(offset) : 0
    // Settled before it goes: the sink may look at the queue's counts.
    if (this.shard.traced?.mayHold(offset) === true) {
      this.trace.delivered(offset, attempts, consumer)
    }
    if (consumer.noAck) this.#contents.settleOut(level, offset)
    consumer.sink.deliver(consumer, message, offset, redelivered, attempts)
    this.#pace?.passed(message.bodyEnd - message.bodyStart)
    consumer.passed(message.bodyEnd - message.bodyStart)
  }

  #setPace({ consumeRateMax, consumeBytesRateMax, rateBurstMs }: DestinationPolicy): void {
    const rates = { messages: consumeRateMax, bytes: consumeBytesRateMax, burstMs: rateBurstMs }
    const about = `consume rate of queue '${this.name}'`
    this.#pace ??= new Pace(this.vhost.flows.clock, null, () => this.#wake())
    this.#pace = this.#pace.withRates(about, rates)
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

  /** Waits for others: an idle queue lets go of all it read. */
  #rest(): void {
    if (this.#contents.readyCount === 0) this.#reader.forget()
    else this.#reader.rest()
  }

  /** Reads the first message that is ready and takes it, or expires it. Only asked while one is. */
  #readNext(): (typeof NEXT)[keyof typeof NEXT] {
    const contents = this.#contents
    const own = this.#choice.current
    if (own !== null) return this.#readNextOf(own)
    const level = contents.firstLevel()
    const offset = level.next()
    if (!this.#reader.look(offset)) return NEXT.READING
    if (this.#expiry.expires(level, offset)) return NEXT.EXPIRED
    this.#takenOffset = offset
    this.#takenLevel = level
    this.#takenAgain = contents.isRedelivered(level, offset)
    contents.take(level, offset, this.#reader.view)
    contents.countDelivery(offset, this.#takenAgain)
    return NEXT.TAKEN
  }

  #readNextOf(own: OwnDispatch): (typeof NEXT)[keyof typeof NEXT] {
    const result = own.take()
    if (result !== 'taken') return result === 'none' ? NEXT.NONE : NEXT.READING
    this.#takenOffset = own.takenOffset
    this.#takenAgain = own.takenAgain
    this.#takenLevel = this.#contents.levelHolding(own.takenOffset)
    return NEXT.TAKEN
  }

  /** Gives out what waits; false when it goes on by itself in another turn. */
  #dispatch(): boolean {
    const own = this.#choice.current
    if (own !== null) return own.run()
    for (let left = DISPATCH_COUNT_MAX; left > 0; left--) {
      if (this.#contents.readyCount === 0 || this.isPaced) return true
      const consumer = this.#consumers.next()
      if (consumer === null) return true
      const found = this.#readNext()
      if (found === NEXT.READING) return false
      if (found === NEXT.EXPIRED) continue
      const { view } = this.#reader
      this.#deliver(consumer, this.#takenLevel!, this.#takenOffset, view, this.#takenAgain)
    }
    this.#wake()
    return false
  }

  /** False while a message is being read. */
  #serveGetters(): boolean {
    while (this.#getters.length > 0) {
      if (this.#contents.readyCount === 0) {
        this.#answerGettersEmpty()
        return true
      }
      if (this.isPaced) return true
      if (this.#reader.isLoading) return false
      const found = this.#readNext()
      if (found === NEXT.READING) return false
      if (found === NEXT.EXPIRED) continue
      if (found === NEXT.NONE) {
        this.#answerGettersEmpty()
        return true
      }
      const offset = this.#takenOffset
      const attempts = this.attemptsOf(offset)
      const getter = this.#getters.shift()!
      if (this.shard.traced !== null) this.trace.gotten(offset, attempts, getter.noAck)
      if (getter.noAck) this.#contents.settleOut(this.#takenLevel!, offset)
      const { view } = this.#reader
      getter.done(view, offset, this.#takenAgain, attempts)
      this.#pace?.passed(view.bodyEnd - view.bodyStart)
    }
    return true
  }

  #answerGettersEmpty(): void {
    const getters = this.#getters
    this.#getters = []
    for (const getter of getters) getter.done(null, 0, false, 0)
  }
}
