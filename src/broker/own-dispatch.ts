import type { Consumer } from './consumer.ts'
import type { ConsumerSet } from './consumer-set.ts'
import type { HeadExpiry } from './head-expiry.ts'
import type { MessageReader } from './message-reader.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'
import type { StoredMessage } from './stored-message.ts'

/**
 * - `taken`: there is one, in the reader's view, and it is out
 * - `again`: not yet; the queue has another turn when it was read
 * - `none`: all that is ready waits for something else
 */
export type TakeResult = 'taken' | 'again' | 'none'

/** Who gets which message of a queue, where that is not simply the next one for whoever is next. */
export interface OwnDispatch {
  /** Of the message that `take` took. */
  readonly takenOffset: number
  readonly takenAgain: boolean
  /** HOT: a message just came in, and is ready; true: it went out at once. */
  cameIn(offset: number, message: StoredMessage): boolean
  /** Gives out what may go; false when it goes on by itself in another turn. */
  run(): boolean
  /** Takes one for somebody who is no consumer. */
  take(): TakeResult
  consumerReady(consumer: Consumer): void
  consumerGone(consumer: Consumer): void
  /** A message that is out failed, and may stay out for a while. */
  failed(offset: number): void
}

/** What it works with: the parts of one queue. */
export interface OwnDispatchParts {
  readonly queue: Queue
  readonly contents: QueueContents
  readonly consumers: ConsumerSet
  readonly reader: MessageReader
  readonly expiry: HeadExpiry
  /** Gives a message that is out to a consumer, as the queue does. */
  deliver(consumer: Consumer, offset: number, message: StoredMessage, again: boolean): void
}
