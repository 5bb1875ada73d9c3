import type { Exchange } from './exchange.ts'
import type { Inbox } from './inbox.ts'
import type { Queue } from './queue.ts'
import type { Topic } from './topics/topic.ts'

/** Where one message goes, sorted by how it is stored. */
export class Targets {
  readonly durable: Queue[] = []
  readonly transient: Queue[] = []
  readonly topics: Topic[] = []
  readonly inboxes: Inbox[] = []
  /** Whether some destination takes no more than so many, or no faster than so. */
  limited = false
  /** Whether some queue drops duplicates; `limited` is set too. */
  deduplicates = false

  get isEmpty(): boolean {
    return (
      this.durable.length === 0 &&
      this.transient.length === 0 &&
      this.topics.length === 0 &&
      this.inboxes.length === 0
    )
  }

  addQueue(queue: Queue): void {
    const list = queue.shard.durable ? this.durable : this.transient
    list.push(queue)
    if (queue.intake.isLimited) this.limited = true
    if (queue.deduplication !== null) {
      this.limited = true
      this.deduplicates = true
    }
  }

  addTopic(topic: Topic): void {
    this.topics.push(topic)
    if (topic.intake.isLimited) this.limited = true
  }
}

/**
 * What publishing to an exchange with a key means. Where `cacheable`, it may be kept as long as
 * `VirtualHost.topologyVersion` stays the same.
 */
export interface Route {
  readonly exchange: Exchange
  readonly keys: readonly string[]
  readonly version: number
  readonly cacheable: boolean
  /** Null: to be found for each message. */
  readonly targets: Targets | null
}

/** UNROUTED: nobody took it. REJECTED: at least one queue refused it. */
export const PUBLISH: { readonly UNROUTED: 0; readonly ROUTED: 1; readonly REJECTED: 2 } = {
  UNROUTED: 0,
  ROUTED: 1,
  REJECTED: 2,
}
export type PublishResult = 0 | 1 | 2
