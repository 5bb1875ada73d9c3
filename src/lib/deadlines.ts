import type { Clock, Timer } from './clock.ts'

/** Something with a deadline. The fields belong to `Deadlines`; start with null, null, -1. */
export interface Deadlined {
  /** On `Clock.monotonicMs()`; not changed while it is in the list. */
  readonly deadlineMs: number
  deadlineNext: Deadlined | null
  deadlinePrevious: Deadlined | null
  deadlineSlot: number
  /** Called once, when it has been taken out of the list. */
  deadlinePassed(): void
}

/** How exact a deadline is: it passes up to so much later, never earlier. */
const TICK_MS = 8
/** 16 s in one round: the usual deadline is looked at once. */
const SLOT_COUNT = 2048

/**
 * Deadlines of any number of things with one timer: adding and removing are a few assignments,
 * because nearly all are removed long before they pass.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #slots: (Deadlined | null)[] = Array.from({ length: SLOT_COUNT }, () => null)
  #size = 0
  /** The first tick that has not been looked at. */
  #tick = 0
  #timer: Timer | null = null
  #timerTick = Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#size
  }

  add(item: Deadlined): void {
    const tick = Math.max(Math.ceil(item.deadlineMs / TICK_MS), this.#tick)
    // Nothing was looked at while there was nothing.
    if (this.#size === 0) this.#tick = Math.min(tick, this.#now())
    const slot = tick % SLOT_COUNT
    const first = this.#slots[slot]!
    item.deadlineSlot = slot
    item.deadlinePrevious = null
    item.deadlineNext = first
    if (first !== null) first.deadlinePrevious = item
    this.#slots[slot] = item
    this.#size += 1
    if (tick < this.#timerTick) this.#arm(tick)
  }

  /** Does nothing with what is not in the list. */
  remove(item: Deadlined): void {
    const { deadlineSlot: slot, deadlineNext: next, deadlinePrevious: previous } = item
    if (slot < 0) return
    if (previous === null) this.#slots[slot] = next
    else previous.deadlineNext = next
    if (next !== null) next.deadlinePrevious = previous
    item.deadlineSlot = -1
    item.deadlineNext = null
    item.deadlinePrevious = null
    this.#size -= 1
    // The timer is left as it is: it fires into an empty list at most once.
  }

  /** Forgets all, without a word to any. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#timerTick = Infinity
    for (const first of this.#slots) {
      let item = first
      while (item !== null) {
        const next = item.deadlineNext
        this.remove(item)
        item = next
      }
    }
  }

  #now(): number {
    return Math.floor(this.#clock.monotonicMs() / TICK_MS)
  }

  #arm(tick: number): void {
    this.#timer?.cancel()
    this.#timerTick = tick
    const delayMs = tick * TICK_MS - this.#clock.monotonicMs()
    this.#timer = this.#clock.setTimer(delayMs, () => this.#fire())
  }

  #fire(): void {
    this.#timer = null
    this.#timerTick = Infinity
    const now = this.#now()
    const passed: Deadlined[] = []
    const end = Math.min(now, this.#tick + SLOT_COUNT - 1)
    for (let tick = this.#tick; tick <= end; tick++) this.#collect(tick % SLOT_COUNT, now, passed)
    this.#tick = Math.max(now + 1, this.#tick)
    this.#armNext()
    for (const item of passed) item.deadlinePassed()
  }

  #collect(slot: number, now: number, passed: Deadlined[]): void {
    let item = this.#slots[slot] ?? null
    while (item !== null) {
      const next = item.deadlineNext
      if (item.deadlineMs <= now * TICK_MS) {
        this.remove(item)
        passed.push(item)
      }
      item = next
    }
  }

  #armNext(): void {
    if (this.#size === 0) return
    for (let tick = this.#tick; tick < this.#tick + SLOT_COUNT; tick++) {
      if (this.#slots[tick % SLOT_COUNT] === null) continue
      this.#arm(tick)
      return
    }
  }
}
