import type { TimerIndex, TimerTarget } from '../../../broker/index.ts'
import type { Clock } from '../../../lib/clock.ts'
import type { MemberExpiry } from './classic-member.ts'

/** Whoever was given an id and has not joined with it yet. */
class PendingMember implements TimerTarget {
  readonly #memberId: string
  readonly #expiry: MemberExpiry
  timer = 0

  constructor(memberId: string, expiry: MemberExpiry) {
    this.#memberId = memberId
    this.#expiry = expiry
  }

  onTimer(): void {
    this.timer = 0
    this.#expiry.memberExpired(this.#memberId)
  }
}

/** Those of one group who were told their ids and are to join with them, each as long as a session. */
export class PendingMembers {
  readonly #timers: TimerIndex
  readonly #clock: Clock
  /** Told of each that did not come in time. */
  readonly #expiry: MemberExpiry
  readonly #members: Map<string, PendingMember> = new Map()

  constructor(
    { timers, clock }: { readonly timers: TimerIndex; readonly clock: Clock },
    expiry: MemberExpiry,
  ) {
    this.#timers = timers
    this.#clock = clock
    this.#expiry = expiry
  }

  get size(): number {
    return this.#members.size
  }

  has(memberId: string): boolean {
    return this.#members.has(memberId)
  }

  /** Gives out an id, which is good for one session. */
  await(memberId: string, sessionTimeoutMs: number): void {
    const pending = new PendingMember(memberId, this.#expiry)
    pending.timer = this.#timers.schedule(this.#clock.now() + sessionTimeoutMs, pending)
    this.#members.set(memberId, pending)
  }

  /** It has joined, left or may not come; false: it was none of them. */
  forget(memberId: string): boolean {
    const pending = this.#members.get(memberId)
    if (pending === undefined) return false
    this.#timers.cancel(pending.timer)
    return this.#members.delete(memberId)
  }

  clear(): void {
    for (const memberId of [...this.#members.keys()]) this.forget(memberId)
  }
}
