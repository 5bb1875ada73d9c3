import { BrokerError } from '../../model/errors.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { ProfileCopy, type StepEnd } from '../profile-copy.ts'
import type { Queue } from '../queue.ts'
import type { MessageTimes } from '../record.ts'
import type { Shards } from '../shards.ts'
import { StoredMessage } from '../stored-message.ts'
import { PartitionCursor } from './partition-cursor.ts'
import type { Topic } from './topic.ts'

const NO_TIMES: MessageTimes = { expiresAtMs: 0, dueAtMs: 0 }

/**
 * Copies what a frozen topic of one partition keeps; batches are opened. It reads on to what is not
 * on disk yet, for a topic that is published to all the time never has everything there.
 */
export class TopicCopy extends ProfileCopy {
  readonly #topic: Topic
  readonly #queue: Queue
  readonly #shards: Shards
  readonly #read = new StoredMessage()
  readonly #written = new StoredMessage()
  readonly #draft = new MessageDraft()
  readonly #cursor: PartitionCursor
  #isLoading = false

  constructor(
    topic: Topic,
    queue: Queue,
    { shards, forms }: { shards: Shards; forms: ReadonlyMap<number, NativeForm> },
  ) {
    super(topic.vhost.turn, shards.cycle)
    this.#topic = topic
    this.#queue = queue
    this.#shards = shards
    const opening = { exchange: topic.name, forms, untilEnd: true }
    this.#cursor = new PartitionCursor(topic.partitions[0]!, this.#read, opening)
    this.#cursor.position = topic.partitions[0]!.startOffset
  }

  protected step(): StepEnd {
    if (this.#isLoading) return 'loading'
    const cursor = this.#cursor
    const { partition } = cursor
    // Entries that are still being written are not in the log.
    partition.stage()
    while (!this.isStepFull) {
      const step = cursor.next()
      if (step === 'message') this.#copy()
      else if (step === 'load') {
        this.#load()
        return 'loading'
      } else if (step === 'broken' || cursor.position < partition.endOffset) {
        this.fail(this.#unreadable())
        return 'loading'
      } else return this.#topic.isRouted ? 'caught-up' : 'waiting'
    }
    return 'more'
  }

  protected succeed(): void {
    this.#topic.successor = this.#queue
    // Routes that are kept lead to the topic alone.
    this.#topic.vhost.topologyVersion++
  }

  protected forget(): void {
    this.#cursor.forget()
    this.#read.forget()
    this.#written.forget()
  }

  #copy(): void {
    const { durable } = this.#shards
    this.fill(this.#draft, this.#read)
    const offset = durable.append(this.#draft, [this.#queue], NO_TIMES)
    this.#written.set(durable.lastBuffer, durable.lastStart, this.#topic.vhost.now())
    this.#queue.enqueue(offset, this.#written)
    this.#shards.cycle.requireSync()
  }

  /** A batch that is broken, or of a protocol that is not there. */
  #unreadable(): BrokerError {
    const { name, vhost } = this.#topic
    const { position, fault: cause } = this.#cursor
    const place = `topic '${name}' in vhost '${vhost.name}'`
    const what = `what it has before offset ${position} or there cannot be read`
    return new BrokerError('UNAVAILABLE', `${place} stays a topic: ${what}`, { cause })
  }

  #load(): void {
    this.#isLoading = true
    this.#cursor.load(this.#shards.limits.readAheadBytes, (error) => {
      this.#isLoading = false
      if (error === null) this.wake()
      else this.fail(error)
    })
  }
}
