import { type Digest, digestText } from '../lib/digest.ts'
import type { HeaderValue } from '../model/header-value.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { NativeForm } from '../model/native-form.ts'
import { DeduplicationWindow } from './deduplication-window.ts'
import type { DestinationPolicy } from './policy.ts'
import type { Queue } from './queue.ts'

/** Stands before the property `message-id`. */
const ID_HEADER = 'x-deduplication-id'
const ID_MARK = Buffer.from(ID_HEADER)

/** By what a publisher's duplicate is known; null: it bears no id, and is taken as it comes. */
export function deduplicationIdOf(
  form: NativeForm | undefined,
  { header, headerStart, headerEnd, persistent }: MessageDraft,
): Digest | null {
  if (form === undefined) return null
  let id: string | null = null
  if (header.subarray(headerStart, headerEnd).includes(ID_MARK)) {
    id = textOf(form.headers(header, headerStart, headerEnd)?.get(ID_HEADER))
  }
  id ??= form.property(header, headerStart, headerEnd, 'message-id')
  if (id === null || id === '') return null
  const digest: Digest = { high: 0, low: 0 }
  // Apart: one that is to last is no duplicate of one that a crash may take.
  digestText(persistent ? `p${id}` : `t${id}`, digest)
  return digest
}

function textOf(value: HeaderValue | undefined): string | null {
  if (value === undefined || value === null) return null
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  return typeof value === 'object' ? null : String(value)
}

/** The window that a queue has under these settings; what one knows is kept where it goes on. */
export function windowFor(
  before: DeduplicationWindow | null,
  { deduplicationWindowMs }: DestinationPolicy,
  idsMax: number,
): DeduplicationWindow | null {
  if (deduplicationWindowMs === undefined) return null
  if (before === null) return new DeduplicationWindow(deduplicationWindowMs, idsMax)
  before.windowMs = deduplicationWindowMs
  return before
}

/** Whether the queue took in a message with this id lately; then the new one is dropped. */
export function isDuplicate({ deduplication, vhost, name }: Queue, id: Digest): boolean {
  if (deduplication === null || !deduplication.knows(id, vhost.now())) return false
  deduplication.droppedCount++
  // Commits are answered in order: its publisher no sooner than that of the first one.
  vhost.log.debug?.({ vhost: vhost.name, queue: name }, 'a duplicate was dropped')
  return true
}

/**
 * Remembers the id of a message that the queue just took in; with it in the log, where the message
 * is. One that a crash may lose is remembered in memory only, so that it can be sent again.
 */
export function rememberId(queue: Queue, id: Digest, persistent: boolean): void {
  if (queue.deduplication === null) return
  const nowMs = queue.vhost.now()
  queue.deduplication.remember(id, nowMs)
  if (persistent && queue.shard.durable) queue.shard.keepSeen(queue, id, nowMs)
}

/** State of a queue with its window behind it, and how long that is: 0 where there is none. */
export function withWindow(state: Buffer, window: DeduplicationWindow | null): Buffer {
  const encoded = window === null ? Buffer.alloc(0) : window.encode()
  const size = Buffer.alloc(4)
  size.writeUInt32BE(encoded.length)
  return Buffer.concat([state, encoded, size])
}

/** Reads the window into `window`, if that is there; returns the state before it. */
export function takeWindow(bytes: Buffer, window: DeduplicationWindow | null): Buffer {
  const end = bytes.length - 4
  const start = end - bytes.readUInt32BE(end)
  if (start < end) window?.decode(bytes.subarray(start, end))
  return bytes.subarray(0, start)
}
