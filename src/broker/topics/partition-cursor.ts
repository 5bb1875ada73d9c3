import type { LogEntry } from '../../engine/contract.ts'
import { encodeAddress } from '../../model/address.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm, OpenedMessage } from '../../model/native-form.ts'
import { KIND, messageRecordBytes, type MessageTimes, writeMessageRecord } from '../record.ts'
import { firstOffsetOf } from '../shard.ts'
import type { StoredMessage } from '../stored-message.ts'
import {
  BATCH_FLAG,
  BATCH_HEAD_BYTES,
  batchCountOf,
  batchOffsetOf,
  producerIdOf,
} from './batch-record.ts'
import type { Partition } from './partition.ts'

const NO_TIMES: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }
const NONE: readonly OpenedMessage[] = []
const KEY_BYTES_MAX = 255

/** What a cursor meets; `broken` is a batch that cannot be opened and was passed over. */
export type CursorStep = 'message' | 'end' | 'load' | 'broken'

/** What a cursor needs to turn a message of a batch into one that came by itself. */
export interface BatchOpening {
  readonly exchange: string
  readonly forms: ReadonlyMap<number, NativeForm>
  /** Passes over messages that came by themselves. Default false. */
  readonly batchesOnly?: boolean
  /** Reads what is not on disk yet, and what is not stable. Default false. */
  readonly untilEnd?: boolean
}

/**
 * Reads a partition message by message, whichever way each was stored: batches are opened, what
 * belongs to an aborted transaction is passed over, and nothing is read that is not stable.
 */
export class PartitionCursor {
  readonly partition: Partition
  /** The offset it wants next. */
  position = 0
  /** Of the message that `next` gave. */
  offset = -1
  /** Why the batch at `offset` is broken. */
  fault: unknown = null
  readonly #view: StoredMessage
  readonly #opening: BatchOpening
  #entry: LogEntry | null = null
  /** The next record in the entry, and the offset it has unless it says so itself. */
  #at = 0
  #here = 0
  #opened: readonly OpenedMessage[] = NONE
  #openedAt = 0
  #openedBase = 0
  #openedAfter = 0
  #openedForm = 0
  #openedMs = 0

  constructor(partition: Partition, view: StoredMessage, opening: BatchOpening) {
    this.partition = partition
    this.#view = view
    this.#opening = opening
  }

  /** Lets go of all bytes, so that an idle reader pins no memory. */
  forget(): void {
    this.#entry = null
    this.#opened = NONE
  }

  /** `message`: the view shows the next one. `load`: call `load`. `end`: there is none yet. */
  next(): CursorStep {
    for (;;) {
      if (this.#openedAt < this.#opened.length) {
        if (this.#showOpened()) return 'message'
        continue
      }
      const { partition } = this
      const below = this.#opening.untilEnd === true ? partition.endOffset : partition.stableOffset
      // What is kept may begin behind a slow reader: it goes on with that.
      const start = this.partition.startOffset
      if (this.position < start) this.position = start
      if (this.position >= below) return 'end'
      const entry = this.#entryAt(this.position)
      if (entry === null) return 'load'
      const step = this.#walk(entry, below)
      if (step !== null) return step
    }
  }

  /** Brings what `next` wants into memory. */
  load(bytes: number, done: (error: Error | null) => void): void {
    const { source } = this.partition
    const offset = this.position
    source.read(offset, bytes, (error, entries) => {
      const first = entries[0]
      if (error === null && first !== undefined) {
        // A gap where something was discarded.
        if (first.baseOffset > this.position) this.position = first.baseOffset
        this.#adopt(first)
      }
      // Cut off meanwhile: it goes on with what is kept.
      done(error?.kind === 'not-found' ? null : error)
    })
  }

  #entryAt(offset: number): LogEntry | null {
    const entry = this.#entry
    if (entry !== null && offset < entry.baseOffset + entry.count && offset >= entry.baseOffset) {
      return entry
    }
    const found = this.partition.source.peek(offset)
    if (found !== null) this.#adopt(found)
    return found
  }

  #adopt(entry: LogEntry): void {
    this.#entry = entry
    this.#at = 0
    this.#here = entry.baseOffset
  }

  #walk(entry: LogEntry, below: number): CursorStep | null {
    const { data } = entry
    while (this.#at < data.length) {
      const start = this.#at
      const end = start + data.readUInt32BE(start)
      const kind = data[start + 4]
      const isBatch = kind === KIND.BATCH
      if (!isBatch && kind !== KIND.MESSAGE && kind !== KIND.MOVED) {
        this.#at = end
        continue
      }
      const base = isBatch
        ? batchOffsetOf(data, start)
        : kind === KIND.MOVED
          ? firstOffsetOf(data, start)
          : this.#here
      const after = base + (isBatch ? batchCountOf(data, start) : 1)
      // Of a protocol that is not there, or not there yet: never passed over.
      const isUnknown = isBatch && !this.#opening.forms.has(data[start + 7]!)
      if ((base >= below || isUnknown) && after > this.position) return 'end'
      this.#at = end
      this.#here = after
      if (after <= this.position) continue
      if (!isBatch) {
        if (this.#opening.batchesOnly === true) {
          this.position = after
          continue
        }
        this.#view.set(data, start, entry.timestampMs)
        this.offset = base
        this.position = after
        return 'message'
      }
      if (this.#passesOver(data, start, base)) {
        this.position = after
        continue
      }
      return this.#open(entry, start, after)
    }
    this.#entry = null
    this.position = Math.max(this.position, entry.baseOffset + entry.count)
    return null
  }

  #passesOver(data: Buffer, start: number, offset: number): boolean {
    const flags = data[start + 5]!
    if ((flags & BATCH_FLAG.MARKER) !== 0) return true
    if ((flags & BATCH_FLAG.TRANSACTIONAL) === 0) return false
    return this.partition.isAborted(producerIdOf(data, start), offset)
  }

  #open({ data, timestampMs }: LogEntry, start: number, after: number): CursorStep | null {
    const form = data[start + 7]!
    const base = batchOffsetOf(data, start)
    try {
      const batch = this.#opening.forms.get(form)?.batch
      if (batch === undefined) throw new Error(`native form ${form} knows no batches`)
      this.#opened = batch.open(data, start + BATCH_HEAD_BYTES, start + data.readUInt32BE(start))
    } catch (error) {
      this.fault = error
      this.offset = base
      this.position = after
      return 'broken'
    }
    this.#openedAt = 0
    this.#openedBase = base
    this.#openedAfter = after
    this.#openedForm = form
    this.#openedMs = timestampMs
    if (this.#opened.length === 0) this.position = after
    return null
  }

  /** False when the reader is past it. */
  #showOpened(): boolean {
    const opened = this.#opened[this.#openedAt++]!
    const offset = this.#openedBase + opened.offsetDelta
    const isPast = offset < this.position
    this.position = Math.max(this.position, offset + 1)
    if (this.#openedAt === this.#opened.length) {
      this.#opened = NONE
      this.position = this.#openedAfter
    }
    if (isPast) return false
    const timestampMs = opened.timestampMs < 0 ? this.#openedMs : opened.timestampMs
    this.#view.set(recordOf(opened, this.#openedForm, this.#opening.exchange), 0, timestampMs)
    this.offset = offset
    return true
  }
}

/** The message as it would be stored had it come by itself. */
function recordOf(opened: OpenedMessage, form: number, exchange: string): Buffer {
  const draft = draftOf(opened, form, exchange)
  const size = messageRecordBytes(draft, 0, NO_TIMES)
  const record = Buffer.allocUnsafe(size)
  writeMessageRecord(record, 0, size, draft, [], NO_TIMES)
  return record
}

/** A message of a batch as a draft that can be published. */
function draftOf(opened: OpenedMessage, form: number, exchange: string): MessageDraft {
  const draft = new MessageDraft()
  const address = encodeAddress(exchange, shortKey(opened.key))
  draft.form = form
  draft.setAddress(address, 0, address.length)
  draft.setHeader(opened.header, 0, opened.header.length)
  draft.setBody(opened.body, 0, opened.body.length)
  draft.persistent = true
  return draft
}

/** A routing key has 255 bytes at most; of a longer one the beginning is taken. */
function shortKey(key: string): string {
  if (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX) return key
  const bytes = Buffer.from(key, 'utf8')
  let end = KEY_BYTES_MAX
  // Not within a character.
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}
