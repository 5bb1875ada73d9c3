import type { MessageReader } from './message-reader.ts'
import { OffsetMap } from './offset-map.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'
import {
  parseRetrySetting,
  RETRY_KEYS,
  retries,
  retryDelayMs,
  type RetryPolicy,
} from './retry-policy.ts'
import type { TimerTarget } from './timer-index.ts'

/** How many failed messages are looked at before other queues and sockets have their turn. */
const LOOK_COUNT_MAX = 1000

/** Into how many steps chance is divided. */
const CHANCES = 1_000_000

interface Failure {
  readonly offset: number
  readonly attempts: number
}

/**
 * Failed messages of one queue that wait for their next attempt. They keep their place: out for
 * whoever looks at the index, they are released when their time comes. What is kept of each is
 * the time, in the shard and here, so that millions may wait and a restart forgets none.
 */
export class RetryHold implements TimerTarget {
  /** Whether failed messages are held back at all. */
  isOn = false
  readonly #queue: Queue
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  /** Before when each may not be given out, in milliseconds since the epoch. */
  readonly #notBefore = new OffsetMap()
  #policy: RetryPolicy = {}
  /** Failed and not looked at yet: a message may carry settings of its own. */
  #failures: Failure[] = []

  constructor(queue: Queue, contents: QueueContents, reader: MessageReader) {
    this.#queue = queue
    this.#contents = contents
    this.#reader = reader
  }

  /** How many wait for their next attempt. */
  get count(): number {
    return this.#notBefore.size + this.#failures.length
  }

  /** When the first of them is tried again; Infinity: none is. */
  get soonestMs(): number {
    let soonestMs = Infinity
    this.#notBefore.visit((_offset, notBeforeMs) => {
      if (notBeforeMs < soonestMs) soonestMs = notBeforeMs
    })
    return soonestMs
  }

  apply(policy: RetryPolicy): void {
    this.#policy = policy
    this.isOn = retries(policy)
  }

  /** Holds a message back that is out and failed so many times. */
  start(offset: number, attempts: number): void {
    this.#failures.push({ offset, attempts })
    this.#queue.vhost.turn.dispatch(this.#queue)
  }

  /** Looks at those that failed; false while one is being read. */
  run(): boolean {
    const failures = this.#failures
    if (failures.length === 0) return true
    const count = Math.min(failures.length, Math.max(LOOK_COUNT_MAX, failures.length >> 2))
    let done = 0
    while (done < count) {
      const { offset, attempts } = failures[done]!
      if (this.#contents.isOut(offset)) {
        if (!this.#reader.look(offset)) break
        this.#hold(offset, attempts)
      }
      done++
    }
    this.#failures = failures.slice(done)
    if (this.#reader.isLoading) return false
    if (this.#failures.length > 0) this.#queue.vhost.turn.dispatch(this.#queue)
    return true
  }

  onTimer(offset: number): void {
    if (this.#notBefore.delete(offset)) this.#queue.release(offset)
  }

  /** All that wait are dropped; returns how many. */
  purge(): number {
    const count = this.count
    const offsets = Array.from(this.#notBefore.entries(), ([offset]) => offset)
    for (const { offset } of this.#failures) offsets.push(offset)
    this.clear()
    for (const offset of offsets) {
      this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
    }
    return count
  }

  clear(): void {
    if (this.#notBefore.size > 0) this.#queue.vhost.timers.cancelAll(this)
    this.#notBefore.clear()
    this.#failures = []
  }

  // --- recovery ---

  /** A record or a snapshot says so; a later settlement may follow. */
  recover(offset: number, notBeforeMs: number): void {
    if (notBeforeMs === 0) this.#notBefore.delete(offset)
    else this.#notBefore.set(offset, notBeforeMs)
  }

  /** Every record is read: what lives on is held back until its time, now or after a while. */
  recovered(): void {
    const now = this.#queue.vhost.now()
    const contents = this.#contents
    this.#notBefore.deleteWhere(
      (offset) => this.#notBefore.get(offset)! <= now || !contents.isLive(offset),
    )
    for (const [offset, notBeforeMs] of this.#notBefore.entries()) {
      contents.takeAt(offset)
      this.#queue.vhost.timers.schedule(notBeforeMs, this, offset)
    }
  }

  get notBefore(): OffsetMap {
    return this.#notBefore
  }

  #hold(offset: number, attempts: number): void {
    const { vhost } = this.#queue
    const chance = vhost.random.integer(CHANCES) / CHANCES
    const delayMs = retryDelayMs(this.#policyOfView(), attempts, chance)
    if (delayMs === 0) {
      this.#contents.keepAttempts(offset, attempts)
      this.#queue.release(offset)
      return
    }
    const notBeforeMs = vhost.now() + delayMs
    this.#contents.keepRetry(offset, attempts, notBeforeMs)
    this.#notBefore.set(offset, notBeforeMs)
    vhost.timers.schedule(notBeforeMs, this, offset)
    if (this.#queue.shard.traced !== null) this.#queue.trace.held(offset, notBeforeMs)
  }

  /** The queue's settings under those of the message in the reader's view. */
  #policyOfView(): RetryPolicy {
    const { data, headerStart, headerEnd, form } = this.#reader.view
    const headers = this.#queue.vhost.form(form)?.headers(data, headerStart, headerEnd) ?? null
    let policy = this.#policy
    if (headers === null) return policy
    for (const key of RETRY_KEYS) {
      const value = headers.get(`x-${key}`)
      if (value === undefined) continue
      try {
        policy = { ...policy, ...parseRetrySetting(key, value) }
      } catch {
        // Its publisher is gone and cannot be told; the queue's own settings hold.
      }
    }
    return policy
  }
}
