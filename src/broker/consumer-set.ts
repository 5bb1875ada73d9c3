import type { Consumer } from './consumer.ts'

/** Consumers of one priority: a ring of those that can take more, served in turn. */
interface Group {
  readonly priority: number
  readonly ring: Consumer[]
  head: number
}

/**
 * The consumers of one queue and whose turn it is. Those with a higher priority come first while
 * they can take more; among equals the turn goes round. With a single active consumer, the others
 * wait until it leaves.
 */
export class ConsumerSet {
  readonly #singleActive: boolean
  readonly #consumers: Set<Consumer> = new Set()
  /** In descending order of priority. */
  readonly #groups: Group[] = []
  #active: Consumer | null = null
  readonly #changed: () => void

  /** `changed` is called when one came or went. */
  constructor(singleActive: boolean, changed: () => void = () => {}) {
    this.#singleActive = singleActive
    this.#changed = changed
  }

  get size(): number {
    return this.#consumers.size
  }

  get active(): Consumer | null {
    return this.#active
  }

  get hasExclusive(): boolean {
    for (const consumer of this.#consumers) if (consumer.exclusive) return true
    return false
  }

  list(): Iterable<Consumer> {
    return this.#consumers
  }

  add(consumer: Consumer): void {
    this.#consumers.add(consumer)
    this.#changed()
    if (this.#singleActive && this.#active === null) this.#active = consumer
  }

  /** Forgets a consumer; returns the one that becomes active in its place, if any. */
  remove(consumer: Consumer): Consumer | null {
    this.#consumers.delete(consumer)
    this.#changed()
    this.#leaveRing(consumer)
    if (this.#active !== consumer) return null
    this.#active = null
    for (const next of this.#consumers) {
      if (this.#active === null || next.priority > this.#active.priority) this.#active = next
    }
    if (this.#active?.ready === true) this.wake(this.#active)
    return this.#active
  }

  /** A consumer can take more. */
  wake(consumer: Consumer): void {
    if (consumer.inRing) return
    if (this.#singleActive && consumer !== this.#active) return
    consumer.inRing = true
    this.#group(consumer.priority).ring.push(consumer)
  }

  /** Whose turn it is, or null when nobody can take more. */
  next(): Consumer | null {
    for (const group of this.#groups) {
      const ring = group.ring
      while (ring.length > 0) {
        if (group.head >= ring.length) group.head = 0
        const consumer = ring[group.head]!
        if (consumer.ready) {
          group.head++
          return consumer
        }
        consumer.inRing = false
        // The last one takes the free place: order among equals is not promised, only fairness.
        const last = ring.pop()!
        if (last !== consumer) ring[group.head] = last
      }
    }
    return null
  }

  #leaveRing(consumer: Consumer): void {
    consumer.inRing = false
    const groups = this.#groups
    const at = groups.findIndex((group) => group.priority === consumer.priority)
    const group = groups[at]
    if (group === undefined) return
    const place = group.ring.indexOf(consumer)
    if (place >= 0) group.ring.splice(place, 1)
    if (group.head >= group.ring.length) group.head = 0
    // Priorities are whatever clients think of: one that nobody has is forgotten.
    if (group.ring.length === 0) groups.splice(at, 1)
  }

  #group(priority: number): Group {
    const groups = this.#groups
    let at = 0
    while (at < groups.length && groups[at]!.priority > priority) at++
    const found = groups[at]
    if (found !== undefined && found.priority === priority) return found
    const group: Group = { priority, ring: [], head: 0 }
    groups.splice(at, 0, group)
    return group
  }
}
