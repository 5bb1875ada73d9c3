import type { EngineError } from '../engine/contract.ts'
import type { TurnTask } from '../lib/turn.ts'
import { routingKeyOf } from '../model/address.ts'
import { MessageReader } from './message-reader.ts'
import type { RetainedIndex } from './retained-index.ts'
import { RetainedPattern } from './retained-pattern.ts'
import { RetainedWalk } from './retained-walk.ts'
import type { QueueIndex } from './queue-index.ts'
import type { Shard } from './shard.ts'
import type { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many nodes of the index are looked at before others have their turn: some 2 ms. */
const STEPS_MAX = 20_000
/** How many messages are looked at before others have their turn. */
const LOOK_COUNT_MAX = 1000
/**
 * Found offsets that are kept, 512 KiB of them. A pattern that finds more goes through the
 * whole set in the order it is stored, where reading is sequential and nothing need be kept.
 */
const FOUND_COUNT_MAX = 65_536
/** A stretch of the log that is asked for at once when the whole set is gone through. */
const WINDOW_OFFSETS = 65_536

/**
 * Takes a retained message: `message` is borrowed for the call. False: no more for now, until
 * `RetainedMatch.resume`; the message given counts as taken all the same.
 */
export type RetainedVisitor = (message: StoredMessage, key: string) => boolean

/** Every match was visited; an error: some of them could not be read. */
export type RetainedDone = (error: EngineError | null) => void

/** What a match is made in; all of it belongs to the retained set. */
export interface RetainedParts {
  readonly vhost: VirtualHost
  readonly shard: Shard
  readonly index: RetainedIndex
  readonly live: QueueIndex
  /** It is over. */
  readonly ended: (match: RetainedMatch) => void
}

/**
 * One look at all retained messages that a pattern matches, in no order, in turns of its own. Each
 * key that holds the same message from start to end is visited once; one that changes meanwhile is
 * not visited with what came later, so whoever wants every change subscribes first.
 */
export class RetainedMatch implements TurnTask {
  turnQueued = false
  readonly #parts: RetainedParts
  readonly #pattern: RetainedPattern
  readonly #visit: RetainedVisitor
  readonly #done: RetainedDone
  readonly #reader: MessageReader
  /** What is retained from here on came after it was asked for. */
  readonly #until: number
  #walk: RetainedWalk | null
  #found: number[] = []
  /** More than can be kept was found: all are looked at. */
  #scans = false
  #at = 0
  /** Of a scan: where the next window starts, and where the last one ends. */
  #next = 0
  #end = 0
  #paused = false
  #over = false
  #error: EngineError | null = null

  constructor(
    parts: RetainedParts,
    pattern: string,
    given: { readonly visit: RetainedVisitor; readonly done: RetainedDone },
  ) {
    this.#parts = parts
    this.#pattern = new RetainedPattern(pattern)
    this.#visit = given.visit
    this.#done = given.done
    this.#until = parts.shard.nextOffset
    this.#walk = new RetainedWalk(parts.index, this.#pattern)
    this.#reader = new MessageReader(parts.shard, (error, offset) => this.#wasRead(error, offset))
    this.#wake()
  }

  /** The visitor can take more. */
  resume(): void {
    this.#paused = false
    this.#wake()
  }

  /** Nothing is called any more, `done` neither. */
  cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#walk?.end()
    this.#walk = null
    this.#found = []
    this.#reader.forget()
    this.#parts.ended(this)
  }

  /** Ends it as if there were no more. */
  finish(): void {
    if (this.#over) return
    this.cancel()
    this.#done(this.#error)
  }

  runTurn(): void {
    if (this.#over || this.#paused || this.#reader.isLoading) return
    if (this.#walk !== null && !this.#search(this.#walk)) {
      this.#wake()
      return
    }
    for (let left = LOOK_COUNT_MAX; left > 0; left--) {
      if (this.#at === this.#found.length && !this.#nextWindow()) {
        this.finish()
        return
      }
      if (!this.#look()) return
    }
    this.#reader.rest()
    this.#wake()
  }

  #wake(): void {
    if (!this.#over && !this.#paused) this.#parts.vhost.turn.dispatch(this)
  }

  /** True when the index has been searched. */
  #search(walk: RetainedWalk): boolean {
    const { index, shard } = this.#parts
    const found = this.#found
    const isOver = walk.run(STEPS_MAX, (node) => found.push(index.offsetOf(node)))
    this.#scans = found.length > FOUND_COUNT_MAX
    if (!isOver && !this.#scans) return false
    walk.end()
    this.#walk = null
    if (this.#scans) {
      this.#found = []
      this.#end = shard.nextOffset
    } else {
      // In the order they are stored, so that what is read together is used together.
      const { relocations } = shard
      found.sort((a, b) => relocations.locate(a) - relocations.locate(b))
    }
    return true
  }

  /** Of a scan, the next offsets to look at; false: there are none. */
  #nextWindow(): boolean {
    if (!this.#scans) return false
    const { live } = this.#parts
    while (this.#next < this.#end) {
      const from = live.liveFrom(this.#next)
      const to = Math.min(from + WINDOW_OFFSETS, this.#end)
      const found: number[] = []
      if (from < to) {
        live.visitLive(from, to, (start, count) => {
          for (let offset = start; offset < start + count; offset++) found.push(offset)
        })
      }
      this.#found = found
      this.#at = 0
      this.#next = from < to ? to : this.#end
      if (found.length > 0) return true
    }
    return false
  }

  /** Looks at the next message; false: it goes on later, or never. */
  #look(): boolean {
    const offset = this.#found[this.#at]!
    if (offset < this.#until && this.#parts.live.isLive(offset)) {
      if (!this.#reader.look(offset)) return false
      const { view } = this.#reader
      const key = routingKeyOf(view.data, view.addressStart, view.addressEnd)
      if (this.#isWanted(view, key) && !this.#visit(view, key)) this.#paused = true
    }
    this.#at++
    if (this.#over) return false
    if (this.#paused) this.#reader.rest()
    return !this.#paused
  }

  #isWanted(message: StoredMessage, key: string): boolean {
    const { expiresAtMs } = message
    if (expiresAtMs !== 0 && expiresAtMs <= this.#parts.vhost.now()) return false
    return !this.#scans || this.#pattern.matches(key)
  }

  #wasRead(error: EngineError | null, offset: number): void {
    if (this.#over) return
    // Settled, and freed, while it was being read: then there is nothing to tell.
    if (error !== null && this.#parts.live.isLive(offset)) {
      if (error.kind === 'closed') {
        this.cancel()
        return
      }
      this.#parts.vhost.log.error({ err: error }, `a retained message cannot be read at ${offset}`)
      this.#error ??= error
    }
    if (error !== null) this.#at++
    this.#wake()
  }
}
