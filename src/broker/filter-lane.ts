import type { Consumer } from './consumer.ts'
import type { MessageFilter } from './filter/index.ts'
import type { QueueContents } from './queue-contents.ts'

/** Where a lane stands in one level of priority. */
interface LaneCursor {
  /** What is ready before it was looked at, save what is in `again`. */
  position: number
  /** Nothing ready is at or behind `position` or in `again`. */
  isCaughtUp: boolean
  /** What came back before `position`, in ascending order. */
  again: number[]
}

/**
 * The consumers of a queue that want the same and have the same priority, and how far they looked.
 * Each message is looked at once for all of them, and again when it comes back; what they do not
 * want costs nothing afterwards. All of it follows from the messages, so none of it is stored.
 */
export class FilterLane {
  /** Null: they want everything. */
  readonly filter: MessageFilter | null
  readonly priority: number
  /** Messages that were looked at. */
  lookedCount = 0
  readonly #consumers: Set<Consumer> = new Set()
  /** Those that can take more, perhaps; the next one to serve is at `#head`. */
  readonly #ring: Consumer[] = []
  readonly #inRing: Set<Consumer> = new Set()
  #head = 0
  readonly #contents: QueueContents
  readonly #againMax: number
  readonly #cursors: readonly LaneCursor[]
  /** Cursors that are not caught up. */
  #behindCount: number
  /** Where `next` found its message. */
  #nextAt = 0

  constructor(of: Consumer, contents: QueueContents, againMax: number) {
    this.filter = of.filter
    this.priority = of.priority
    this.#contents = contents
    this.#againMax = againMax
    this.#cursors = contents.levels.map(() => ({ position: 0, isCaughtUp: false, again: [] }))
    this.#behindCount = this.#cursors.length
  }

  get size(): number {
    return this.#consumers.size
  }

  /** Everything that is ready was looked at. */
  get isCaughtUp(): boolean {
    return this.#behindCount === 0
  }

  add(consumer: Consumer): void {
    this.#consumers.add(consumer)
    if (consumer.ready) this.wake(consumer)
  }

  remove(consumer: Consumer): void {
    this.#consumers.delete(consumer)
    if (!this.#inRing.delete(consumer)) return
    this.#ring.splice(this.#ring.indexOf(consumer), 1)
  }

  /** A consumer can take more. */
  wake(consumer: Consumer): void {
    if (this.#inRing.has(consumer)) return
    this.#inRing.add(consumer)
    this.#ring.push(consumer)
  }

  /** Whose turn it is; null: nobody can take more. `only`: nobody else is served; null: all are. */
  consumer(only: Consumer | null): Consumer | null {
    const ring = this.#ring
    while (ring.length > 0) {
      if (this.#head >= ring.length) this.#head = 0
      const consumer = ring[this.#head]!
      if (consumer.ready && (only === null || consumer === only)) return consumer
      this.#inRing.delete(consumer)
      const last = ring.pop()!
      if (last !== consumer) ring[this.#head] = last
    }
    return null
  }

  /** The consumer whose turn it was got something. */
  served(): void {
    this.#head++
  }

  /** The first message that is ready and was not looked at; -1: there is none. */
  next(): number {
    const { levels, isLowFirst } = this.#contents
    for (let step = levels.length - 1; step >= 0; step--) {
      const at = isLowFirst ? levels.length - 1 - step : step
      const offset = this.#nextIn(at)
      if (offset < 0) continue
      this.#nextAt = at
      return offset
    }
    return -1
  }

  /** The message that `next` gave was looked at. */
  passed(offset: number): void {
    this.lookedCount++
    const cursor = this.#cursors[this.#nextAt]!
    if (cursor.again.length > 0) cursor.again.shift()
    else cursor.position = offset + 1
  }

  /** A message that just came in was looked at, or is gone; everything before it was. */
  cameTo(at: number, offset: number): void {
    this.#cursors[at]!.position = offset + 1
  }

  /** It has to be looked at when somebody can take it. */
  fellBehind(at: number): void {
    const cursor = this.#cursors[at]!
    if (cursor.isCaughtUp) this.#behindCount++
    cursor.isCaughtUp = false
  }

  /** A message is ready again. */
  released(at: number, offset: number): void {
    const cursor = this.#cursors[at]!
    this.fellBehind(at)
    if (offset >= cursor.position) return
    const { again } = cursor
    let low = 0
    let high = again.length
    if (high > 0 && again[high - 1]! < offset) low = high
    while (low < high) {
      const middle = (low + high) >>> 1
      if (again[middle]! < offset) low = middle + 1
      else high = middle
    }
    if (again[low] === offset) return
    again.splice(low, 0, offset)
    if (again.length <= this.#againMax) return
    // So many are not remembered one by one: all behind the first of them is looked at once more.
    cursor.position = again[0]!
    cursor.again = []
  }

  /** Nothing is ready any more. */
  purged(): void {
    for (const cursor of this.#cursors) cursor.again = []
  }

  #nextIn(at: number): number {
    const cursor = this.#cursors[at]!
    if (cursor.isCaughtUp) return -1
    const level = this.#contents.levels[at]!
    const { again } = cursor
    while (again.length > 0) {
      if (level.isReady(again[0]!)) return again[0]!
      again.shift()
    }
    const offset = level.nextReady(cursor.position)
    if (offset < Infinity) return offset
    cursor.isCaughtUp = true
    this.#behindCount--
    return -1
  }
}
