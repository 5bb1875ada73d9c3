import type { EngineError } from '../engine/contract.ts'
import { later } from '../lib/later.ts'
import type { OffsetRange } from './extents.ts'
import { RecordCursor } from './record-cursor.ts'
import type { Shard, ShardMember } from './shard.ts'

/** So many are moved in one turn: a stretch of small ones holds tens of thousands. */
const MOVES_PER_TURN = 256

/** Moves the few messages that still live in a nearly dead stretch, so that it can be freed. */
export class Compactor {
  readonly #shard: Shard
  readonly #cursor = new RecordCursor()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  async evacuate(range: OffsetRange): Promise<void> {
    let moves = 0
    for (const [offset, members] of this.#livingIn(range)) {
      // It may have been settled while others were read, and where it stood first be free by now.
      if (this.#holdersOf(offset, members).length === 0) continue
      const error = await this.#bring(offset)
      // Or while it was read itself.
      const holders = this.#holdersOf(offset, members)
      if (holders.length === 0) continue
      if (error !== null) throw error
      if (!this.#shard.seek(this.#cursor, offset)) continue
      const { data, timestampMs } = this.#cursor.entry!
      const start = this.#cursor.start
      const record = data.subarray(start, start + data.readUInt32BE(start))
      const ids = holders.map((member) => member.id)
      this.#shard.move(offset, record, timestampMs, ids)
      if (++moves % MOVES_PER_TURN === 0) await new Promise<void>((resolve) => later(resolve))
    }
    this.#cursor.forget()
  }

  /** The messages stored in a stretch, by the offsets that queues know them by, with the queues. */
  #livingIn(range: OffsetRange): Map<number, ShardMember[]> {
    const { members, relocations } = this.#shard
    const living = new Map<number, ShardMember[]>()
    const add = (offset: number, member: ShardMember): void => {
      const holders = living.get(offset)
      if (holders === undefined) living.set(offset, [member])
      else holders.push(member)
    }
    for (const member of members.values()) {
      member.visitLive(range.start, range.end, (start, count) => {
        for (let offset = start; offset < start + count; offset++) {
          if (relocations.locate(offset) === offset) add(offset, member)
        }
      })
    }
    relocations.visitStandingIn(range.start, range.end, (offset) => {
      for (const member of members.values()) if (member.isLive(offset)) add(offset, member)
    })
    return living
  }

  #holdersOf(offset: number, members: readonly ShardMember[]): ShardMember[] {
    return members.filter((member) => {
      return this.#shard.members.get(member.id) === member && member.isLive(offset)
    })
  }

  #bring(offset: number): Promise<EngineError | null> {
    if (this.#shard.seek(this.#cursor, offset)) return Promise.resolve(null)
    return new Promise((resolve) => {
      this.#shard.load(this.#cursor, offset, resolve)
    })
  }
}
