import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Partition, PiecesDone } from '../../broker/index.ts'
import { ManualClock } from '../../lib/clock.ts'
import { SlabPool } from '../../net/index.ts'
import { BlockReads } from './block-reads.ts'
import { FetchRead, type FetchSlot } from './fetch-read.ts'
import type { KafkaShared } from './request-context.ts'

const MIB = 1024 * 1024
const BATCH_BYTES = 600 * 1024

/** Has one batch, on a disk that answers when the test says so. */
class SlowPartition {
  readonly startOffset = 0
  readonly highWatermark = 1
  readonly stableOffset = 1
  readonly #waiting: PiecesDone[]

  constructor(waiting: PiecesDone[]) {
    this.#waiting = waiting
  }

  isOnDiskOnly(offset: number): boolean {
    return offset === 0
  }

  readFrom(_offset: number, _bytesMax: number, done: PiecesDone): void {
    this.#waiting.push(done)
  }

  watch(): void {}
  unwatch(): void {}
}

test('a Fetch of many partitions reads no more at a time than it may answer', () => {
  const waiting: PiecesDone[] = []
  const shared = { clock: new ManualClock(), blocks: new BlockReads(new SlabPool()) }
  const read = new FetchRead(shared as unknown as KafkaShared, {
    ...{ isCommitted: false, bytesMin: 1, bytesMax: 5 * MIB, waitMs: 500, zstd: true },
    forms: { form: () => undefined } as never,
    isOver: () => false,
  })
  const slots: FetchSlot[] = []
  for (let index = 0; index < 1000; index++) {
    const partition = new SlowPartition(waiting) as unknown as Partition
    slots.push(read.add({ partition, offset: 0, bytesMax: MIB }))
  }
  let isDone = false
  read.run(() => {
    isDone = true
  })
  let most = 0
  let reads = 0
  while (waiting.length > 0) {
    most = Math.max(most, waiting.length)
    reads++
    const data = Buffer.alloc(BATCH_BYTES)
    const piece = { kind: 'batch', form: 1, baseOffset: 0, nextOffset: 1, data, start: 0 }
    waiting.shift()!(null, [{ ...piece, end: data.length } as never])
  }
  assert.ok(isDone)
  assert.equal(most, 5)
  assert.ok(reads < 12, `${reads} reads`)
  // What there was room for was given, whole.
  assert.equal(read.bytes, 8 * BATCH_BYTES)
  assert.equal(slots.filter(({ bytes }) => bytes > 0).length, 8)
})
