import type { Burials } from './burials.ts'
import type { HeadExpiry } from './head-expiry.ts'
import type { MessageReader } from './message-reader.ts'
import type { DestinationPolicy } from './policy.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'

/** How many messages are dropped before other queues and sockets have their turn. */
const DROP_COUNT_MAX = 1000

/** How many messages and bytes may wait in a queue, and what happens to those beyond. */
export class LengthLimit {
  readonly #queue: Queue
  readonly #contents: QueueContents
  readonly #reader: MessageReader
  readonly #burials: Burials
  readonly #expiry: HeadExpiry
  /** Limits beyond which heads are dropped; Infinity: none. */
  #countMax = Infinity
  #bytesMax = Infinity
  /** Limits beyond which publishes are refused; Infinity: none. */
  #countRefused = Infinity
  #bytesRefused = Infinity

  constructor(
    queue: Queue,
    parts: {
      readonly contents: QueueContents
      readonly reader: MessageReader
      readonly burials: Burials
      readonly expiry: HeadExpiry
    },
  ) {
    this.#queue = queue
    this.#contents = parts.contents
    this.#reader = parts.reader
    this.#burials = parts.burials
    this.#expiry = parts.expiry
  }

  apply(settings: DestinationPolicy): void {
    if (settings.bytesMax !== undefined) this.#contents.bytes.keepSizes()
    const countMax = settings.messagesMax ?? Infinity
    const bytesMax = settings.bytesMax ?? Infinity
    const drops = (settings.overflow ?? 'drop-head') === 'drop-head'
    this.#countMax = drops ? countMax : Infinity
    this.#bytesMax = drops ? bytesMax : Infinity
    this.#countRefused = drops ? Infinity : countMax
    this.#bytesRefused = drops ? Infinity : bytesMax
  }

  /** Whether one more message of this size is refused. */
  refuses(bodyBytes: number): boolean {
    const { readyCount, bytes } = this.#contents
    return readyCount >= this.#countRefused || bytes.ready + bodyBytes > this.#bytesRefused
  }

  /** A message was taken in; true: heads are to be dropped in a turn of the queue. */
  tookIn(): boolean {
    const { readyCount, bytes } = this.#contents
    if (readyCount <= this.#countMax && bytes.ready <= this.#bytesMax) return false
    // Where bytes count, bodies must be looked at, and not while a message is being stored.
    if (this.#bytesMax !== Infinity) return true
    return this.#dropUnread()
  }

  /** Drops heads beyond the limits; false while one is being read. */
  run(): boolean {
    const contents = this.#contents
    if (this.#bytesMax === Infinity) {
      if (contents.readyCount > this.#countMax && this.#dropUnread()) this.#wake()
      return true
    }
    for (let left = DROP_COUNT_MAX; contents.readyCount > 0; left--) {
      if (contents.readyCount <= this.#countMax && contents.bytes.ready <= this.#bytesMax) {
        return true
      }
      if (left === 0) {
        this.#wake()
        return true
      }
      const level = contents.firstLevel()
      const offset = level.next()
      if (!this.#reader.look(offset)) return false
      contents.take(level, offset, this.#reader.view)
      this.#burials.buryNow(offset, 'maxlen')
    }
    return true
  }

  /** Without a limit in bytes nobody needs to know how large they are; true: more is to be done. */
  #dropUnread(): boolean {
    const contents = this.#contents
    for (let left = DROP_COUNT_MAX; contents.readyCount > this.#countMax; left--) {
      if (left === 0) return true
      const level = contents.firstLevel()
      const offset = level.next()
      contents.takeUnread(level, offset)
      this.#burials.start(offset, 'maxlen')
    }
    // Another head stands first now, and may expire sooner.
    return this.#expiry.mayExpire
  }

  #wake(): void {
    this.#queue.vhost.turn.dispatch(this.#queue)
  }
}
