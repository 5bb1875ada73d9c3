import type { Queue } from './queue.ts'
import { Topic } from './topics/topic.ts'

/** The queues and topics of one virtual host, and whose turn it is to change one. */
export class DestinationRegistry {
  /** By id; one that is declared again has another. */
  readonly topics: Map<number, Topic> = new Map()
  readonly #destinations: Map<string, Queue | Topic> = new Map()
  readonly #owned: Map<object, Set<Queue | Topic>> = new Map()
  /** Those that are being opened or changed, by name: whoever comes next waits. */
  readonly #changes: Map<string, Promise<unknown>> = new Map()

  get size(): number {
    return this.#destinations.size
  }

  get(name: string): Queue | Topic | undefined {
    return this.#destinations.get(name)
  }

  all(): Iterable<Queue | Topic> {
    return this.#destinations.values()
  }

  /** Whether it is what its name leads to. */
  has(destination: Queue | Topic): boolean {
    return this.#destinations.get(destination.name) === destination
  }

  add(destination: Queue | Topic): void {
    this.#destinations.set(destination.name, destination)
    if (destination instanceof Topic) this.topics.set(destination.id, destination)
    const owner = destination.exclusiveOwner
    if (owner === null) return
    const owned = this.#owned.get(owner)
    if (owned === undefined) this.#owned.set(owner, new Set([destination]))
    else owned.add(destination)
  }

  remove(destination: Queue | Topic): void {
    this.#destinations.delete(destination.name)
    this.topics.delete(destination.id)
    if (destination.exclusiveOwner !== null) {
      this.#owned.get(destination.exclusiveOwner)?.delete(destination)
    }
  }

  /** `next` has the name of `old`, and its place in the list. */
  replace(old: Queue | Topic, next: Queue | Topic): void {
    this.topics.delete(old.id)
    this.add(next)
  }

  ownedBy(owner: object): Iterable<Queue | Topic> {
    return this.#owned.get(owner) ?? []
  }

  ownerGone(owner: object): void {
    this.#owned.delete(owner)
  }

  /** The change that is under way; undefined: none is. */
  changeOf(name: string): Promise<unknown> | undefined {
    return this.#changes.get(name)
  }

  /** Settles when all that are under way are over, well or not. */
  async changesOver(): Promise<void> {
    await Promise.allSettled(this.#changes.values())
  }

  /** Until `changed`, whoever asks for that name waits for `change`. */
  changing(name: string, change: Promise<unknown>): void {
    this.#changes.set(name, change)
  }

  changed(name: string): void {
    this.#changes.delete(name)
  }

  /** Runs `work` when no other change of that name is under way. */
  async inTurn<Value>(name: string, work: () => Promise<Value>): Promise<Value> {
    while (this.#changes.has(name)) await this.#changes.get(name)
    const done = work()
    this.changing(name, Promise.allSettled([done]))
    try {
      return await done
    } finally {
      this.changed(name)
    }
  }
}
