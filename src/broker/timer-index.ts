import type { Clock, Timer } from '../lib/clock.ts'

/** Whom a timer belongs to. One object serves any number of timers, told apart by `value`. */
export interface TimerTarget {
  /** `value` is what `schedule` was given, `dueMs` when the timer was due. */
  onTimer(value: number, dueMs: number): void
}

export interface TimerIndexOptions {
  /** How many timers fire before sockets get their turn again. Default 1000. */
  readonly firesPerTurnMax?: number
  /**
   * How long the index trusts the wall clock, in milliseconds: when somebody sets it forward,
   * timers are at most so late. Default 1000.
   */
  readonly checkMsMax?: number
}

const FIRES_PER_TURN_MAX = 1000
const CHECK_MS_MAX = 1000
const FIRST_CAPACITY = 64
/** A handle is generation * SLOT_COUNT_MAX + slot, which stays below 2^53. */
const SLOT_COUNT_MAX = 2 ** 26
const GENERATION_MAX = 2 ** 27
const NOT_WAITING = -1

/**
 * Every due time in the broker - delay, retry, TTL, leases, expiry - on one timer of the clock.
 *
 * A binary heap on typed arrays, about 40 bytes a timer and no object. Timers fire in order of
 * their due time, those of the same time in the order they were scheduled; never early, never
 * inside a call of `schedule`. Due times are those of the wall clock, since they are stored.
 */
export class TimerIndex {
  readonly #clock: Clock
  readonly #firesPerTurnMax: number
  readonly #checkMsMax: number

  // By slot.
  #dueMs = new Float64Array(FIRST_CAPACITY)
  #order = new Float64Array(FIRST_CAPACITY)
  #values = new Float64Array(FIRST_CAPACITY)
  #generations = new Uint32Array(FIRST_CAPACITY)
  /** Where the slot stands in the heap, or `NOT_WAITING`. */
  #places = new Int32Array(FIRST_CAPACITY).fill(NOT_WAITING)
  readonly #targets: (TimerTarget | null)[] = []
  readonly #freeSlots: number[] = []

  /** Slots, the one due first in front. */
  #heap = new Uint32Array(FIRST_CAPACITY)
  #size = 0
  #nextOrder = 0

  #timer: Timer | null = null
  /** When the clock calls, in monotonic milliseconds. */
  #wakeMs = 0
  #firing = false
  #closed = false
  readonly #wake = (): void => this.#fire()

  constructor(clock: Clock, options: TimerIndexOptions = {}) {
    this.#clock = clock
    this.#firesPerTurnMax = options.firesPerTurnMax ?? FIRES_PER_TURN_MAX
    this.#checkMsMax = options.checkMsMax ?? CHECK_MS_MAX
  }

  /** How many timers wait. */
  get size(): number {
    return this.#size
  }

  /**
   * Calls the target once, when `dueMs` (milliseconds since the epoch) has come. Returns a handle
   * above 0 that names this timer and no later one. A due time in the past fires soon.
   */
  schedule(dueMs: number, target: TimerTarget, value = 0): number {
    if (Number.isNaN(dueMs)) throw new RangeError('a timer cannot be due at NaN')
    const slot = this.#takeSlot()
    this.#dueMs[slot] = dueMs
    this.#order[slot] = this.#nextOrder++
    this.#values[slot] = value
    this.#targets[slot] = target
    const generation = (this.#generations[slot]! % (GENERATION_MAX - 1)) + 1
    this.#generations[slot] = generation
    this.#rise(this.#size++, slot)
    this.#arm()
    return generation * SLOT_COUNT_MAX + slot
  }

  /** When a waiting timer is due; -1 when it fired or was cancelled. */
  dueMsOf(handle: number): number {
    const slot = this.#slotOf(handle)
    return slot === -1 ? -1 : this.#dueMs[slot]!
  }

  /** False when that timer fired or was cancelled before, or for 0. */
  cancel(handle: number): boolean {
    const slot = this.#slotOf(handle)
    if (slot === -1) return false
    this.#removeAt(this.#places[slot]!)
    // The clock is left to call once for nothing: timers are cancelled far more often than not.
    if (this.#size === 0) this.#disarm()
    return true
  }

  /** Forgets every timer of a target; looks at all there are. */
  cancelAll(target: TimerTarget): void {
    const slots: number[] = []
    for (let place = 0; place < this.#size; place++) {
      const slot = this.#heap[place]!
      if (this.#targets[slot] === target) slots.push(slot)
    }
    for (const slot of slots) this.#removeAt(this.#places[slot]!)
    if (this.#size === 0) this.#disarm()
  }

  /** Moves a waiting timer behind those already due at that time; false when it is gone. */
  reschedule(handle: number, dueMs: number): boolean {
    if (Number.isNaN(dueMs)) throw new RangeError('a timer cannot be due at NaN')
    const slot = this.#slotOf(handle)
    if (slot === -1) return false
    this.#dueMs[slot] = dueMs
    this.#order[slot] = this.#nextOrder++
    const place = this.#places[slot]!
    this.#rise(place, slot)
    if (this.#places[slot] === place) this.#sink(place, slot)
    this.#arm()
    return true
  }

  /** Forgets every timer and releases the clock's. */
  close(): void {
    this.#closed = true
    this.#disarm()
    while (this.#size > 0) this.#removeAt(this.#size - 1)
  }

  #fire(): void {
    this.#timer = null
    this.#firing = true
    try {
      // Timers that callbacks schedule may be due at once: the limit holds for them too.
      for (let fired = 0; fired < this.#firesPerTurnMax && this.#size > 0; fired++) {
        const slot = this.#heap[0]!
        const dueMs = this.#dueMs[slot]!
        if (dueMs > this.#clock.now()) break
        const target = this.#targets[slot]!
        const value = this.#values[slot]!
        this.#removeAt(0)
        target.onTimer(value, dueMs)
      }
    } finally {
      this.#firing = false
      this.#arm()
    }
  }

  /** Sees to it that the clock calls no later than the first timer is due. */
  #arm(): void {
    if (this.#size === 0 || this.#firing || this.#closed) return
    const waitMs = this.#dueMs[this.#heap[0]!]! - this.#clock.now()
    // Rounded up: the clock counts whole milliseconds and may be asked before the due one ends.
    const delayMs = Math.min(Math.max(Math.ceil(waitMs), 0), this.#checkMsMax)
    const wakeMs = this.#clock.monotonicMs() + delayMs
    if (this.#timer !== null) {
      if (this.#wakeMs <= wakeMs) return
      this.#timer.cancel()
    }
    this.#wakeMs = wakeMs
    this.#timer = this.#clock.setTimer(delayMs, this.#wake)
  }

  #disarm(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #slotOf(handle: number): number {
    const generation = Math.floor(handle / SLOT_COUNT_MAX)
    // Not by %, which costs ten times as much for numbers of this size.
    const slot = handle - generation * SLOT_COUNT_MAX
    if (generation === 0 || this.#generations[slot] !== generation) return -1
    return this.#places[slot] === NOT_WAITING ? -1 : slot
  }

  #takeSlot(): number {
    const free = this.#freeSlots.pop()
    if (free !== undefined) return free
    const slot = this.#targets.length
    if (slot === SLOT_COUNT_MAX) throw new RangeError(`more than ${SLOT_COUNT_MAX} timers wait`)
    if (slot === this.#heap.length) this.#grow(slot * 2)
    this.#targets.push(null)
    return slot
  }

  #grow(capacity: number): void {
    this.#dueMs = grown(this.#dueMs, new Float64Array(capacity))
    this.#order = grown(this.#order, new Float64Array(capacity))
    this.#values = grown(this.#values, new Float64Array(capacity))
    this.#generations = grown(this.#generations, new Uint32Array(capacity))
    this.#places = grown(this.#places, new Int32Array(capacity).fill(NOT_WAITING))
    this.#heap = grown(this.#heap, new Uint32Array(capacity))
  }

  #removeAt(place: number): void {
    const slot = this.#heap[place]!
    this.#places[slot] = NOT_WAITING
    this.#targets[slot] = null
    this.#freeSlots.push(slot)
    this.#size -= 1
    if (place === this.#size) return
    const moved = this.#heap[this.#size]!
    this.#rise(place, moved)
    if (this.#places[moved] === place) this.#sink(place, moved)
  }

  #isBefore(slot: number, other: number): boolean {
    const dueMs = this.#dueMs[slot]!
    const otherDueMs = this.#dueMs[other]!
    return dueMs < otherDueMs || (dueMs === otherDueMs && this.#order[slot]! < this.#order[other]!)
  }

  #put(place: number, slot: number): void {
    this.#heap[place] = slot
    this.#places[slot] = place
  }

  #rise(start: number, slot: number): void {
    let place = start
    while (place > 0) {
      const parentPlace = (place - 1) >> 1
      const parent = this.#heap[parentPlace]!
      if (!this.#isBefore(slot, parent)) break
      this.#put(place, parent)
      place = parentPlace
    }
    this.#put(place, slot)
  }

  #sink(start: number, slot: number): void {
    let place = start
    for (;;) {
      let childPlace = 2 * place + 1
      if (childPlace >= this.#size) break
      if (childPlace + 1 < this.#size) {
        const right = this.#heap[childPlace + 1]!
        if (this.#isBefore(right, this.#heap[childPlace]!)) childPlace += 1
      }
      const child = this.#heap[childPlace]!
      if (!this.#isBefore(child, slot)) break
      this.#put(place, child)
      place = childPlace
    }
    this.#put(place, slot)
  }
}

function grown<A extends Float64Array | Uint32Array | Int32Array>(old: A, larger: A): A {
  larger.set(old)
  return larger
}
