import { BrokerError } from '../model/errors.ts'
import type { Consumer } from './consumer.ts'
import { filteredOf, FilterFields } from './filter/index.ts'
import { FilterLane } from './filter-lane.ts'
import type { OwnDispatch, OwnDispatchParts, TakeResult } from './own-dispatch.ts'
import type { ContentsWatcher } from './queue-contents.ts'
import type { StoredMessage } from './stored-message.ts'

/** How many messages are looked at before other queues and sockets have their turn. */
const LOOK_COUNT_MAX = 1000
/** How many one lane gives out before the next one of its priority has its turn. */
const GIVE_COUNT_MAX = 64

/** What a lane did in its turn. */
const SERVED = { DONE: 0, READING: 1 } as const

/**
 * Who gets which message of a queue some of whose consumers filter: the first of those that wait
 * which a consumer wants. What nobody wants stays, in its place, and is in nobody's way.
 *
 * Consumers that want the same share a lane. A lane looks at a message once, whatever it thinks of
 * it, so a long queue is gone through once for each lane and not once for each message given out.
 */
export class FilterDispatch implements OwnDispatch, ContentsWatcher {
  takenOffset = 0
  takenAgain = false
  readonly #parts: OwnDispatchParts
  /** In descending order of priority; those of one priority in the order they are to be served. */
  readonly #lanes: FilterLane[] = []
  readonly #laneOf: Map<Consumer, FilterLane> = new Map()
  readonly #fields = new FilterFields()
  #filteringCount = 0
  #looksLeft = 0

  constructor(parts: OwnDispatchParts) {
    this.#parts = parts
    for (const consumer of parts.consumers.list()) this.add(consumer)
    parts.contents.watcher = this
  }

  /** Whether some consumer filters. */
  get isNeeded(): boolean {
    return this.#filteringCount > 0
  }

  /** Refuses a filter that would be one too many. */
  admit(wanted: string): void {
    const { queue } = this.#parts
    const lanesMax = queue.shard.limits.queueFiltersMax
    const known = new Set(this.#lanes.map(({ filter }) => filter?.text))
    if (known.has(wanted) || known.size < lanesMax) return
    const text = `consumers of queue '${queue.name}' have ${lanesMax} different filters, the limit`
    throw new BrokerError('PRECONDITION_FAILED', text)
  }

  add(consumer: Consumer): void {
    const lane = this.#lanes.find(
      ({ filter, priority }) =>
        priority === consumer.priority && filter?.text === consumer.filter?.text,
    )
    const joined = lane ?? this.#newLane(consumer)
    joined.add(consumer)
    this.#laneOf.set(consumer, joined)
    if (consumer.filter !== null) this.#filteringCount++
  }

  consumerReady(consumer: Consumer): void {
    this.#laneOf.get(consumer)?.wake(consumer)
  }

  consumerGone(consumer: Consumer): void {
    const lane = this.#laneOf.get(consumer)
    if (lane === undefined) return
    this.#laneOf.delete(consumer)
    lane.remove(consumer)
    if (consumer.filter !== null) this.#filteringCount--
    if (lane.size === 0) this.#lanes.splice(this.#lanes.indexOf(lane), 1)
  }

  /** How far a consumer's filter is; null: it has none. */
  standingOf(consumer: Consumer): { readonly looked: number; readonly isDone: boolean } | null {
    const lane = this.#laneOf.get(consumer)
    if (lane === undefined || lane.filter === null) return null
    return { looked: lane.lookedCount, isDone: lane.next() < 0 }
  }

  cameIn(offset: number, message: StoredMessage): boolean {
    const { contents, queue } = this.#parts
    const at = contents.levels.indexOf(contents.levelFor(message.priority))
    let mayTake = !queue.isPaced
    let behind = -Infinity
    let taker: FilterLane | null = null
    for (const lane of this.#lanes) {
      // One that comes before it has not looked at all that waits yet.
      if (lane.priority < behind) mayTake = false
      if (lane.isCaughtUp && taker !== null) lane.cameTo(at, offset)
      else if (lane.isCaughtUp && mayTake && this.#canLook(lane)) {
        lane.lookedCount++
        lane.cameTo(at, offset)
        if (this.#wants(lane, message)) taker = lane
      } else if (taker === null) {
        if (!lane.isCaughtUp && this.#canLook(lane)) behind = lane.priority
        lane.fellBehind(at)
      }
    }
    this.#fields.close()
    if (taker === null) return false
    this.#give(taker, offset, message)
    this.#moveBack(taker)
    return true
  }

  run(): boolean {
    const { contents, queue } = this.#parts
    for (this.#looksLeft = LOOK_COUNT_MAX; this.#looksLeft > 0;) {
      if (contents.readyCount === 0 || queue.isPaced) return true
      const lane = this.#lanes.find((each) => this.#canLook(each) && each.next() >= 0)
      if (lane === undefined) return true
      if (this.#serve(lane) === SERVED.READING) return false
      this.#moveBack(lane)
    }
    queue.vhost.turn.dispatch(queue)
    return false
  }

  /** Whoever is no consumer wants everything. */
  take(): TakeResult {
    const { contents, reader, expiry } = this.#parts
    while (contents.readyCount > 0) {
      const level = contents.firstLevel()
      const offset = level.next()
      if (!reader.look(offset)) return 'again'
      if (expiry.expires(level, offset)) continue
      this.takenOffset = offset
      this.takenAgain = contents.isRedelivered(level, offset)
      contents.take(level, offset, reader.view)
      contents.countDelivery(offset, this.takenAgain)
      return 'taken'
    }
    return 'none'
  }

  // --- what becomes of messages ---

  failed(): void {
    // Nobody waits for it.
  }

  settled(): void {
    // It was out.
  }

  taken(): void {
    // Whoever comes to it sees that it is not ready.
  }

  released(offset: number): void {
    const { contents } = this.#parts
    const at = contents.levels.indexOf(contents.levelHolding(offset))
    for (const lane of this.#lanes) lane.released(at, offset)
  }

  purged(): void {
    for (const lane of this.#lanes) lane.purged()
  }

  // --- inside ---

  /** Somebody could take what it finds. */
  #canLook(lane: FilterLane): boolean {
    return lane.consumer(this.#parts.consumers.active) !== null
  }

  #serve(lane: FilterLane): (typeof SERVED)[keyof typeof SERVED] {
    const { reader, queue } = this.#parts
    for (let left = GIVE_COUNT_MAX; left > 0 && this.#looksLeft > 0;) {
      if (queue.isPaced || !this.#canLook(lane)) break
      const offset = lane.next()
      if (offset < 0) break
      if (!reader.look(offset)) return SERVED.READING
      lane.passed(offset)
      this.#looksLeft--
      const isWanted = this.#wants(lane, reader.view)
      this.#fields.close()
      if (!isWanted || this.#expires(offset)) continue
      this.#give(lane, offset, reader.view)
      left--
    }
    return SERVED.DONE
  }

  /** Headers are decoded once for all that look at the same message; `#fields` is to be closed. */
  #wants({ filter }: FilterLane, message: StoredMessage): boolean {
    if (filter === null) return true
    if (!this.#fields.isOpen) {
      this.#fields.open(filteredOf(message, this.#parts.queue.vhost.form(message.form)))
    }
    return filter.matches(this.#fields)
  }

  #give(lane: FilterLane, offset: number, message: StoredMessage): void {
    const { contents, consumers } = this.#parts
    const consumer = lane.consumer(consumers.active)!
    lane.served()
    const again = contents.wasDelivered(contents.levelHolding(offset), offset)
    contents.takeRead(offset, message)
    contents.countDelivery(offset, again)
    this.#parts.deliver(consumer, offset, message, again)
  }

  #expires(offset: number): boolean {
    const { contents, expiry } = this.#parts
    return expiry.expiresAt(contents.levelHolding(offset), offset)
  }

  #newLane(of: Consumer): FilterLane {
    const { contents, queue } = this.#parts
    const lane = new FilterLane(of, contents, queue.shard.limits.filterReturnsMax)
    this.#lanes.push(lane)
    this.#moveBack(lane)
    return lane
  }

  /** Others of its priority have their turn before it. */
  #moveBack(lane: FilterLane): void {
    const lanes = this.#lanes
    if (lanes.length === 1) return
    lanes.splice(lanes.indexOf(lane), 1)
    let at = lanes.length
    while (at > 0 && lanes[at - 1]!.priority < lane.priority) at--
    lanes.splice(at, 0, lane)
  }
}
