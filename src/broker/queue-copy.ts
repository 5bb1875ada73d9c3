import type { EngineError } from '../engine/contract.ts'
import type { TurnTask } from '../lib/turn.ts'
import { MessageDraft } from '../model/message-draft.ts'
import { encodeAnnotations } from './annotations.ts'
import type { CommitCycle, CommitListener } from './commit-cycle.ts'
import { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { StoredMessage } from './stored-message.ts'
import type { Topic } from './topics/topic.ts'

/** How much is copied with one commit: bounds the time of a turn and what waits for the disk. */
const STEP_COUNT_MAX = 5000
const STEP_BYTES_MAX = 8 * 1024 * 1024
/** A stretch of the log that is asked for at once: bounds the list of what waits in it. */
const WINDOW_OFFSETS = 8192

/**
 * Copies all that a queue holds to a topic that nobody sees yet, in the order it came: what is
 * ready, what is out and what is held back. The queue gives nothing out meanwhile.
 *
 * In the turn in which it has caught up, the topic becomes the queue's successor, and whatever is
 * published from then on is stored in both: so whichever of the two a crash leaves holds all.
 */
export class QueueCopy implements TurnTask, CommitListener {
  turnQueued = false
  readonly #queue: Queue
  readonly #topic: Topic
  readonly #cycle: CommitCycle
  readonly #reader: MessageReader
  readonly #draft = new MessageDraft()
  readonly #end: PromiseWithResolvers<void> = Promise.withResolvers()
  #offsets: number[] = []
  #at = 0
  #next = 0
  #isCommitting = false
  #hasCaughtUp = false

  constructor(queue: Queue, topic: Topic, cycle: CommitCycle) {
    this.#queue = queue
    this.#topic = topic
    this.#cycle = cycle
    this.#reader = new MessageReader(queue.shard, (error) => {
      if (error === null) this.#wake()
      else this.#end.reject(error)
    })
  }

  /** Resolves when the topic is the queue's successor and all that was copied is on disk. */
  run(): Promise<void> {
    this.#wake()
    return this.#end.promise
  }

  runTurn(): void {
    if (this.#reader.isLoading || this.#isCommitting || this.#hasCaughtUp) return
    let bytes = 0
    for (let left = STEP_COUNT_MAX; left > 0 && bytes < STEP_BYTES_MAX;) {
      if (this.#at === this.#offsets.length && !this.#lookOn()) {
        this.#caughtUp()
        break
      }
      const offset = this.#offsets[this.#at]
      if (offset === undefined) continue
      // It may have been settled since it was listed.
      if (this.#queue.isLive(offset)) {
        if (!this.#reader.look(offset)) return
        bytes += this.#copy(this.#reader.view)
        left--
      }
      this.#at++
    }
    this.#isCommitting = true
    this.#cycle.onCommit(this)
  }

  committed(_ticket: number, error: EngineError | null): void {
    this.#isCommitting = false
    if (error !== null) this.#end.reject(error)
    else if (this.#hasCaughtUp) this.#end.resolve()
    else this.#wake()
  }

  /** Lets go of all it read. */
  close(): void {
    this.#hasCaughtUp = true
    this.#offsets = []
    this.#reader.forget()
  }

  #wake(): void {
    this.#queue.vhost.turn.dispatch(this)
  }

  #caughtUp(): void {
    this.#hasCaughtUp = true
    this.#queue.successor = this.#topic
    // Routes that are kept lead to the queue alone.
    this.#queue.vhost.topologyVersion++
    // Even if nothing was copied: what is answered is on disk.
    this.#cycle.requireSync()
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

  /** Returns about how many bytes that were. */
  #copy(message: StoredMessage): number {
    const { data, annotations } = message
    const draft = this.#draft
    draft.form = message.form
    draft.persistent = message.persistent
    draft.priority = message.priority
    draft.setAddress(data, message.addressStart, message.addressEnd)
    draft.setHeader(data, message.headerStart, message.headerEnd)
    draft.setBody(data, message.bodyStart, message.bodyEnd)
    draft.annotations = annotations === null ? null : encodeAnnotations(annotations)
    this.#topic.append(draft)
    return message.bodyEnd - message.addressStart
  }
}
