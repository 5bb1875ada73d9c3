import type { EngineError } from '../engine/contract.ts'
import { RecordCursor } from './record-cursor.ts'
import type { Shard } from './shard.ts'
import { StoredMessage } from './stored-message.ts'

/** Called when what `look` had to wait for was read, or cannot be. */
export type ReadDone = (error: EngineError | null, offset: number) => void

/** Reads the messages of one queue from its shard, one at a time into one view. */
export class MessageReader {
  /** The message that `look` found last. */
  readonly view: StoredMessage = new StoredMessage()
  /** A message is being read from disk; `look` may not be called until it is there. */
  isLoading = false
  readonly #cursor = new RecordCursor()
  readonly #shard: Shard
  readonly #done: ReadDone

  constructor(shard: Shard, done: ReadDone) {
    this.#shard = shard
    this.#done = done
  }

  /** Points `view` at a message; false: it is being read, and `done` will be called. */
  look(offset: number): boolean {
    const cursor = this.#cursor
    if (this.#shard.seek(cursor, offset)) {
      this.view.set(cursor.entry!.data, cursor.start, cursor.entry!.timestampMs)
      return true
    }
    this.isLoading = true
    this.#shard.load(cursor, offset, (error) => {
      this.isLoading = false
      this.#done(error, offset)
    })
    return false
  }

  /** The owner waits for others: lets go of the view, and of what was read if many others rest. */
  rest(): void {
    this.view.forget()
    if (this.#cursor.entry !== null) this.#shard.rest(this.#cursor)
  }

  /** Lets go of all that was read, so that an idle owner pins no memory. */
  forget(): void {
    this.view.forget()
    this.#cursor.forget()
  }
}
