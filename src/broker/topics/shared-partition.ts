import type { CommitCycle } from '../commit-cycle.ts'
import type { StateTable } from '../state-table.ts'
import type { TimerIndex, TimerTarget } from '../timer-index.ts'
import type { Follow } from '../tracing/topic-trace.ts'
import type { Step, StepFacts } from '../tracing/trace-log.ts'
import { type LeaseRanges, RANGE } from './lease-ranges.ts'
import type { Piece } from './piece.ts'
import { KeyLocks, SharedKeys } from './shared-keys.ts'

/** How messages are shared out; from the settings of the subscription. */
export interface SharingOptions {
  /** How long a member may keep a message before others get it. */
  readonly leaseMs: number
  /** After so many attempts a message is given out no more. */
  readonly attemptsMax: number
  /** How far the last message given out may be ahead of the first that is not settled. */
  readonly inFlightMax: number
  /** Messages of one key are given out in order, never to two members at a time. Default false. */
  readonly keyShared?: boolean
}

/** A stretch of the partition as it was read, in order and without gaps between two reads. */
export interface ReadStretch {
  readonly baseOffset: number
  readonly nextOffset: number
  /** Nothing in it is for readers: a marker, or what an aborted transaction wrote. */
  readonly isSkipped?: boolean
}

/** What a member got: all of it for the `attempts`th time. */
export interface LeasedRange {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly attempts: number
}

/**
 * - `accept`: done
 * - `reject`: never to be given out again
 * - `skip`: there is no such message
 * - `release`: for somebody else, or for the same one again
 * - `renew`: the member needs more time
 */
export type SharedSettlement = 'accept' | 'reject' | 'skip' | 'release' | 'renew'

/** What a trace calls them. */
const STEPS_OF = {
  accept: 'accepted',
  reject: 'rejected',
  skip: 'accepted',
  release: 'released',
} as const

export interface SettledRange {
  readonly baseOffset: number
  readonly nextOffset: number
  readonly settlement: SharedSettlement
}

/** Told when a shared partition may have something for those who wait. */
export interface SharedPartitionWatcher {
  sharedPartitionChanged(partition: SharedPartition): void
}

export interface SharedParts {
  readonly state: StateTable
  readonly cycle: CommitCycle
  readonly timers: TimerIndex
  /** Told what became of messages, for those that are traced. */
  readonly follow?: Follow | undefined
  now(): number
}

/**
 * What the members of a subscription share of one partition: each message goes to one of them, who
 * has it for some time and says what became of it. What is settled, and how often the rest was
 * tried, is stored before it is answered; who has what now is not, and is nobody's after a restart.
 */
export class SharedPartition implements TimerTarget {
  readonly topicId: number
  readonly index: number
  readonly #key: string
  readonly #parts: SharedParts
  readonly #options: () => SharingOptions
  readonly #watchers: Set<SharedPartitionWatcher> = new Set()
  #ranges: LeaseRanges
  /** Null unless messages of one key are kept in order. */
  #keys: SharedKeys | null = null
  #timer = 0
  #timerMs = Infinity

  /** `options` are asked for anew each time. `key` names it in the state table. */
  constructor(
    place: { readonly topicId: number; readonly partition: number; readonly key: string },
    ranges: LeaseRanges,
    parts: SharedParts,
    options: () => SharingOptions,
  ) {
    this.topicId = place.topicId
    this.index = place.partition
    this.#key = place.key
    this.#ranges = ranges
    this.#parts = parts
    this.#options = options
  }

  /** Everything below it is settled. */
  get startOffset(): number {
    return this.#ranges.start
  }

  /** Everything from it on was never given out. */
  get endOffset(): number {
    return this.#ranges.end
  }

  /** Settled ones above `startOffset`. */
  get settledCount(): number {
    return this.#ranges.settledCount
  }

  /** Those that members have. */
  get leasedCount(): number {
    return this.#ranges.leasedCount
  }

  /** Where a member has to read to find something; -1: nothing can be given out now. */
  get nextOffset(): number {
    const offset = this.#ranges.firstAvailable
    if (offset < this.#ranges.end) return offset
    return offset - this.#ranges.start >= this.#options().inFlightMax ? -1 : offset
  }

  /** The same for one member, where it may depend on who has which keys. */
  nextFor(member: string): number {
    const keys = this.#keysNow()
    if (keys === null) return this.nextOffset
    const ranges = this.#ranges
    const locks = new KeyLocks(member, keys, ranges)
    for (let index = 0; index < ranges.count; index++) {
      const state = ranges.stateAt(index)
      if (state === RANGE.SETTLED) continue
      for (let offset = ranges.startAt(index); offset < ranges.endAt(index); offset++) {
        if (!keys.isKnown(offset)) return offset
        if (state === RANGE.AVAILABLE && locks.mayTake(offset)) return offset
      }
    }
    return ranges.end - ranges.start >= this.#options().inFlightMax ? -1 : ranges.end
  }

  /** Looks for the keys of what was read from `from` on; before `acquire`. */
  learn(
    read: { readonly from: number; readonly pieces: readonly Piece[] },
    forms: Parameters<SharedKeys['learn']>[2],
  ): void {
    const { start, end } = this.#ranges
    const range = { start, end: Math.max(end, start + this.#options().inFlightMax) }
    this.#keysNow()?.learn(read, range, forms)
  }

  /**
   * Leases what is available in what was read from `nextOffset` on, whole stretches until there are
   * `countMax` messages; `isExact`: never more. Not stored: a restart gives it out again.
   */
  acquire(
    member: string,
    stretches: readonly ReadStretch[],
    { countMax, isExact = false }: { readonly countMax: number; readonly isExact?: boolean },
  ): LeasedRange[] {
    const leased: LeasedRange[] = []
    const deadlineMs = this.#parts.now() + this.#options().leaseMs
    let left = countMax
    const locks = this.#locksFor(member, stretches[0]?.baseOffset ?? 0)
    for (const stretch of stretches) {
      if (left <= 0) break
      left -= this.#acquireIn(member, stretch, {
        leased,
        deadlineMs,
        locks,
        countMax: isExact ? left : Infinity,
      })
    }
    this.#ranges.tidy()
    if (leased.length > 0) this.#arm(deadlineMs)
    return leased
  }

  /**
   * Settles what a member holds, all of it or nothing, stored and synced with the commit of this
   * turn. False, and nothing is changed, when a message is not the member's, or the ranges are not
   * in ascending order. What lies below `startOffset` is settled as it is.
   */
  settle(member: string, settled: readonly SettledRange[]): boolean {
    let end = 0
    for (const range of settled) {
      if (range.baseOffset < end || !this.#holds(member, range)) return false
      end = range.nextOffset
    }
    for (const range of settled) this.#settleRange(range)
    this.#ranges.tidy()
    if (settled.some(({ settlement }) => settlement !== 'renew')) this.#store(true)
    this.#tell()
    return true
  }

  /** A member is gone, and what it held goes to others; it did not fail with it. */
  releaseMember(member: string): void {
    let isChanged = false
    for (let index = 0; index < this.#ranges.count; index++) {
      if (this.#ranges.ownerAt(index) !== member) continue
      this.#ranges.makeAvailable(index, Math.max(0, this.#ranges.attemptsAt(index) - 1))
      isChanged = true
    }
    if (!isChanged) return
    this.#ranges.tidy()
    this.#store(false)
    this.#tell()
  }

  /** Messages below `offset` were deleted. */
  trim(offset: number): void {
    if (offset <= this.#ranges.start) return
    if (offset >= this.#ranges.end) this.#ranges.reset(offset)
    else {
      const end = this.#ranges.cut(offset)
      for (let index = 0; index < end; index++) this.#ranges.settle(index)
      this.#ranges.tidy()
    }
    this.#store(false)
    this.#tell()
  }

  /** Forgets what was settled and goes on from `offset`; synced with the commit of this turn. */
  reset(offset: number): void {
    this.#ranges.reset(offset)
    this.#store(true)
    this.#tell()
  }

  /** Leases that have ended. */
  onTimer(): void {
    this.#timer = 0
    this.#timerMs = Infinity
    const now = this.#parts.now()
    let nextMs = Infinity
    let isChanged = false
    for (let index = 0; index < this.#ranges.count; index++) {
      if (this.#ranges.stateAt(index) !== RANGE.LEASED) continue
      const deadlineMs = this.#ranges.deadlineAt(index)
      if (deadlineMs > now) nextMs = Math.min(nextMs, deadlineMs)
      else {
        this.#giveBack(index)
        isChanged = true
      }
    }
    this.#arm(nextMs)
    if (!isChanged) return
    this.#ranges.tidy()
    this.#store(false)
    this.#tell()
  }

  watch(watcher: SharedPartitionWatcher): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: SharedPartitionWatcher): void {
    this.#watchers.delete(watcher)
  }

  /** For listing: the ranges above `startOffset`, as they are now. */
  get ranges(): LeaseRanges {
    return this.#ranges
  }

  /** Stores what it is; for its owner, when it is new. */
  store(): void {
    this.#store(true)
  }

  /** It is deleted, with what is stored of it. */
  dispose(): void {
    this.#parts.timers.cancel(this.#timer)
    this.#timer = 0
    this.#parts.state.delete(this.#key)
    this.#watchers.clear()
  }

  /** Returns how many messages were leased. */
  #acquireIn(
    member: string,
    { baseOffset, nextOffset, isSkipped = false }: ReadStretch,
    into: {
      readonly leased: LeasedRange[]
      readonly deadlineMs: number
      readonly countMax: number
      readonly locks: KeyLocks | null
    },
  ): number {
    const ranges = this.#ranges
    this.#extend(baseOffset, nextOffset, isSkipped)
    const from = Math.max(baseOffset, ranges.start)
    const to = Math.min(nextOffset, ranges.end)
    if (from >= to) return 0
    let count = 0
    for (let index = ranges.cut(from); index < ranges.count; index++) {
      const start = ranges.startAt(index)
      if (start >= to || count >= into.countMax) break
      if (ranges.stateAt(index) !== RANGE.AVAILABLE) continue
      let end = Math.min(ranges.endAt(index), to, start + into.countMax - count)
      const isLocked = !isSkipped && into.locks?.mayTake(start) === false
      // Up to where what holds for the first one holds no more.
      if (into.locks !== null && !isSkipped) end = endOfLock(into.locks, start, end, isLocked)
      ranges.cut(end)
      if (isLocked) continue
      if (isSkipped) {
        ranges.settle(index)
        continue
      }
      const attempts = ranges.attemptsAt(index) + 1
      ranges.lease(index, member, into.deadlineMs, attempts)
      into.leased.push({ baseOffset: start, nextOffset: end, attempts })
      const detail = `member '${member}' of a shared subscription`
      this.#follow(start, end, 'delivered', { detail, attempts: attempts - 1 })
      count += end - start
    }
    return count
  }

  #keysNow(): SharedKeys | null {
    if (this.#options().keyShared !== true) this.#keys = null
    else this.#keys ??= new SharedKeys()
    return this.#keys
  }

  /** Null where any member may have any message. */
  #locksFor(member: string, from: number): KeyLocks | null {
    const keys = this.#keysNow()
    if (keys === null) return null
    const ranges = this.#ranges
    const locks = new KeyLocks(member, keys, ranges)
    for (let index = 0; index < ranges.count; index++) {
      if (ranges.stateAt(index) !== RANGE.AVAILABLE) continue
      const end = Math.min(ranges.endAt(index), from)
      for (let offset = ranges.startAt(index); offset < end; offset++) locks.passOver(offset)
    }
    return locks
  }

  /** What was read beyond the end is available from now on, as far as may be in flight. */
  #extend(baseOffset: number, nextOffset: number, isSkipped: boolean): void {
    const ranges = this.#ranges
    // Between two stretches nothing is stored any more.
    if (baseOffset > ranges.end) ranges.push(baseOffset, RANGE.SETTLED, 0)
    if (nextOffset <= ranges.end) return
    if (isSkipped) {
      ranges.push(nextOffset, RANGE.SETTLED, 0)
      return
    }
    if (ranges.stateAt(0) === RANGE.SETTLED) ranges.tidy()
    const end = Math.min(nextOffset, ranges.start + this.#options().inFlightMax)
    if (end > ranges.end) ranges.push(end, RANGE.AVAILABLE, 0)
  }

  #holds(member: string, { baseOffset, nextOffset }: SettledRange): boolean {
    const ranges = this.#ranges
    if (nextOffset > ranges.end) return false
    const from = Math.max(baseOffset, ranges.start)
    for (let index = ranges.find(from); index < ranges.count; index++) {
      if (index < 0 || ranges.startAt(index) >= nextOffset) break
      if (ranges.stateAt(index) !== RANGE.LEASED || ranges.ownerAt(index) !== member) return false
    }
    return true
  }

  #settleRange({ baseOffset, nextOffset, settlement }: SettledRange): void {
    const ranges = this.#ranges
    const from = Math.max(baseOffset, ranges.start)
    if (from >= nextOffset) return
    if (settlement !== 'renew') this.#follow(from, nextOffset, STEPS_OF[settlement], {})
    const first = ranges.cut(from)
    const end = ranges.cut(nextOffset)
    const deadlineMs = this.#parts.now() + this.#options().leaseMs
    for (let index = first; index < end; index++) {
      if (settlement === 'release') this.#giveBack(index)
      else if (settlement === 'renew') {
        ranges.lease(index, ranges.ownerAt(index), deadlineMs, ranges.attemptsAt(index))
      } else ranges.settle(index)
    }
  }

  #follow(from: number, to: number, step: Step, facts: StepFacts): void {
    const place = { topicId: this.topicId, partition: this.index }
    this.#parts.follow?.(place, { from, to }, step, facts)
  }

  /** Back for others, unless it was tried often enough. */
  #giveBack(index: number): void {
    const attempts = this.#ranges.attemptsAt(index)
    if (attempts >= this.#options().attemptsMax) this.#ranges.settle(index)
    else this.#ranges.makeAvailable(index, attempts)
  }

  #arm(deadlineMs: number): void {
    if (deadlineMs >= this.#timerMs) return
    this.#parts.timers.cancel(this.#timer)
    this.#timerMs = deadlineMs
    this.#timer = this.#parts.timers.schedule(deadlineMs, this)
  }

  #store(isSynced: boolean): void {
    this.#parts.state.set(this.#key, this.#ranges.encode())
    if (isSynced) this.#parts.cycle.requireSync()
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher.sharedPartitionChanged(this)
  }
}

/** The end of the messages from `start` on that are locked, or are not, all alike. */
function endOfLock(locks: KeyLocks, start: number, end: number, isLocked: boolean): number {
  let at = start + 1
  while (at < end && locks.mayTake(at) !== isLocked) at++
  return at
}
