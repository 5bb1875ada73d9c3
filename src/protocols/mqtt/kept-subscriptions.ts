import type { SessionState } from './subscriber.ts'
import type { StoredSubscription } from './subscriptions.ts'

/** One for each state, however many connections of its session come and go. */
const known = new WeakMap<SessionState, KeptSubscriptions>()

/** The subscriptions in the state of a session, found by filter: there may be tens of thousands. */
export class KeptSubscriptions {
  readonly #list: StoredSubscription[]
  readonly #at = new Map<string, number>()

  private constructor(list: StoredSubscription[]) {
    this.#list = list
    for (const [index, { filter }] of list.entries()) this.#at.set(filter, index)
  }

  static of(state: SessionState): KeptSubscriptions {
    const found = known.get(state)
    if (found !== undefined) return found
    // Nobody else changes it.
    const made = new KeptSubscriptions(state.subscriptions as StoredSubscription[])
    known.set(state, made)
    return made
  }

  /** There is none of that filter. */
  add(subscription: StoredSubscription): void {
    this.#at.set(subscription.filter, this.#list.length)
    this.#list.push(subscription)
  }

  /** Takes it out; null: there is none. The last one has its place then. */
  take(filter: string): StoredSubscription | null {
    const index = this.#at.get(filter)
    if (index === undefined) return null
    const taken = this.#list[index]!
    const last = this.#list.pop()!
    this.#at.delete(filter)
    if (last !== taken) {
      this.#list[index] = last
      this.#at.set(last.filter, index)
    }
    return taken
  }
}
