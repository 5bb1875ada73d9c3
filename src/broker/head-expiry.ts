import type { Burials } from './burials.ts'
import type { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'
import type { QueueIndex } from './queue-index.ts'
import type { TimerTarget } from './timer-index.ts'

/** How many messages expire before other queues and sockets have their turn. */
const EXPIRY_COUNT_MAX = 1000

/** Lets messages of a queue expire when they stand at the head of their level. */
export class HeadExpiry implements TimerTarget {
  /** Some message may have a time to live: until then no head need be read. */
  mayExpire = false
  readonly #queue: Queue
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  readonly #burials: Burials
  #ttlMs = Infinity
  /**
   * The head of each level that was looked at last, and when it expires. Were all of them read
   * anew each time, a queue with more levels than the cache has room for would read for ever.
   */
  readonly #headOffsets: Float64Array
  readonly #headExpiries: Float64Array
  #timer = 0

  constructor(
    queue: Queue,
    parts: {
      readonly contents: QueueContents
      readonly reader: MessageReader
      readonly burials: Burials
    },
  ) {
    this.#queue = queue
    this.#contents = parts.contents
    this.#reader = parts.reader
    this.#burials = parts.burials
    this.#headOffsets = new Float64Array(this.#contents.levels.length).fill(-1)
    this.#headExpiries = new Float64Array(this.#contents.levels.length)
  }

  /** Whether somebody must look when the head expires, and no timer runs for that. */
  get needsTimer(): boolean {
    return this.mayExpire && this.#timer === 0
  }

  /** The time to live that all messages get changed. */
  applyTtl(ttlMs: number | undefined): void {
    if (ttlMs !== undefined) this.mayExpire = true
    this.#ttlMs = ttlMs ?? Infinity
    this.#headOffsets.fill(-1)
  }

  /** Expires the head of a level if its time has come; the reader's view must show it. */
  expires(level: QueueIndex, offset: number): boolean {
    if (!this.mayExpire || this.#isKept(level)) return false
    if (this.#expiryOf() > this.#queue.vhost.now()) return false
    this.#expire(level, offset)
    return true
  }

  /** The same for a message that stands anywhere. */
  expiresAt(level: QueueIndex, offset: number): boolean {
    if (!this.mayExpire) return false
    if (this.#queue.spec.keepsReturned === true && level.isReturned(offset)) return false
    if (this.#expiryOf() > this.#queue.vhost.now()) return false
    this.#contents.takeRead(offset, this.#reader.view)
    this.#burials.buryNow(offset, 'expired')
    return true
  }

  /** Expires what stands at the head of each level; false while a head is being read. */
  run(): boolean {
    if (!this.mayExpire) return true
    const { timers } = this.#queue.vhost
    this.stop()
    let soonest = Infinity
    let left = EXPIRY_COUNT_MAX
    for (const [at, level] of this.#contents.levels.entries()) {
      for (; level.readyCount > 0; left--) {
        const offset = level.next()
        if (this.#isKept(level)) break
        if (this.#headOffsets[at] !== offset) {
          if (!this.#reader.look(offset)) return false
          this.#headOffsets[at] = offset
          this.#headExpiries[at] = this.#expiryOf()
        }
        const expiryMs = this.#headExpiries[at]!
        if (expiryMs > this.#queue.vhost.now() || left <= 0) {
          soonest = Math.min(soonest, expiryMs)
          break
        }
        if (!this.#reader.look(offset)) return false
        this.#expire(level, offset)
      }
    }
    if (soonest < Infinity) this.#timer = timers.schedule(soonest, this)
    return true
  }

  onTimer(): void {
    this.#timer = 0
    this.#queue.vhost.turn.dispatch(this.#queue)
  }

  stop(): void {
    this.#queue.vhost.timers.cancel(this.#timer)
    this.#timer = 0
  }

  /** The head was out already, and so does not expire here. */
  #isKept(level: QueueIndex): boolean {
    return this.#queue.spec.keepsReturned === true && level.nextIsReturned
  }

  /** When the message in the view expires, in milliseconds since the epoch. */
  #expiryOf(): number {
    const view = this.#reader.view
    const own = view.expiresAtMs === 0 ? Infinity : view.expiresAtMs
    return Math.min(own, view.timestampMs + this.#ttlMs)
  }

  #expire(level: QueueIndex, offset: number): void {
    this.#contents.take(level, offset, this.#reader.view)
    this.#burials.buryNow(offset, 'expired')
  }
}
