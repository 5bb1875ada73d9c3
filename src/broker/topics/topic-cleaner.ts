import type { BrokerLog } from '../broker-log.ts'
import type { TimerIndex, TimerTarget } from '../timer-index.ts'
import { type CleanerParts, dropCompacted, PartitionCleaning } from './cleaner.ts'
import type { Partition } from './partition.ts'
import type { Topic } from './topic.ts'

/** How often it is looked whether something is to be compacted; as often as Kafka does. */
const CHECK_MS = 15_000

export interface TopicCleanerParts extends CleanerParts {
  readonly timers: TimerIndex
  readonly log: BrokerLog
  readonly topics: () => Iterable<Topic>
}

/** Compacts the partitions of all topics that ask for it, one after the other. */
export class TopicCleaner implements TimerTarget {
  readonly #parts: TopicCleanerParts
  #timer = 0
  #running: Promise<void> | null = null
  #isClosed = false

  constructor(parts: TopicCleanerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = this.#parts.timers.schedule(this.#parts.now() + CHECK_MS, this)
  }

  onTimer(): void {
    this.start()
    this.#running ??= this.#cleanAll().finally(() => {
      this.#running = null
    })
  }

  /** Ends the timer and waits for what runs; what is not done is done after the next start. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#parts.timers.cancel(this.#timer)
    await this.#running
  }

  async #cleanAll(): Promise<void> {
    for (const topic of this.#parts.topics()) {
      for (const partition of topic.partitions) await this.#clean(topic, partition)
    }
  }

  async #clean(topic: Topic, partition: Partition): Promise<void> {
    const { compaction } = topic.settings
    try {
      if (partition.hasOnlyDeletedCompacted) await dropCompacted(partition, this.#parts)
      if (compaction === undefined) return
      // Where there are more keys than one pass can know, it takes some.
      let isDone = false
      while (!isDone && !this.#isClosed && partition.isCompactionDue(compaction)) {
        isDone = !(await new PartitionCleaning(partition, compaction, this.#parts).run())
      }
    } catch (error) {
      if (partition.isDisposed || this.#isClosed) return
      this.#parts.log.error(
        { err: error, topic: topic.name, partition: partition.index },
        `topic '${topic.name}' in vhost '${topic.vhost.name}' cannot be compacted; it goes on growing`,
      )
    }
  }
}
