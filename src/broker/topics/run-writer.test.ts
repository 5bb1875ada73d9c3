import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log } from '../../engine/contract.ts'
import { RunWriter } from './run-writer.ts'

const SLAB_BYTES = 1000

/** Remembers what to call when it needs an entry no more. */
class FakeLog {
  nextOffset = 0
  readonly frees: (() => void)[] = []

  append(_data: Buffer, count: number, free: () => void): number {
    this.nextOffset += count
    this.frees.push(free)
    return this.nextOffset - count
  }
}

function write(writer: RunWriter, log: FakeLog, bytes: number): Buffer {
  writer.reserve(log as unknown as Log, bytes)
  writer.take(1)
  writer.end(log as unknown as Log)
  return writer.buffer
}

test('a slab is written anew once every log has freed what is in it', () => {
  const writer = new RunWriter(SLAB_BYTES)
  const [one, two] = [new FakeLog(), new FakeLog()]
  const first = write(writer, one, 400)
  assert.equal(write(writer, two, 400), first)
  // Free while there is room in it: it is still being written.
  one.frees[0]!()
  const second = write(writer, one, 400)
  assert.notEqual(second, first)
  write(writer, one, 400)
  const third = write(writer, one, 400)
  assert.notEqual(third, first)
  two.frees[0]!()
  write(writer, one, 400)
  assert.equal(write(writer, one, 400), first)
})

test('a record larger than a slab has a buffer of its own, which is not kept', () => {
  const writer = new RunWriter(SLAB_BYTES)
  const log = new FakeLog()
  const large = write(writer, log, 5 * SLAB_BYTES)
  assert.equal(large.length, 5 * SLAB_BYTES)
  write(writer, log, 400)
  log.frees[0]!()
  for (let count = 0; count < 10; count++) assert.notEqual(write(writer, log, 400), large)
})
