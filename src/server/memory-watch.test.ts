import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryWatch, type MemorySource, type MemoryUse } from './memory-watch.ts'

/** Memory as a test wants it. */
class Memory implements MemorySource {
  readonly heapMax = 1000
  readonly allMax = 10_000
  heap = 0
  all = 0
  garbage = 0
  collections = 0
  collected: (() => void) | null = null

  use(): MemoryUse {
    return { heap: this.heap + this.garbage, all: this.all + this.garbage }
  }

  collect(): void {
    this.collections++
    this.garbage = 0
  }

  /** V8 collects by itself. */
  collectedNow(): void {
    this.collected?.()
  }

  onCollected(collected: () => void): () => void {
    this.collected = collected
    return () => {
      this.collected = null
    }
  }
}

function open(watermark: number): { memory: Memory; watch: MemoryWatch; told: boolean[] } {
  const memory = new Memory()
  const told: boolean[] = []
  const watch = new MemoryWatch({
    source: memory,
    watermark,
    changed: (isLow) => told.push(isLow),
  })
  return { memory, watch, told }
}

test('memory is low when what is in use is above the watermark, not what waits for the collector', () => {
  const { memory, watch, told } = open(0.6)
  using _ = watch
  memory.heap = 300
  memory.garbage = 500
  watch.look(0)
  assert.deepEqual(told, [])
  memory.garbage = 0
  memory.collectedNow()
  assert.deepEqual(told, [])
  memory.heap = 601
  watch.look(100)
  memory.collectedNow()
  assert.deepEqual(told, [true])
  assert.equal(watch.isLow, true)
})

test('what lies outside the heap counts too, and a watermark may be a size', () => {
  const { memory, watch, told } = open(7000)
  using _ = watch
  assert.equal(watch.limitBytes, 7000)
  memory.all = 6999
  watch.look(0)
  assert.equal(memory.collected, null)
  memory.all = 7001
  watch.look(100)
  memory.collectedNow()
  assert.deepEqual(told, [true])
})

test('memory is low until less is in use, and what is freed meanwhile is looked for', () => {
  const { memory, watch, told } = open(0.6)
  using _ = watch
  memory.heap = 700
  watch.look(0)
  memory.collectedNow()
  memory.heap = 590
  watch.look(1e9)
  assert.equal(memory.collections, 1)
  assert.deepEqual(told, [true], 'just below is not enough')
  memory.heap = 100
  memory.garbage = 600
  watch.look(1e9 + 100)
  assert.equal(memory.collections, 1, 'not all the time')
  watch.look(2e9)
  assert.equal(memory.collections, 2)
  watch.look(2e9 + 100)
  assert.deepEqual(told, [true, false])
})

test('nothing is watched where the watermark is 0', () => {
  const { memory, watch, told } = open(0)
  using _ = watch
  memory.heap = 900
  memory.all = 9000
  watch.look(0)
  memory.collectedNow()
  assert.deepEqual(told, [])
})
