import type { DeathReason } from './annotations.ts'
import type { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'

/** How many messages are buried before other queues and sockets have their turn. */
const BURIAL_COUNT_MAX = 1000

/** A message on its way to the dead letters, waiting to be read. */
interface Burial {
  readonly offset: number
  readonly reason: DeathReason
}

/** The end of messages in one queue: dead-lettered, or dropped where nobody wants them. */
export class Burials {
  readonly #queue: Queue
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  #waiting: Burial[] = []

  constructor(queue: Queue, contents: QueueContents, reader: MessageReader) {
    this.#queue = queue
    this.#contents = contents
    this.#reader = reader
  }

  /** A message that is out dies: at once where nobody wants its body, else when it was read. */
  start(offset: number, reason: DeathReason): void {
    if (this.#queue.settings.deadLetterExchange === undefined) {
      this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
      return
    }
    this.#waiting.push({ offset, reason })
    this.#wake()
  }

  /** Buries those that wait; false while a message is being read. */
  run(): boolean {
    const waiting = this.#waiting
    if (waiting.length === 0) return true
    // A quarter at least, so that those who make them faster never get far ahead.
    const count = Math.min(waiting.length, Math.max(BURIAL_COUNT_MAX, waiting.length >> 2))
    let done = 0
    while (done < count) {
      const { offset, reason } = waiting[done]!
      // Rejected twice: nothing is left to bury.
      if (this.#contents.isOut(offset)) {
        if (!this.#reader.look(offset)) break
        this.buryNow(offset, reason)
      }
      done++
    }
    // More may have been added meanwhile: a dead letter may come back here.
    this.#waiting = waiting.slice(done)
    const isLoading = this.#reader.isLoading
    if (this.#waiting.length > 0 && !isLoading) this.#wake()
    return !isLoading
  }

  /** The message in the reader's view, which is out, dies: dead-lettered and settled in one entry. */
  buryNow(offset: number, reason: DeathReason): void {
    const queue = this.#queue
    queue.shard.beginHold()
    queue.vhost.deadLetters.publish(queue, this.#reader.view, reason)
    this.#contents.settleOut(this.#contents.levelHolding(offset), offset)
    queue.shard.endHold()
  }

  clear(): void {
    this.#waiting = []
  }

  #wake(): void {
    this.#queue.vhost.turn.dispatch(this.#queue)
  }
}
