import { MessageDraft } from '../model/message-draft.ts'
import type { CommitCycle } from './commit-cycle.ts'
import { MessageReader } from './message-reader.ts'
import { ProfileCopy, type StepEnd } from './profile-copy.ts'
import type { Queue } from './queue.ts'
import type { Topic } from './topics/topic.ts'

/** A stretch of the log that is asked for at once: bounds the list of what waits in it. */
const WINDOW_OFFSETS = 8192

/** Copies what a frozen queue holds: what is ready, what is out and what is held back. */
export class QueueCopy extends ProfileCopy {
  readonly #queue: Queue
  readonly #topic: Topic
  readonly #reader: MessageReader
  readonly #draft = new MessageDraft()
  #offsets: number[] = []
  #at = 0
  #next = 0

  constructor(queue: Queue, topic: Topic, cycle: CommitCycle) {
    super(queue.vhost.turn, cycle)
    this.#queue = queue
    this.#topic = topic
    this.#reader = new MessageReader(queue.shard, (error) => {
      if (error === null) this.wake()
      else this.fail(error)
    })
  }

  protected step(): StepEnd {
    if (this.#reader.isLoading) return 'loading'
    while (!this.isStepFull) {
      if (this.#at === this.#offsets.length && !this.#lookOn()) return 'caught-up'
      const offset = this.#offsets[this.#at]
      if (offset === undefined) continue
      // It may have been settled since it was listed.
      if (this.#queue.isLive(offset)) {
        if (!this.#reader.look(offset)) return 'loading'
        this.fill(this.#draft, this.#reader.view)
        this.#topic.append(this.#draft)
      }
      this.#at++
    }
    return 'more'
  }

  protected succeed(): void {
    this.#queue.successor = this.#topic
    // Routes that are kept lead to the queue alone.
    this.#queue.vhost.topologyVersion++
  }

  protected forget(): void {
    this.#offsets = []
    this.#reader.forget()
  }

  /** Lists what is live in the next stretch; false: there is none. */
  #lookOn(): boolean {
    const end = this.#queue.shard.nextOffset
    const from = this.#queue.liveFrom(this.#next)
    if (from >= end) return false
    const to = Math.min(from + WINDOW_OFFSETS, end)
    const offsets: number[] = []
    this.#queue.visitLive(from, to, (start, count) => {
      for (let offset = start; offset < start + count; offset++) offsets.push(offset)
    })
    // Levels of priority are told one after the other.
    this.#offsets = offsets.toSorted((a, b) => a - b)
    this.#at = 0
    this.#next = to
    return true
  }
}
