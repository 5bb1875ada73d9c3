import type { DeathReason } from './annotations.ts'
import type { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'
import type { TimerTarget } from './timer-index.ts'

/** How many messages are buried before other queues and sockets have their turn. */
const BURIAL_COUNT_MAX = 1000
/** How long to wait before those that nobody took are offered again, in milliseconds. */
const OFFER_AGAIN_MS = 5000

/** A message on its way to the dead letters, waiting to be read. */
interface Burial {
  readonly offset: number
  readonly reason: DeathReason
}

/**
 * The end of messages in one queue: dead-lettered, or dropped where none is named to take them.
 *
 * A dead letter that its target does not take - not there, or full - is kept, given to nobody, and
 * offered again. Not so what a length limit drops, for that would be no limit, and where the queue
 * asks for `at-most-once`.
 */
export class Burials implements TimerTarget {
  readonly #queue: Queue
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  #waiting: Burial[] = []
  /** Those that nobody took, the one offered longest ago first. */
  readonly #kept: Map<number, DeathReason> = new Map()
  #timer = 0

  constructor(queue: Queue, contents: QueueContents, reader: MessageReader) {
    this.#queue = queue
    this.#contents = contents
    this.#reader = reader
  }

  /** Dead letters that nobody takes. */
  get keptCount(): number {
    return this.#kept.size
  }

  isKept(offset: number): boolean {
    return this.#kept.has(offset)
  }

  /** A message that is out dies: at once where nobody wants its body, else when it was read. */
  start(offset: number, reason: DeathReason): void {
    if (this.#queue.settings.deadLetterExchange === undefined) {
      if (this.#queue.shard.traced !== null) this.#queue.trace.died(offset, reason)
      this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
      return
    }
    this.#waiting.push({ offset, reason })
    this.#wake()
  }

  /** Buries those that wait; false while a message is being read. */
  run(): boolean {
    const waiting = this.#waiting
    if (waiting.length === 0) return true
    // A quarter at least, so that those who make them faster never get far ahead.
    const count = Math.min(waiting.length, Math.max(BURIAL_COUNT_MAX, waiting.length >> 2))
    let done = 0
    while (done < count) {
      const { offset, reason } = waiting[done]!
      // Rejected twice: nothing is left to bury.
      if (this.#contents.isOut(offset)) {
        if (!this.#reader.look(offset)) break
        this.buryNow(offset, reason)
      }
      done++
    }
    // More may have been added meanwhile: a dead letter may come back here.
    this.#waiting = waiting.slice(done)
    const isLoading = this.#reader.isLoading
    if (this.#waiting.length > 0 && !isLoading) this.#wake()
    return !isLoading
  }

  /** The message in the reader's view, which is out, dies: dead-lettered and settled in one entry. */
  buryNow(offset: number, reason: DeathReason): void {
    const queue = this.#queue
    // The attempt that was one too many is not written down.
    const attempts = queue.attemptsOf(offset) + (reason === 'delivery_limit' ? 1 : 0)
    const isKept = reason !== 'maxlen' && queue.settings.deadLetterStrategy !== 'at-most-once'
    queue.shard.beginHold()
    const trace = queue.shard.traced === null ? 0 : queue.trace.dying(offset, reason)
    const failure = this.#contents.failureOf(offset)
    const death = { reason, attempts, failure, isKept, trace }
    const isDone = queue.vhost.deadLetters.publish(queue, this.#reader.view, death)
    if (isDone) this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
    queue.shard.endHold()
    if (trace !== 0) queue.trace.buried(offset, trace, isDone)
    if (!isDone) this.#keep(offset, reason)
  }

  /** Offers those that nobody took again. */
  onTimer(): void {
    this.#timer = 0
    for (const [offset, reason] of this.#kept) {
      if (this.#waiting.length >= BURIAL_COUNT_MAX) break
      this.#kept.delete(offset)
      this.#waiting.push({ offset, reason })
    }
    this.#arm()
    this.#wake()
  }

  /** Drops the dead letters that nobody takes; returns how many. */
  purge(): number {
    const offsets = [...this.#kept.keys()]
    this.#kept.clear()
    this.#arm()
    for (const offset of offsets) {
      this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
    }
    return offsets.length
  }

  clear(): void {
    this.#waiting = []
    this.#kept.clear()
    this.#arm()
  }

  #keep(offset: number, reason: DeathReason): void {
    const { vhost, name, settings } = this.#queue
    if (this.#kept.size === 0) {
      const fields = {
        queue: name,
        vhost: vhost.name,
        exchange: settings.deadLetterExchange,
        reason,
      }
      vhost.log.warn(fields, 'dead letters are kept in their queue, for nobody takes them')
    }
    this.#kept.set(offset, reason)
    this.#arm()
  }

  /** A timer runs while something is kept. */
  #arm(): void {
    const { timers } = this.#queue.vhost
    if (this.#kept.size === 0) {
      timers.cancel(this.#timer)
      this.#timer = 0
    } else if (this.#timer === 0) {
      this.#timer = timers.schedule(this.#queue.vhost.now() + OFFER_AGAIN_MS, this)
    }
  }

  #wake(): void {
    this.#queue.vhost.turn.dispatch(this.#queue)
  }
}
