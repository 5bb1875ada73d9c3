import type { TurnTask } from '../../lib/turn.ts'
import { StoredMessage } from '../stored-message.ts'
import type { Partition } from '../topics/partition.ts'
import { PartitionCursor } from '../topics/partition-cursor.ts'
import type { Topic } from '../topics/topic.ts'
import {
  FOUND_MAX,
  type FoundMessage,
  LOOK_COUNT_MAX,
  SEARCH_COUNT_MAX,
  type SearchDone,
} from './message-search.ts'
import { namesOf } from './message-names.ts'
import { hasId } from './trace-rule.ts'

/** How much is read from disk at once. */
const READ_BYTES = 512 * 1024

/**
 * Looks for a message of some name in one partition, in turns, as a reader would: what is not stable
 * yet, or belongs to an aborted transaction, is not found.
 */
export class TopicSearch implements TurnTask {
  turnQueued = false
  readonly #topic: Topic
  readonly #partition: Partition
  readonly #id: string
  readonly #done: SearchDone
  readonly #view = new StoredMessage()
  readonly #cursor: PartitionCursor
  readonly #found: FoundMessage[] = []
  #looked = 0
  #isLoading = false

  constructor(
    topic: Topic,
    partition: Partition,
    asked: { readonly id: string; readonly from: number },
    done: SearchDone,
  ) {
    this.#topic = topic
    this.#partition = partition
    this.#id = asked.id
    this.#done = done
    const opening = { exchange: topic.name, forms: topic.forms }
    this.#cursor = new PartitionCursor(partition, this.#view, opening)
    this.#cursor.position = Math.max(asked.from, partition.startOffset)
    topic.vhost.turn.dispatch(this)
  }

  runTurn(): void {
    if (this.#isLoading) return
    const cursor = this.#cursor
    for (let left = LOOK_COUNT_MAX; left > 0; left--) {
      if (this.#looked >= SEARCH_COUNT_MAX || this.#found.length >= FOUND_MAX) {
        this.#finish(null, cursor.offset + 1)
        return
      }
      const step = cursor.next()
      if (step === 'end') {
        this.#finish(null, null)
        return
      }
      if (step === 'load') {
        this.#load()
        return
      }
      this.#looked++
      if (step === 'message') this.#lookAt(cursor.offset)
    }
    this.#topic.vhost.turn.dispatch(this)
  }

  #load(): void {
    this.#isLoading = true
    this.#cursor.load(READ_BYTES, (error) => {
      this.#isLoading = false
      if (error === null) this.#topic.vhost.turn.dispatch(this)
      else this.#finish(error, null)
    })
  }

  #lookAt(offset: number): void {
    const { vhost } = this.#topic
    const { data, headerStart: start, headerEnd: end, form, timestampMs } = this.#view
    const names = namesOf(vhost.name, vhost.form(form), { header: data, start, end })
    if (!hasId(names, this.#id) && this.#id !== String(offset)) return
    this.#found.push({
      ...{ offset, state: 'stored', before: null, attempts: 0, storedAtMs: timestampMs },
      ...{ untilMs: null, expiresAtMs: null, consumer: null, sinceMs: null },
      messageId: names.messageId,
      correlationId: names.correlationId,
      traceparent: names.traceparent,
      deaths: [],
      redrives: 0,
      readers: this.#readersOf(offset),
    })
  }

  /** Those who keep their place in the partition, and whether they are past the message. */
  #readersOf(offset: number): FoundMessage['readers'] {
    const { topicId, index } = this.#partition
    const { subscriptions, shared } = this.#topic.vhost
    const readers: { readonly name: string; readonly isPast: boolean }[] = []
    for (const each of subscriptions.list()) {
      const position = each.position(topicId, index)
      if (position === undefined) continue
      readers.push({ name: each.name, isPast: position.offset > offset })
    }
    for (const each of shared.list()) {
      const partition = each.partition({ topicId, partition: index })
      if (partition === undefined) continue
      readers.push({ name: each.name, isPast: partition.startOffset > offset })
    }
    return readers
  }

  #finish(error: Error | null, next: number | null): void {
    this.#cursor.forget()
    this.#view.forget()
    this.#done(error, { found: this.#found, looked: this.#looked, next })
  }
}
