import type { SharedSubscription } from '../broker/topics/shared-subscriptions.ts'
import type { OffsetSubscription } from '../broker/topics/subscription.ts'
import type { Topic } from '../broker/topics/topic.ts'
import type { Transaction } from '../broker/topics/transaction.ts'
import type { VirtualHost } from '../broker/virtual-host.ts'
import type { PartitionReadView, SubscriptionView } from '../model/shapes/destinations.ts'

/** One for each subscription and topic of it, sorted by name and topic. */
export function subscriptionViews(vhost: VirtualHost): SubscriptionView[] {
  const views: SubscriptionView[] = []
  for (const subscription of vhost.subscriptions.list()) {
    addViews(views, vhost, subscription, readByTopic(vhost, subscription))
  }
  for (const subscription of vhost.shared.list()) {
    addViews(views, vhost, subscription, sharedByTopic(vhost, subscription))
  }
  return views.sort((a, b) => compare(a.name, b.name) || compare(a.topic ?? '', b.topic ?? ''))
}

function addViews(
  views: SubscriptionView[],
  { name: vhost }: VirtualHost,
  { name, kind, memberCount: members }: OffsetSubscription | SharedSubscription,
  byTopic: ReadonlyMap<string, PartitionReadView[]>,
): void {
  const common: Pick<SubscriptionView, 'vhost' | 'name' | 'kind' | 'members'> = {
    vhost,
    name,
    kind,
    members,
  }
  if (byTopic.size === 0) views.push({ ...common, topic: null, lag: 0, partitions: [] })
  for (const [topic, partitions] of byTopic) {
    partitions.sort((a, b) => a.partition - b.partition)
    views.push({
      ...common,
      topic,
      lag: partitions.reduce((sum, { lag }) => sum + lag, 0),
      partitions,
    })
  }
}

function readByTopic(
  vhost: VirtualHost,
  subscription: OffsetSubscription,
): Map<string, PartitionReadView[]> {
  const byTopic = new Map<string, PartitionReadView[]>()
  for (const { topicId, partition, position } of subscription.positions()) {
    const topic = vhost.topic(topicId)
    const end = topic?.partitions[partition]?.highWatermark
    if (topic === undefined || end === undefined) continue
    const { offset, metadata } = position
    const lag = Math.max(0, end - offset)
    addTo(byTopic, topic, { partition, offset, end, lag, metadata })
  }
  return byTopic
}

function sharedByTopic(
  vhost: VirtualHost,
  subscription: SharedSubscription,
): Map<string, PartitionReadView[]> {
  const byTopic = new Map<string, PartitionReadView[]>()
  for (const {
    topicId,
    index: partition,
    startOffset,
    settledCount,
  } of subscription.partitions()) {
    const topic = vhost.topic(topicId)
    const end = topic?.partitions[partition]?.highWatermark
    if (topic === undefined || end === undefined) continue
    const lag = Math.max(0, end - startOffset - settledCount)
    addTo(byTopic, topic, { partition, offset: startOffset, end, lag })
  }
  return byTopic
}

function addTo(
  byTopic: Map<string, PartitionReadView[]>,
  { name }: Topic,
  view: PartitionReadView,
): void {
  const views = byTopic.get(name)
  if (views === undefined) byTopic.set(name, [view])
  else views.push(view)
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** A transactional id and what it does. */
export interface TransactionView {
  readonly vhost: string
  readonly name: string
  readonly state: Transaction['state']
  readonly producerId: number
  readonly producerEpoch: number
  readonly timeoutMs: number
  /** When the transaction began that goes on; null: none does. */
  readonly startedAtMs: number | null
  readonly partitions: readonly { readonly topic: string | null; readonly partition: number }[]
  readonly subscriptions: readonly string[]
}

export function transactionView(vhost: VirtualHost, transaction: Transaction): TransactionView {
  const { name, state, producerId, producerEpoch, timeoutMs, startMs } = transaction
  return {
    vhost: vhost.name,
    name,
    state,
    producerId,
    producerEpoch,
    timeoutMs,
    startedAtMs: startMs < 0 ? null : startMs,
    partitions: Array.from(transaction.partitions.values(), ({ topicId, partition }) => {
      return { topic: vhost.topic(topicId)?.name ?? null, partition }
    }),
    subscriptions: [...transaction.subscriptions],
  }
}
