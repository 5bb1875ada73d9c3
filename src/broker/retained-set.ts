import type { EngineError } from '../engine/contract.ts'
import { routingKeyOf } from '../model/address.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import { MessageReader } from './message-reader.ts'
import { OffsetMap } from './offset-map.ts'
import type { RangeVisitor } from './index-chunk.ts'
import { QueueIndex } from './queue-index.ts'
import { RetainedIndex } from './retained-index.ts'
import { type RetainedDone, RetainedMatch, type RetainedVisitor } from './retained-match.ts'
import { SettleRuns } from './settle-runs.ts'
import type { Shard, ShardMember } from './shard.ts'
import type { StoredMessage } from './stored-message.ts'
import type { TimerTarget } from './timer-index.ts'
import type { VirtualHost } from './virtual-host.ts'

/**
 * The last message of each key of one virtual host, for those who come later.
 *
 * Messages are stored in the durable shard like those of a queue, one that has no name and no
 * consumers, so extents, compaction, snapshots and recovery are the same. A new message and the
 * end of the one before are stored together or not at all. The index of keys is in memory only
 * and is made at a start from the messages.
 */
export class RetainedSet implements ShardMember, TimerTarget {
  readonly id: number
  readonly settleRuns: SettleRuns = new SettleRuns()
  readonly exactBytes = -1
  readonly #vhost: VirtualHost
  readonly #shard: Shard
  readonly #countMax: number
  readonly #self: readonly RetainedSet[] = [this]
  #live = new QueueIndex()
  #index = new RetainedIndex()
  /** Timers of the messages with a time to live, by the node of their key. */
  readonly #timers = new OffsetMap()
  readonly #matches: Set<RetainedMatch> = new Set()

  /** `countMax`: a key beyond so many is refused. */
  constructor(
    id: number,
    vhost: VirtualHost,
    stored: { readonly shard: Shard; readonly countMax: number },
  ) {
    this.id = id
    this.#vhost = vhost
    this.#shard = stored.shard
    this.#countMax = stored.countMax
    stored.shard.members.set(id, this)
  }

  /** How many keys hold a message. */
  get count(): number {
    return this.#index.count
  }

  /** Bytes of the bodies of all messages. */
  get bytes(): number {
    return this.#index.bytes
  }

  /** Memory that the index takes, in bytes. */
  get memoryBytes(): number {
    return this.#index.memoryBytes
  }

  /**
   * Keeps a message in place of the one before; part of the commit of this turn. `key` is the
   * routing key of the draft's address. Its time to live, if it has one, is kept to. Throws
   * `LIMIT_EXCEEDED` for a new key when there are as many as there may be.
   */
  set(key: string, draft: MessageDraft): void {
    if (routingKeyOf(draft.address, draft.addressStart, draft.addressEnd) !== key) {
      throw new Error(`a message to retain under '${key}' is addressed to another key`)
    }
    const index = this.#index
    const before = index.find(key)
    if (before < 0 && index.count >= this.#countMax) {
      throw new BrokerError(
        'LIMIT_EXCEEDED',
        `vhost '${this.#vhost.name}' retains ${this.#countMax} messages, which is its limit`,
      )
    }
    draft.owner = this.#vhost.flows.metered?.owner ?? null
    const expiresAtMs = draft.ttlMs < 0 ? 0 : this.#vhost.now() + draft.ttlMs
    this.#shard.beginHold()
    const offset = this.#shard.append(draft, this.#self, { expiresAtMs, dueAtMs: 0 })
    if (before >= 0) this.#settle(index.offsetOf(before))
    this.#shard.endHold()
    this.#live.push(offset)
    const node = index.set(key, offset, draft.bodyEnd - draft.bodyStart)
    this.#expireAt(node, expiresAtMs)
  }

  /** Ends the message of a key, if it has one; part of the commit of this turn. */
  clear(key: string): void {
    const node = this.#index.find(key)
    if (node >= 0) this.#remove(node)
  }

  /**
   * Visits what is retained under the keys that `pattern` matches: `*` stands for one word, `#`
   * for any number of them. Nothing is called before this turn's dispatch.
   */
  match(pattern: string, visit: RetainedVisitor, done: RetainedDone): RetainedMatch {
    const match = new RetainedMatch(
      {
        vhost: this.#vhost,
        shard: this.#shard,
        index: this.#index,
        live: this.#live,
        ended: (ended) => this.#matches.delete(ended),
      },
      pattern,
      { visit, done },
    )
    this.#matches.add(match)
    return match
  }

  /** The time to live of the message at a node is over. */
  onTimer(node: number): void {
    this.#timers.delete(node)
    this.#remove(node)
  }

  /** The virtual host is gone: so is what it retained. */
  dispose(): void {
    for (const match of this.#matches) match.finish()
    for (const [, timer] of this.#timers.entries()) this.#vhost.timers.cancel(timer)
    this.#timers.clear()
    this.#shard.members.delete(this.id)
    this.#live.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      this.#shard.releaseRun(start, count)
    })
    this.#live = new QueueIndex()
    this.#index = new RetainedIndex()
  }

  // --- restart ---

  recoverMessage(offset: number): void {
    this.#live.push(offset)
  }

  recoverSettled(start: number, count: number): void {
    this.#live.settleRun(start, count)
  }

  recoverAttempts(): void {}

  recoverFailure(): void {}

  recoverBytes(): void {}

  encodeState(): Buffer {
    return this.#live.encode()
  }

  decodeState(bytes: Buffer): void {
    this.#live.decode(bytes, 0)
  }

  /** Makes the index from the messages; after every record is read, before anyone may ask. */
  async load(): Promise<void> {
    const offsets = new Float64Array(this.#live.liveCount)
    let end = 0
    this.#live.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      for (let offset = start; offset < start + count; offset++) offsets[end++] = offset
    })
    const { relocations } = this.#shard
    if (!relocations.isEmpty) {
      offsets.sort((a, b) => relocations.locate(a) - relocations.locate(b))
    }
    let wake: (error: EngineError | null) => void = () => {}
    const reader = new MessageReader(this.#shard, (error) => wake(error))
    let lostCount = 0
    let lastError: EngineError | null = null
    for (const offset of offsets) {
      let error: EngineError | null = null
      while (error === null && !reader.look(offset)) {
        error = await new Promise<EngineError | null>((resolve) => {
          wake = resolve
        })
      }
      if (error === null) this.#loaded(offset, reader.view)
      else {
        lostCount++
        lastError = error
      }
    }
    reader.forget()
    if (lastError === null) return
    // They stay stored: the store can be repaired, what is dropped cannot.
    this.#vhost.log.error({ err: lastError }, `${lostCount} retained messages cannot be read`)
  }

  visitLive(from: number, to: number, visit: RangeVisitor): void {
    this.#live.visitLive(from, to, visit)
  }

  isLive(offset: number): boolean {
    return this.#live.isLive(offset)
  }

  // --- inside ---

  #loaded(offset: number, view: StoredMessage): void {
    const key = routingKeyOf(view.data, view.addressStart, view.addressEnd)
    const known = this.#index.find(key)
    // Two of a key: the older one could not be read when the other took its place.
    if (known >= 0) {
      const other = this.#index.offsetOf(known)
      this.#settle(Math.min(offset, other))
      if (other > offset) return
    }
    const node = this.#index.set(key, offset, view.bodyEnd - view.bodyStart)
    this.#expireAt(node, view.expiresAtMs)
  }

  #remove(node: number): void {
    this.#settle(this.#index.offsetOf(node))
    this.#expireAt(node, 0)
    this.#index.remove(node)
  }

  #settle(offset: number): void {
    this.#live.settle(offset)
    this.#shard.settle(this, offset)
  }

  /** When the message at a node expires; 0: never. */
  #expireAt(node: number, expiresAtMs: number): void {
    const { timers } = this.#vhost
    const timer = this.#timers.get(node)
    if (expiresAtMs === 0) {
      if (timer === undefined) return
      timers.cancel(timer)
      this.#timers.delete(node)
    } else if (timer === undefined || !timers.reschedule(timer, expiresAtMs)) {
      this.#timers.set(node, timers.schedule(expiresAtMs, this, node))
    }
  }
}
