import type { OffsetRange } from './extents.ts'
import { RecordCursor } from './record-cursor.ts'
import type { Shard, ShardMember } from './shard.ts'

/** Moves the few messages that still live in a nearly dead stretch, so that it can be freed. */
export class Compactor {
  readonly #shard: Shard
  readonly #cursor = new RecordCursor()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  async evacuate(range: OffsetRange): Promise<void> {
    for (const [offset, members] of this.#livingIn(range)) {
      await this.#bring(offset)
      // It may have been settled while it was read.
      const holders = members.filter((member) => this.#holds(member, offset))
      if (holders.length === 0 || !this.#shard.seek(this.#cursor, offset)) continue
      const { data, timestampMs } = this.#cursor.entry!
      const start = this.#cursor.start
      const record = data.subarray(start, start + data.readUInt32BE(start))
      const ids = holders.map((member) => member.id)
      this.#shard.move(offset, record, timestampMs, ids)
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

  #holds(member: ShardMember, offset: number): boolean {
    return this.#shard.members.get(member.id) === member && member.isLive(offset)
  }

  #bring(offset: number): Promise<void> {
    if (this.#shard.seek(this.#cursor, offset)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#shard.load(this.#cursor, offset, (error) => {
        if (error === null) resolve()
        else reject(error)
      })
    })
  }
}
