import type { Burials } from './burials.ts'
import type { HeadExpiry } from './head-expiry.ts'
import type { MessageReader } from './message-reader.ts'
import type { DestinationPolicy } from './policy.ts'
import type { Queue } from './queue.ts'
import type { QueueContents } from './queue-contents.ts'

/** How many messages are dropped before other queues and sockets have their turn. */
const DROP_COUNT_MAX = 1000

/** Of a limit: what is kept whole, and into how many steps the rest is cut. */
const SAMPLE_FROM = 1 / 2
const SAMPLE_STEPS = 16

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
  #samples = false
  /** Passed over since one was kept. */
  #passedOver = 0

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
    this.#samples = settings.overflow === 'sample'
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

  /**
   * Whether `sample` passes over one more message of this size. Up to half of the limit all are
   * kept, from then on one of 2, and with every sixteenth more one of twice as many: so the length
   * settles where that is what consumers take, and a full destination keeps none.
   */
  passesOver(bodyBytes: number): boolean {
    if (!this.#samples) return false
    if (this.refuses(bodyBytes)) return true
    const { readyCount, bytes } = this.#contents
    const used = Math.max(readyCount / this.#countRefused, bytes.ready / this.#bytesRefused)
    if (used < SAMPLE_FROM) return false
    const step = 1 + Math.floor((used - SAMPLE_FROM) * SAMPLE_STEPS)
    if (++this.#passedOver < 2 ** step) return true
    this.#passedOver = 0
    return false
  }

  /** What is full, in a sentence; null: there is room. */
  get fullBecause(): string | null {
    if (!this.refuses(0)) return null
    const { name, settings } = this.#queue
    const { messagesMax, bytesMax } = settings
    const { readyCount } = this.#contents
    return messagesMax !== undefined && readyCount >= messagesMax
      ? `queue '${name}' is full, it may hold ${messagesMax} messages`
      : `queue '${name}' is full, it may hold ${bytesMax} bytes`
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
