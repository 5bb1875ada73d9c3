import type { Consumer } from '../consumer.ts'
import type { StreamStart } from '../destination.ts'
import { filteredOf, FilterFields, type MessageFilter } from '../filter/index.ts'
import { StoredMessage } from '../stored-message.ts'
import { traceRange } from '../tracing/topic-trace.ts'
import type { Partition } from './partition.ts'
import { PartitionCursor } from './partition-cursor.ts'
import type { Topic, TopicParts } from './topic.ts'

/** How many messages a reader gets before others have their turn. */
const DISPATCH_COUNT_MAX = 1000
/** And how many of them from one partition before the next has its own. */
const PARTITION_COUNT_MAX = 100

/** A place in one partition. */
interface Place {
  readonly cursor: PartitionCursor
  /** Something is being read, or it is not known yet where to begin. */
  isLoading: boolean
}

/** Gives one consumer the messages of all partitions of a topic, those of each in order. */
export class TopicReader {
  readonly #topic: Topic
  readonly #consumer: Consumer
  readonly #parts: TopicParts
  readonly #places: Place[] = []
  readonly #view: StoredMessage = new StoredMessage()
  /** What it is given; null: everything. */
  readonly #filter: MessageFilter | null
  readonly #fields = new FilterFields()
  #at = 0
  #isStopped = false

  constructor(
    topic: Topic,
    consumer: Consumer,
    parts: TopicParts & { readonly filter: MessageFilter | null },
  ) {
    this.#filter = parts.filter
    this.#topic = topic
    this.#consumer = consumer
    this.#parts = parts
  }

  start(start: StreamStart): void {
    for (const partition of this.#topic.partitions) this.#seek(this.#place(partition), start)
  }

  /** Begins with the first message of a partition that came to be meanwhile. */
  addPartition(partition: Partition): void {
    this.#place(partition)
  }

  get lag(): number {
    let lag = 0
    for (const { cursor } of this.#places) {
      lag += Math.max(0, cursor.partition.highWatermark - cursor.position)
    }
    return lag
  }

  stop(): void {
    this.#isStopped = true
  }

  /** Gives out what there is; true when more may be there at once. */
  serve(): boolean {
    let left = DISPATCH_COUNT_MAX
    for (let idle = 0; idle < this.#places.length && left > 0;) {
      const place = this.#places[this.#at]!
      const given = place.isLoading ? 0 : this.#give(place, Math.min(left, PARTITION_COUNT_MAX))
      left -= given
      if (!this.#consumer.ready) return false
      idle = given === PARTITION_COUNT_MAX ? 0 : idle + 1
      this.#at = (this.#at + 1) % this.#places.length
    }
    return left === 0
  }

  #place(partition: Partition): Place {
    const opening = { exchange: this.#topic.name, forms: this.#parts.forms }
    const cursor = new PartitionCursor(partition, this.#view, opening)
    const place: Place = { cursor, isLoading: false }
    this.#places.push(place)
    return place
  }

  /** Returns how many it gave. */
  #give(place: Place, countMax: number): number {
    const { cursor } = place
    for (let count = 0; count < countMax;) {
      if (!this.#consumer.ready) return count
      const step = cursor.next()
      if (step === 'message') {
        count++
        if (this.#filter !== null && !this.#takes(this.#filter)) continue
        this.#topic.totals.delivered++
        if (cursor.partition.traced !== null) this.#trace(cursor)
        this.#consumer.sink.deliver(this.#consumer, this.#view, cursor.offset, false, 0)
        this.#consumer.passed(this.#view.bodyEnd - this.#view.bodyStart)
      } else if (step === 'broken') {
        this.#topic.report(cursor.fault, `the batch at offset ${cursor.offset}`)
      } else if (step === 'load') {
        this.#load(place)
        return count
      } else {
        // An idle reader pins no memory.
        cursor.forget()
        this.#view.forget()
        return count
      }
    }
    return countMax
  }

  #trace({ partition, offset }: PartitionCursor): void {
    const { tag, actor } = this.#consumer
    const range = { from: offset, to: offset + 1 }
    const detail = `consumer '${tag}'`
    traceRange(this.#topic, partition, range, { step: 'delivered', by: actor, detail })
  }

  #takes(filter: MessageFilter): boolean {
    const form = this.#parts.forms.get(this.#view.form)
    const isTaken = filter.matches(this.#fields.open(filteredOf(this.#view, form)))
    this.#fields.close()
    return isTaken
  }

  #load(place: Place): void {
    place.isLoading = true
    place.cursor.load(this.#parts.limits.readAheadBytes, (error) => {
      if (this.#isStopped) return
      if (error !== null) {
        // It stays where it is: nothing is passed over in silence.
        this.#topic.report(error, `offset ${place.cursor.position}`)
        return
      }
      this.#ready(place)
    })
  }

  #ready(place: Place): void {
    place.isLoading = false
    if (!this.#isStopped) this.#topic.vhost.turn.dispatch(this.#topic)
  }

  #seek(place: Place, start: StreamStart): void {
    const { cursor } = place
    const { partition } = cursor
    const { startOffset, highWatermark } = partition
    if (start.kind === 'next') cursor.position = highWatermark
    else if (start.kind === 'first') cursor.position = startOffset
    else if (start.kind === 'offset') cursor.position = Math.max(startOffset, start.offset)
    else if (start.kind === 'time') this.#seekTime(place, start.timeMs)
    else {
      // The last entry as it was stored, the nearest there is to RabbitMQ's last chunk.
      const last = highWatermark > startOffset ? partition.source.peek(highWatermark - 1) : null
      cursor.position = last?.baseOffset ?? Math.max(startOffset, highWatermark - 1)
    }
  }

  #seekTime(place: Place, timeMs: number): void {
    const { cursor } = place
    const { partition } = cursor
    const end = partition.highWatermark
    place.isLoading = true
    partition.findTime(timeMs).then(
      (found) => {
        cursor.position = Math.max(found?.offset ?? end, partition.startOffset)
        this.#ready(place)
      },
      (error: unknown) => this.#topic.report(error, `time ${timeMs}`),
    )
  }
}
