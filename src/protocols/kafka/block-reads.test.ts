import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Partition, Piece, PiecesDone } from '../../broker/index.ts'
import { SlabPool } from '../../net/index.ts'
import { BlockReads } from './block-reads.ts'
import { BLOCK_BYTES_MAX, READS_AHEAD_MAX } from './limits.ts'

interface Read {
  readonly offset: number
  readonly bytesMax: number
  readonly target: Buffer
  readonly done: PiecesDone
}

/** A partition whose disk answers when the test says so. */
class SlowPartition {
  readonly reads: Read[] = []
  onDisk = true

  isOnDiskOnly(): boolean {
    return this.onDisk
  }

  readFrom(
    offset: number,
    bytesMax: number,
    done: PiecesDone,
    { target }: { readonly target?: Buffer },
  ): void {
    this.reads.push({ offset, bytesMax, target: target!, done })
  }
}

const PIECES: readonly Piece[] = []

function world(): { slow: SlowPartition; partition: Partition; pool: SlabPool; reads: BlockReads } {
  const slow = new SlowPartition()
  const pool = new SlabPool()
  return { slow, partition: slow as unknown as Partition, pool, reads: new BlockReads(pool) }
}

test('what was read ahead is there for its offset, once', () => {
  const { slow, partition, reads } = world()
  reads.beginAhead(partition, 7, 10 * BLOCK_BYTES_MAX)
  assert.equal(slow.reads[0]!.bytesMax, BLOCK_BYTES_MAX)
  assert.ok(slow.reads[0]!.target.length > BLOCK_BYTES_MAX)
  assert.equal(reads.takeAhead(partition, 8), null)
  const read = reads.takeAhead(partition, 7)!
  assert.equal(reads.takeAhead(partition, 7), null)
  let came = 0
  read.take(() => came++)
  assert.equal(came, 0)
  slow.reads[0]!.done(null, PIECES)
  assert.equal(came, 1)
})

test('nothing is read ahead that is in memory, or is being read already', () => {
  const { slow, partition, reads } = world()
  reads.beginAhead(partition, 7, 1000)
  reads.beginAhead(partition, 7, 1000)
  slow.onDisk = false
  reads.beginAhead(partition, 8, 1000)
  assert.equal(slow.reads.length, 1)
})

test('reads that nobody asks for are dropped in time, and their buffers used again', () => {
  const { slow, partition, pool, reads } = world()
  for (let offset = 0; offset <= READS_AHEAD_MAX; offset++)
    reads.beginAhead(partition, offset, 1000)
  assert.equal(reads.takeAhead(partition, 0), null)
  const { target, done } = slow.reads[0]!
  // Still being read into: nobody else may have it yet.
  const other = pool.take(target.length)
  assert.notEqual(other, target)
  done(null, PIECES)
  assert.equal(pool.take(target.length), target)
})
