import type { OffsetRange } from './extents.ts'
import { RecordCursor } from './record-cursor.ts'
import type { Shard } from './shard.ts'

/** Moves the few messages that still live in a nearly dead stretch, so that it can be freed. */
export class Compactor {
  readonly #shard: Shard
  readonly #cursor = new RecordCursor()

  constructor(shard: Shard) {
    this.#shard = shard
  }

  async evacuate(range: OffsetRange): Promise<void> {
    for (const offset of this.#livingIn(range)) {
      await this.#bring(offset)
      // It may have been settled while it was read.
      const holders = this.#holdersOf(offset)
      if (holders.length === 0 || !this.#shard.seek(this.#cursor, offset)) continue
      const { data, timestampMs } = this.#cursor.entry!
      const start = this.#cursor.start
      const record = data.subarray(start, start + data.readUInt32BE(start))
      this.#shard.move(offset, record, timestampMs, holders)
    }
    this.#cursor.forget()
  }

  /** Offsets, as queues know them, of the messages that are stored in a stretch. */
  #livingIn(range: OffsetRange): Set<number> {
    const living = new Set<number>()
    for (const member of this.#shard.members.values()) {
      member.visitLive(range.start, range.end, (start, count) => {
        for (let offset = start; offset < start + count; offset++) {
          if (this.#shard.relocations.locate(offset) === offset) living.add(offset)
        }
      })
    }
    for (const [offset, { place }] of this.#shard.relocations.entries()) {
      if (place >= range.start && place < range.end) living.add(offset)
    }
    return living
  }

  #holdersOf(offset: number): number[] {
    const holders: number[] = []
    for (const member of this.#shard.members.values()) {
      if (member.isLive(offset)) holders.push(member.id)
    }
    return holders
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
