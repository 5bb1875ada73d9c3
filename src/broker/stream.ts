import type { Log } from '../engine/contract.ts'
import type { TurnTask } from '../lib/turn.ts'
import { BrokerError } from '../model/errors.ts'
import type { MessageDraft } from '../model/message-draft.ts'
import type { CommitCycle, Stager } from './commit-cycle.ts'
import { Consumer } from './consumer.ts'
import type {
  ConsumeOptions,
  Destination,
  DestinationSpec,
  GetDone,
  StreamStart,
} from './destination.ts'
import type { BrokerLimits } from './limits.ts'
import type { DestinationPolicy } from './policy.ts'
import { RecordBatch } from './record-batch.ts'
import { RecordCursor } from './record-cursor.ts'
import {
  type Identified,
  messageRecordBytes,
  type MessageTimes,
  writeMessageRecord,
} from './record.ts'
import { StoredMessage } from './stored-message.ts'
import type { VirtualHost } from './virtual-host.ts'

/** How many messages a reader gets before others have their turn. */
const DISPATCH_COUNT_MAX = 1000
const NO_TARGETS: readonly Identified[] = []
const NO_TIMES: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }

/** Where one reader stands. */
interface Reader {
  readonly cursor: RecordCursor
  /** The next offset it gets; -1 until it is known. */
  position: number
  loading: boolean
}

/**
 * A destination of profile topic: a log of its own, kept by age and size. Readers keep their own
 * place; settling only gives them credit and removes nothing.
 */
export class Stream implements Destination, Stager, TurnTask {
  turnQueued = false
  staged = false
  readonly id: number
  readonly vhost: VirtualHost
  readonly spec: DestinationSpec
  readonly log: Log
  readonly profile = 'topic'
  readonly totals = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0 }
  readonly #cycle: CommitCycle
  readonly #limits: BrokerLimits
  readonly #batch: RecordBatch
  readonly #readers: Map<Consumer, Reader> = new Map()
  readonly #view = new StoredMessage()
  #settings: DestinationPolicy
  #deleted = false

  constructor(
    id: number,
    vhost: VirtualHost,
    spec: DestinationSpec,
    options: { readonly log: Log; readonly cycle: CommitCycle; readonly limits: BrokerLimits },
  ) {
    const { log, cycle, limits } = options
    this.id = id
    this.vhost = vhost
    this.spec = spec
    this.log = log
    this.#cycle = cycle
    this.#limits = limits
    this.#settings = spec.settings
    this.#batch = new RecordBatch(log, limits.entryBytes)
    log.onCommitted(() => {
      if (this.#readers.size > 0) this.vhost.turn.dispatch(this)
    })
  }

  get name(): string {
    return this.spec.name
  }

  get exclusiveOwner(): object | null {
    return this.spec.exclusiveOwner
  }

  get settings(): DestinationPolicy {
    return this.#settings
  }

  /** All that is kept: a stream has no waiting messages of its own, only readers have. */
  get readyCount(): number {
    return this.log.committedOffset - this.log.startOffset
  }

  get unsettledCount(): number {
    return 0
  }

  get readyBytes(): number {
    return this.log.storedBytes
  }

  get heldCount(): number {
    return 0
  }

  get consumerCount(): number {
    return this.#readers.size
  }

  applySettings(settings: DestinationPolicy): void {
    this.#settings = settings
    this.log.setRetention({
      ...(settings.ageMsMax === undefined ? {} : { ageMsMax: settings.ageMsMax }),
      ...(settings.bytesMax === undefined ? {} : { bytesMax: settings.bytesMax }),
    })
  }

  append(draft: MessageDraft): void {
    const size = messageRecordBytes(draft, 0, NO_TIMES)
    const start = this.#batch.reserve(size)
    writeMessageRecord(this.#batch.buffer, start, size, draft, NO_TARGETS, NO_TIMES)
    this.#batch.countMessage()
    this.totals.enqueued++
    if (this.spec.durable) this.#cycle.requireSync()
    this.#cycle.touch(this)
  }

  stage(): void {
    this.#batch.append()
  }

  consume(options: ConsumeOptions): Consumer {
    const consumer = new Consumer(this, this, options)
    const reader: Reader = { cursor: new RecordCursor(), position: -1, loading: false }
    this.#readers.set(consumer, reader)
    this.#seekStart(reader, options.startAt ?? { kind: 'next' })
    return consumer
  }

  consumers(): Iterable<Consumer> {
    return this.#readers.keys()
  }

  consumerReady(): void {
    this.vhost.turn.dispatch(this)
  }

  removeConsumer(consumer: Consumer): void {
    this.#readers.delete(consumer)
  }

  runTurn(): void {
    if (this.#deleted) return
    for (const [consumer, reader] of this.#readers) this.#serve(consumer, reader)
  }

  get(_noAck: boolean, _done: GetDone): void {
    throw new BrokerError(
      'NOT_IMPLEMENTED',
      `basic.get not supported by stream queues queue '${this.name}' in vhost '${this.vhost.name}'`,
    )
  }

  accept(): void {
    this.totals.settled++
  }

  release(): void {
    this.totals.settled++
  }

  fail(): void {
    this.totals.settled++
  }

  reject(): void {
    this.totals.settled++
  }

  purge(): number {
    throw new BrokerError(
      'NOT_IMPLEMENTED',
      `queue.purge not supported by stream queues queue '${this.name}' in vhost '${this.vhost.name}'`,
    )
  }

  /** A stream is kept whether it is used or not. */
  touch(): void {}

  recovered(): void {}

  dispose(): void {
    this.#deleted = true
    this.log.onCommitted(null)
    for (const consumer of this.#readers.keys()) consumer.orphan()
    this.#readers.clear()
  }

  #seekStart(reader: Reader, start: StreamStart): void {
    const { startOffset, committedOffset } = this.log
    if (start.kind === 'next') reader.position = committedOffset
    else if (start.kind === 'first') reader.position = startOffset
    else if (start.kind === 'offset') reader.position = Math.max(startOffset, start.offset)
    else if (start.kind === 'time') this.#seekTime(reader, start.timeMs)
    else {
      // The last entry as it was stored, the nearest there is to RabbitMQ's last chunk.
      const last = committedOffset > startOffset ? this.log.peek(committedOffset - 1) : null
      reader.position = last?.baseOffset ?? Math.max(startOffset, committedOffset - 1)
    }
  }

  #seekTime(reader: Reader, timeMs: number): void {
    this.log.offsetForTime(timeMs).then(
      (offset) => {
        reader.position = Math.max(offset, this.log.startOffset)
        this.vhost.turn.dispatch(this)
      },
      (error: unknown) => this.#report(error),
    )
  }

  #serve(consumer: Consumer, reader: Reader): void {
    if (reader.position < 0 || reader.loading) return
    for (let left = DISPATCH_COUNT_MAX; left > 0; left--) {
      if (!consumer.ready) return
      if (reader.position >= this.log.committedOffset) {
        // An idle reader pins no memory.
        reader.cursor.forget()
        this.#view.forget()
        return
      }
      // Retention may have overtaken a slow reader: it goes on with what is kept.
      if (reader.position < this.log.startOffset) reader.position = this.log.startOffset
      const offset = reader.position
      if (!reader.cursor.seek(this.log, offset)) {
        this.#load(reader, offset)
        return
      }
      const entry = reader.cursor.entry!
      this.#view.set(entry.data, reader.cursor.start, entry.timestampMs)
      reader.position = offset + 1
      this.totals.delivered++
      consumer.sink.deliver(consumer, this.#view, offset, false, 0)
    }
    this.vhost.turn.dispatch(this)
  }

  #load(reader: Reader, offset: number): void {
    reader.loading = true
    this.log.read(offset, this.#limits.readAheadBytes, (error, entries) => {
      reader.loading = false
      const first = entries?.[0]
      if (error !== null) {
        if (error.kind !== 'not-found') {
          reader.loading = true
          this.#report(error)
        }
      } else if (first !== undefined && first.baseOffset > offset) {
        // A gap where something was discarded.
        reader.position = first.baseOffset
      } else if (first !== undefined) reader.cursor.adopt(first, offset)
      this.vhost.turn.dispatch(this)
    })
  }

  #report(error: unknown): void {
    if (this.#deleted) return
    this.vhost.log.error(
      { err: error, stream: this.name },
      `stream '${this.name}' in vhost '${this.vhost.name}' cannot be read`,
    )
  }
}
