import type { Consumer, DeliverySink, Queue, StoredMessage } from '../../broker/index.ts'
import type { Timer } from '../../lib/clock.ts'
import type { TurnTask } from '../../lib/turn.ts'
import { NO_HEADERS } from '../../model/header-value.ts'
import { deadlineAfter } from '../call.ts'
import type { Service } from '../registry.ts'
import type { Status } from '../status.ts'
import { Attempt } from './attempt.ts'
import { callOfMessage, type MessageOfCall } from './call-message.ts'
import type { Outcome } from './call-record.ts'
import type { KnownCall } from './call-table.ts'
import type { DurableCalls } from './durable-calls.ts'
import { attemptMetadata } from './durable-metadata.ts'
import { REST_MS, RUNNING_CALLS_MAX } from './limits.ts'

const ERROR_NO_CALL = 'the message is no call of this service'

/**
 * The durable calls of one service: takes them from its queue while a provider is free, and settles
 * each as its attempt ended. An outcome and the settlement of its message are made in one turn, and
 * so stored in one commit.
 */
export class ServiceBacklog implements DeliverySink, TurnTask {
  turnQueued = false
  readonly queue: Queue
  readonly #name: string
  readonly #calls: DurableCalls
  readonly #consumer: Consumer
  readonly #running = new Map<number, Attempt>()
  /** Ended inside a delivery, where nothing may be settled. */
  #endedEarly: (() => void)[] = []
  #isDelivering = false
  /** Until then no provider is tried; null: they are. */
  #restTimer: Timer | null = null
  #isOver = false

  constructor(name: string, queue: Queue, calls: DurableCalls) {
    this.#name = name
    this.queue = queue
    this.#calls = calls
    this.#consumer = queue.consume({
      ...{ sink: this, tag: 'rpc', noAck: false, exclusive: false, priority: 0, owner: this },
      // Two attempts of one key are never under way, however many providers there are.
      oneOfKey: true,
      arguments: NO_HEADERS,
    })
  }

  get runningCount(): number {
    return this.#running.size
  }

  /** A provider of the service may be free. */
  providersFree(): void {
    if (!this.#isOver && this.#canTake()) this.#consumer.resume()
  }

  /** Takes no more; calls that run go on, and those that fail from now on are not counted. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#restTimer?.cancel()
    this.#consumer.cancel()
  }

  // --- from the queue ---

  deliver(
    consumer: Consumer,
    message: StoredMessage,
    offset: number,
    _redelivered: boolean,
    attempts: number,
  ): void {
    this.#isDelivering = true
    this.#begin(message, offset, attempts)
    this.#isDelivering = false
    if (!this.#canTake()) consumer.pause()
  }

  standing(): { unsettled: number; unsettledMax: number; isOutputFull: boolean } {
    return { unsettled: this.#running.size, unsettledMax: RUNNING_CALLS_MAX, isOutputFull: false }
  }

  holds(offset: number): boolean {
    return this.#running.has(offset)
  }

  cancelled(): void {
    this.#isOver = true
    this.#restTimer?.cancel()
    this.#calls.backlogGone(this.#name, this)
  }

  runTurn(): void {
    const early = this.#endedEarly
    this.#endedEarly = []
    for (const end of early) end()
  }

  // --- attempts ---

  #begin(message: StoredMessage, offset: number, attempts: number): void {
    const { vhost, table } = this.#calls
    const call = callOfMessage(vhost, this.#name, message, offset)
    if (call === null) {
      this.#later(() => this.queue.reject(offset, ERROR_NO_CALL))
      return
    }
    const known = table.get(call.id)
    // It was cancelled, or put into the queue twice: there is one outcome, and no other.
    if (known?.state === 'done' || known?.isRunning === true) {
      this.#later(() => this.queue.accept(offset))
      return
    }
    if (known !== null) {
      if (known.state === 'dead') table.revive(known)
      known.isRunning = true
      known.offset = offset
    }
    const attempt = new Attempt((outcome) => {
      if (this.#isDelivering) this.#later(() => this.#ended(call, offset, outcome))
      else this.#ended(call, offset, outcome)
    })
    this.#running.set(offset, attempt)
    attempt.begin(this.#calls.relay, this.#headOf(call, attempts + 1), bodyOf(message))
  }

  #headOf(call: MessageOfCall, attempt: number): Parameters<DurableCalls['relay']['open']>[0] {
    const { relay, deadlineMsMax } = this.#calls
    const nowMs = relay.clock.monotonicMs()
    return {
      path: call.path,
      metadata: attemptMetadata(call.metadata, call.id, attempt),
      deadlineMs: deadlineAfter(nowMs, call.attemptTimeoutMs, deadlineMsMax),
      contentType: call.contentType,
      // Also of a one-way method the end is what it is settled by.
      isOneWay: false,
    }
  }

  #ended(call: MessageOfCall, offset: number, outcome: Outcome): void {
    const { queue } = this
    this.#running.delete(offset)
    const { table, counts } = this.#calls
    const known = table.get(call.id)
    if (known?.state === 'done') {
      // Two messages of one id ran at the same time, and this is the second to end.
      queue.accept(offset)
      this.providersFree()
      return
    }
    if (known !== null) known.isRunning = false
    const fate = this.#fateOf(outcome.status, offset)
    if (fate === 'release') queue.release(offset)
    else if (fate === 'done') {
      const ended = known ?? this.#calls.found(call)
      table.end(ended, 'done', outcome)
      queue.accept(offset)
      counts.done += 1
      this.#calls.store(ended)
    } else {
      const { code, message } = outcome.status
      if (fate === 'dead') this.#dead(known ?? this.#calls.found(call), outcome)
      counts.failed += 1
      queue.fail(offset, `${code}: ${message}`)
      this.#restWithoutBackoff()
    }
    this.providersFree()
  }

  /** Its message goes to the dead letters by the rules of its queue; here is only how it ended. */
  #dead(call: KnownCall, outcome: Outcome): void {
    this.#calls.table.end(call, 'dead', outcome)
    this.#calls.counts.dead += 1
    this.#calls.store(call)
  }

  #fateOf(status: Status, offset: number): 'done' | 'release' | 'again' | 'dead' {
    if (!this.#calls.isRetried(status)) return 'done'
    if (this.#isOver || this.#calls.isStopping) return 'release'
    if (this.#calls.isUnseen(status)) {
      this.#rest(REST_MS)
      return 'release'
    }
    const { attemptsMax = -1 } = this.queue.settings
    return attemptsMax >= 0 && this.queue.attemptsOf(offset) + 1 > attemptsMax ? 'dead' : 'again'
  }

  /** A queue that somebody declared without one would give out what fails again and again. */
  #restWithoutBackoff(): void {
    if (!this.queue.retries) this.#rest(10 * REST_MS)
  }

  #rest(ms: number): void {
    if (this.#restTimer !== null || this.#isOver) return
    this.#consumer.pause()
    this.#restTimer = this.#calls.relay.clock.setTimer(ms, () => {
      this.#restTimer = null
      this.providersFree()
    })
  }

  #later(end: () => void): void {
    this.#endedEarly.push(end)
    this.#calls.vhost.turn.dispatch(this)
  }

  #canTake(): boolean {
    if (this.#running.size >= RUNNING_CALLS_MAX || this.#restTimer !== null) return false
    const service = this.#calls.registry.service(this.#name)
    return service !== null && service.waiting.size === 0 && hasFree(service)
  }
}

function hasFree({ providers }: Service): boolean {
  for (const provider of providers) if (provider.isFree) return true
  return false
}

function bodyOf({ data, bodyStart, bodyEnd }: StoredMessage): Buffer {
  return data.subarray(bodyStart, bodyEnd)
}
