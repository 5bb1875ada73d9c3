import type { NativeForm } from '../../model/native-form.ts'
import { SharedSubscriptions } from './shared-subscriptions.ts'
import { Subscriptions } from './subscriptions.ts'
import type { Topic } from './topic.ts'
import { type Follow, traceRange } from '../tracing/topic-trace.ts'
import { type OpenInPartition, type TransactionParts, Transactions } from './transactions.ts'

type TopicStateParts = Pick<
  TransactionParts,
  'state' | 'cycle' | 'timers' | 'limits' | 'log' | 'now'
> & {
  /** By id. */
  readonly topics: ReadonlyMap<number, Topic>
  readonly forms: ReadonlyMap<number, NativeForm>
}

/** What a virtual host knows of those who read and write its topics, beside what is in them. */
export class TopicStates {
  readonly subscriptions: Subscriptions
  readonly shared: SharedSubscriptions
  readonly transactions: Transactions
  readonly #topics: ReadonlyMap<number, Topic>

  /** `id` is a number of the virtual host that no other has or had. */
  constructor(id: number, { topics, forms, ...rest }: TopicStateParts) {
    this.#topics = topics
    const follow: Follow = ({ topicId, partition: index }, range, step, facts) => {
      const topic = topics.get(topicId)
      const partition = topic?.partitions[index]
      if (topic !== undefined && partition !== undefined && partition.traced !== null) {
        traceRange(topic, partition, range, { step, ...facts })
      }
    }
    const parts = { ...rest, follow }
    this.subscriptions = new Subscriptions(id, parts)
    this.shared = new SharedSubscriptions(id, parts)
    this.transactions = new Transactions(id, {
      ...parts,
      subscriptions: this.subscriptions,
      partition: ({ topicId, partition }) => topics.get(topicId)?.partitions[partition],
      openInPartitions: () => openInPartitions(topics),
      hasForm: (form) => forms.get(form)?.batch !== undefined,
    })
  }

  /** Brings back what is stored; when the topics are there. */
  restore(): void {
    const hasTopic = (topicId: number): boolean => this.#topics.has(topicId)
    this.subscriptions.restore(hasTopic)
    this.shared.restore(hasTopic)
    this.transactions.restore()
  }

  topicDeleted(topicId: number): void {
    this.subscriptions.topicDeleted(topicId)
    this.shared.topicDeleted(topicId)
  }

  dispose(): void {
    this.transactions.dispose()
    this.shared.dispose()
    this.subscriptions.dispose()
  }
}

function* openInPartitions(topics: ReadonlyMap<number, Topic>): Iterable<OpenInPartition> {
  for (const { id: topicId, partitions } of topics.values()) {
    for (const partition of partitions) {
      if (!partition.hasOpenTransactions) continue
      for (const { producerId, producerEpoch, transactionOffset } of partition.producerList()) {
        if (transactionOffset < 0) continue
        yield { topicId, partition: partition.index, producerId, producerEpoch }
      }
    }
  }
}
