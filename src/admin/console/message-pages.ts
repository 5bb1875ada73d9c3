import { MessageReader } from '../../broker/message-reader.ts'
import { Queue } from '../../broker/queue.ts'
import { StoredMessage } from '../../broker/stored-message.ts'
import type { Partition } from '../../broker/topics/partition.ts'
import { PartitionCursor } from '../../broker/topics/partition-cursor.ts'
import type { Topic } from '../../broker/topics/topic.ts'

/** How much of a topic is read from disk at once. */
const READ_BYTES = 64 * 1024
/** A stretch of a queue's log that is asked for at once: bounds the list of what lives in it. */
const WINDOW_OFFSETS = 8192
const SMALL_WINDOW_OFFSETS = 256
/** Entries that one page passes over at most, of aborted transactions and the like. */
const STEPS_MAX = 10_000

/** Called with each message of a page; the view is borrowed. */
export type MessageVisitor = (offset: number, view: StoredMessage) => void

export interface PageOptions {
  /** The first offset that may be shown. */
  readonly from: number
  readonly count: number
}

/** Shows messages of a queue in the order they were stored; changes nothing. */
export async function visitQueue(
  queue: Queue,
  { from, count }: PageOptions,
  visit: MessageVisitor,
): Promise<void> {
  let loaded = Promise.withResolvers<void>()
  const reader = new MessageReader(queue.shard, (error) => {
    if (error === null) loaded.resolve()
    else loaded.reject(error)
  })
  try {
    for (const offset of liveOffsets(queue, from, count)) {
      // It may be settled while it is read.
      while (queue.isLive(offset)) {
        loaded = Promise.withResolvers<void>()
        if (reader.look(offset)) {
          visit(offset, reader.view)
          break
        }
        await loaded.promise
      }
    }
  } finally {
    reader.forget()
  }
}

/** Shows messages of a partition as a reader gets them; returns where the next page begins. */
export async function visitPartition(
  topic: Topic,
  partition: Partition,
  { from, count, visit }: PageOptions & { readonly visit: MessageVisitor },
): Promise<number> {
  const view = new StoredMessage()
  const opening = { exchange: topic.name, forms: topic.forms }
  const cursor = new PartitionCursor(partition, view, opening)
  cursor.position = Math.max(from, partition.startOffset)
  let left = count
  try {
    for (let steps = 0; left > 0 && steps < STEPS_MAX; steps++) {
      const step = cursor.next()
      if (step === 'end') break
      if (step === 'load') await load(cursor)
      else if (step === 'message') {
        left--
        visit(cursor.offset, view)
      }
    }
    return cursor.position
  } finally {
    cursor.forget()
  }
}

async function load(cursor: PartitionCursor): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  cursor.load(READ_BYTES, (error) => {
    if (error === null) resolve()
    else reject(error)
  })
  await promise
}

function liveOffsets(queue: Queue, from: number, count: number): number[] {
  const offsets: number[] = []
  const end = queue.shard.nextOffset
  let next = from
  while (offsets.length < count && next < end) {
    const start = queue.liveFrom(next)
    if (start >= end) break
    const to = Math.min(start + (count === 1 ? SMALL_WINDOW_OFFSETS : WINDOW_OFFSETS), end)
    const window: number[] = []
    queue.visitLive(start, to, (at, size) => {
      for (let offset = at; offset < Math.min(at + size, to); offset++) window.push(offset)
    })
    offsets.push(...window.toSorted((a, b) => a - b))
    next = to
  }
  return offsets.slice(0, count)
}

interface Oldest {
  readonly offset: number
  readonly atMs: number
}

/** So that a page that is looked at again and again reads nothing twice. */
const KNOWN = new WeakMap<Queue | Partition, Oldest>()

/** When the oldest message that is there was stored; null: there is none. */
export async function oldestMs(destination: Queue | Topic): Promise<number | null> {
  if (destination instanceof Queue) return oldestOfQueue(destination)
  let oldest: number | null = null
  for (const partition of destination.partitions.slice(0, PARTITIONS_LOOKED_AT_MAX)) {
    const atMs = await oldestOfPartition(destination, partition)
    if (atMs !== null) oldest = Math.min(oldest ?? Infinity, atMs)
  }
  return oldest
}

/** Of a topic with more, the first ones speak for all: each costs a read. */
const PARTITIONS_LOOKED_AT_MAX = 16

async function oldestOfQueue(queue: Queue): Promise<number | null> {
  const [offset] = liveOffsets(queue, 0, 1)
  if (offset === undefined) return null
  const known = KNOWN.get(queue)
  if (known?.offset === offset) return known.atMs
  await visitQueue(queue, { from: offset, count: 1 }, (found, { timestampMs }) => {
    KNOWN.set(queue, { offset: found, atMs: timestampMs })
  })
  return KNOWN.get(queue)?.atMs ?? null
}

async function oldestOfPartition(topic: Topic, partition: Partition): Promise<number | null> {
  const { startOffset, highWatermark } = partition
  if (startOffset >= highWatermark) return null
  const known = KNOWN.get(partition)
  if (known?.offset === startOffset) return known.atMs
  const atMs = await storedAtMs(topic, partition, startOffset)
  if (atMs !== null) KNOWN.set(partition, { offset: startOffset, atMs })
  return atMs
}

/** When the first message from an offset on was stored; null: there is none. */
export async function storedAtMs(
  topic: Topic,
  partition: Partition,
  from: number,
): Promise<number | null> {
  let atMs: number | null = null
  const visit: MessageVisitor = (_offset, view) => {
    atMs = view.timestampMs
  }
  await visitPartition(topic, partition, { from, count: 1, visit })
  return atMs
}
