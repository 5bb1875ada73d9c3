import type { TurnTask } from '../../lib/turn.ts'
import { BrokerError } from '../../model/errors.ts'
import type { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { Consumer } from '../consumer.ts'
import type { ConsumeOptions, Destination, DestinationSpec, GetDone } from '../destination.ts'
import { Intake, type Rates } from '../flow/index.ts'
import type { BrokerLimits } from '../limits.ts'
import type { DestinationPolicy } from '../policy.ts'
import type { TimerTarget } from '../timer-index.ts'
import type { VirtualHost } from '../virtual-host.ts'
import type { Queue } from '../queue.ts'
import type { Partition, PartitionWatcher } from './partition.ts'
import { partitionOfKey } from './partitioner.ts'
import { type OutletParts, TopicOutlet } from './topic-outlet.ts'
import { TopicReader } from './topic-reader.ts'

/** How often it is looked whether something has become too old; as the engine does. */
const RETENTION_INTERVAL_MS = 5000

/** What topics share. */
export interface TopicParts {
  readonly limits: BrokerLimits
  readonly forms: ReadonlyMap<number, NativeForm>
}

/**
 * A destination of profile topic: partitions, each a log of its own, kept by age and size. Readers
 * keep their own place; settling only gives them credit and removes nothing.
 */
export class Topic implements Destination, TurnTask, PartitionWatcher, TimerTarget {
  turnQueued = false
  readonly id: number
  readonly vhost: VirtualHost
  spec: DestinationSpec
  readonly profile = 'topic'
  readonly totals = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0 }
  readonly intake: Intake
  /** What is published to the topic is stored there too; null: it stays what it is. */
  successor: Queue | null = null
  /** Something takes its place: no batches may be written to it. */
  isFrozen = false
  readonly #parts: OutletParts
  readonly #partitions: Partition[] = []
  readonly #readers: Map<Consumer, TopicReader> = new Map()
  readonly #outlet: TopicOutlet
  #settings: DestinationPolicy
  #deleted = false
  #timer = 0
  /** For messages without a key. */
  #nextPartition = 0

  constructor(id: number, vhost: VirtualHost, spec: DestinationSpec, parts: OutletParts) {
    this.id = id
    this.vhost = vhost
    this.spec = spec
    this.#parts = parts
    this.#settings = spec.settings
    this.#outlet = new TopicOutlet(this, parts)
    this.intake = new Intake(this, vhost.flows.clock, null)
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

  get heldBackBy(): string | null {
    return this.intake.heldBackBy
  }

  /** What each reader is given in a second, unless it asked for something else. */
  get readerRates(): Rates {
    const { consumeRateMax, consumeBytesRateMax, rateBurstMs } = this.#settings
    return { messages: consumeRateMax, bytes: consumeBytesRateMax, burstMs: rateBurstMs }
  }

  /** In order of their index; may grow. */
  get partitions(): readonly Partition[] {
    return this.#partitions
  }

  /** All that is kept: a topic has no waiting messages of its own, only readers have. */
  get readyCount(): number {
    let count = 0
    for (const { highWatermark, startOffset } of this.#partitions) {
      count += highWatermark - startOffset
    }
    return count
  }

  get unsettledCount(): number {
    return 0
  }

  get readyBytes(): number {
    let bytes = 0
    for (const { storedBytes } of this.#partitions) bytes += storedBytes
    return bytes
  }

  get followerCount(): number {
    return 0
  }

  get retries(): boolean {
    return false
  }

  get keySharing(): null {
    return null
  }

  get heldCount(): number {
    return 0
  }

  get consumerCount(): number {
    return this.#readers.size
  }

  applySettings(settings: DestinationPolicy): void {
    this.#settings = settings
    this.intake.apply(settings)
    for (const consumer of this.#readers.keys()) {
      if (!consumer.hasOwnRates) consumer.setRates(this.readerRates)
    }
    for (const partition of this.#partitions) this.#retain(partition)
    this.#schedule()
  }

  /** The next partition, read and ready; readers that are there begin at its first message. */
  addPartition(partition: Partition): void {
    this.#partitions.push(partition)
    partition.watch(this)
    this.#retain(partition)
    for (const reader of this.#readers.values()) reader.addPartition(partition)
    this.#outlet.look()
  }

  append(draft: MessageDraft): void {
    const partition = this.#partitions[this.#partitionFor(draft)]!
    const offset = partition.append(draft)
    this.totals.enqueued++
    if (draft.trace === 0) return
    const where = { offset, destinations: [this], partition: partition.index }
    const isSynced = this.spec.durable
    this.vhost.tracer.stored(draft.trace, partition, { ...where, isSynced })
  }

  consume(options: ConsumeOptions): Consumer {
    const consumer = new Consumer(this, this, options)
    if (!consumer.hasOwnRates) consumer.setRates(this.readerRates)
    const reader = new TopicReader(this, consumer, {
      ...this.#parts,
      filter: options.filter ?? null,
    })
    this.#readers.set(consumer, reader)
    reader.start(options.startAt ?? { kind: 'next' })
    return consumer
  }

  consumers(): Iterable<Consumer> {
    return this.#readers.keys()
  }

  /** How to look into what it holds. */
  get forms(): ReadonlyMap<number, NativeForm> {
    return this.#parts.forms
  }

  /** How many messages a consumer has still to read. */
  lagOf(consumer: Consumer): number {
    return this.#readers.get(consumer)?.lag ?? 0
  }

  consumerReady(): void {
    this.vhost.turn.dispatch(this)
  }

  removeConsumer(consumer: Consumer): void {
    this.#readers.get(consumer)?.stop()
    this.#readers.delete(consumer)
  }

  /** The exchange of its name came or went, or its bindings did. */
  routesChanged(): void {
    this.#outlet.look()
  }

  partitionChanged(): void {
    this.readOn()
  }

  /** Something may be read that could not be read before. */
  readOn(): void {
    this.#outlet.more()
    if (this.#readers.size > 0) this.vhost.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#deleted) return
    for (const reader of this.#readers.values()) {
      if (reader.serve()) this.vhost.turn.dispatch(this)
    }
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

  /** A topic is kept whether it is used or not. */
  touch(): void {}

  recovered(): void {
    this.#outlet.recovered()
  }

  onTimer(): void {
    this.#timer = 0
    for (const partition of this.#partitions) partition.applyRetention()
    this.#schedule()
  }

  /** Whether what was written to it in batches went wherever else the exchange of its name leads. */
  get isRouted(): boolean {
    return this.#outlet.isDone
  }

  /** Something takes its place: it tells its readers to go, and takes no batches. */
  freeze(): void {
    this.isFrozen = true
    this.vhost.topologyVersion++
    this.#orphanReaders()
  }

  /** It stays what it is. */
  thaw(): void {
    this.isFrozen = false
    this.successor = null
    this.vhost.topologyVersion++
  }

  dispose(): void {
    this.#deleted = true
    this.vhost.totals.destinationGone(this.totals, this.intake.totals.refused)
    this.vhost.timers.cancel(this.#timer)
    for (const partition of this.#partitions) partition.dispose()
    this.#orphanReaders()
    this.#outlet.dispose()
  }

  /** For readers that come upon something that cannot be read. */
  report(error: unknown, what: string): void {
    if (this.#deleted) return
    this.vhost.log.error(
      { err: error, topic: this.name },
      `${what} of topic '${this.name}' in vhost '${this.vhost.name}' cannot be read`,
    )
  }

  #orphanReaders(): void {
    for (const [consumer, reader] of this.#readers) {
      reader.stop()
      consumer.orphan()
    }
    this.#readers.clear()
  }

  #retain(partition: Partition): void {
    const { ageMsMax, bytesMax } = this.#settings
    partition.setRetention({
      ...(ageMsMax === undefined ? {} : { ageMsMax }),
      ...(bytesMax === undefined ? {} : { bytesMax }),
    })
  }

  #schedule(): void {
    if (this.#timer !== 0 || this.#deleted || this.#settings.ageMsMax === undefined) return
    this.#timer = this.vhost.timers.schedule(this.vhost.now() + RETENTION_INTERVAL_MS, this)
  }

  /** By the routing key, if it came by an exchange that has keys; else each turn another one. */
  #partitionFor({ address, addressStart, addressEnd }: MessageDraft): number {
    const count = this.#partitions.length
    if (count === 1) return 0
    const exchangeBytes = address[addressStart] ?? 0
    const start = addressStart + 2 + exchangeBytes
    if (exchangeBytes === 0 || start >= addressEnd) {
      this.#nextPartition = (this.#nextPartition + 1) % count
      return this.#nextPartition
    }
    return partitionOfKey(address, { start, end: addressEnd }, count)
  }
}
