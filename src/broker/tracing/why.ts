import type { Consumer } from '../consumer.ts'
import type { Queue } from '../queue.ts'
import type { OffsetSubscription } from '../topics/subscription.ts'
import type { SharedSubscription } from '../topics/shared-subscriptions.ts'
import type { Topic } from '../topics/topic.ts'
import type { VirtualHost } from '../virtual-host.ts'

/** Why somebody gets nothing; the code is for programs, the text for a person. */
export interface Reason {
  readonly code:
    | 'empty'
    | 'all-given-out'
    | 'held-back'
    | 'key-in-flight'
    | 'not-taken'
    | 'unreadable'
    | 'no-consumer'
    | 'session-offline'
    | 'not-active'
    | 'lower-priority'
    | 'no-credit'
    | 'rate'
    | 'filter'
    | 'output-full'
    | 'waits'
    | 'at-end'
    | 'open-transaction'
    | 'no-member'
    | 'more-members-than-partitions'
    | 'in-flight-limit'
    | 'changing'
    | 'nothing'
  readonly text: string
}

/** A destination, and each of its consumers, with what keeps messages from them. */
export interface WhyView {
  readonly vhost: string
  readonly destination: string
  readonly profile: 'queue' | 'topic'
  readonly reasons: readonly Reason[]
  readonly consumers: readonly {
    readonly tag: string
    readonly protocol: string | null
    readonly connectionId: number | null
    readonly clientId: string | null
    readonly unsettled: number | null
    readonly reasons: readonly Reason[]
  }[]
}

/** A subscription that keeps offsets or leases, as a whole. */
export interface WhySubscriptionView {
  readonly vhost: string
  readonly subscription: string
  readonly kind: 'offsets' | 'shared'
  readonly members: number
  readonly reasons: readonly Reason[]
}

const NOTHING: Reason = { code: 'nothing', text: 'nothing is in the way' }

export function whyQueue(queue: Queue): WhyView {
  const common = reasonsOfQueue(queue)
  return {
    vhost: queue.vhost.name,
    destination: queue.name,
    profile: 'queue',
    reasons: common.length === 0 ? [NOTHING] : common,
    consumers: Array.from(queue.consumers(), (consumer) => {
      return consumerView(consumer, [...common, ...reasonsOfConsumer(queue, consumer)])
    }),
  }
}

export function whyTopic(topic: Topic): WhyView {
  const reasons: Reason[] = []
  if (topic.readyCount === 0) reasons.push({ code: 'empty', text: 'the topic has no messages' })
  reasons.push(...openTransactions(topic))
  return {
    vhost: topic.vhost.name,
    destination: topic.name,
    profile: 'topic',
    reasons: reasons.length === 0 ? [NOTHING] : reasons,
    consumers: Array.from(topic.consumers(), (consumer) => {
      const lag = topic.lagOf(consumer)
      const own = [...reasons]
      if (lag === 0) own.push({ code: 'at-end', text: 'it has read all there is' })
      own.push(...reasonsOfStanding(topic.vhost, consumer))
      return consumerView(consumer, own)
    }),
  }
}

export function whySubscription(
  vhost: VirtualHost,
  subscription: OffsetSubscription | SharedSubscription,
): WhySubscriptionView {
  const { name, kind, memberCount } = subscription
  const reasons =
    subscription.kind === 'offsets'
      ? reasonsOfOffsets(vhost, subscription)
      : reasonsOfShared(vhost, subscription)
  if (memberCount === 0) reasons.unshift({ code: 'no-member', text: 'nobody reads by it now' })
  return {
    vhost: vhost.name,
    subscription: name,
    kind,
    members: memberCount,
    reasons: reasons.length === 0 ? [NOTHING] : reasons,
  }
}

/** What keeps a consumer of a queue from what waits. */
function reasonsOfConsumer(queue: Queue, consumer: Consumer): Reason[] {
  const reasons: Reason[] = []
  const { activeConsumer } = queue
  if (queue.spec.singleActive && activeConsumer !== null && activeConsumer !== consumer) {
    const text = `only one consumer is served at a time, and that is ${named(activeConsumer)}`
    return [{ code: 'not-active', text }]
  }
  reasons.push(...reasonsOfStanding(queue.vhost, consumer))
  if (!consumer.ready) return reasons
  const filter = queue.filterStanding(consumer)
  if (filter !== null && queue.readyCount > 0) {
    const text = filter.isDone
      ? `its filter takes none of the ${queue.readyCount} that wait`
      : `its filter is being asked about those that wait, ${filter.looked} so far`
    reasons.push({ code: 'filter', text })
  }
  for (const other of queue.consumers()) {
    if (other.priority <= consumer.priority || !other.ready) continue
    const text = `${named(other)} has priority ${other.priority}, this one ${consumer.priority}`
    reasons.push({ code: 'lower-priority', text })
    break
  }
  return reasons
}

function reasonsOfQueue(queue: Queue): Reason[] {
  const reasons: Reason[] = []
  const { readyCount, unsettledCount } = queue
  const { waiting, soonestMs, kept, fault } = queue.heldCounts
  if (fault !== null) reasons.push({ code: 'unreadable', text: fault })
  // A deleted one is in no list.
  if (queue.isDeleted) reasons.push({ code: 'changing', text: 'the queue is becoming a topic' })
  if (waiting > 0) {
    const until = soonestMs < Infinity ? `, the next one ${timeText(soonestMs)}` : ''
    const text = `${waiting} failed and wait for their next attempt${until}`
    reasons.push({ code: 'held-back', text })
  }
  const { followerCount } = queue
  if (followerCount > 0) {
    const text = `${followerCount} wait for others of their key, which are out or failed`
    reasons.push({ code: 'key-in-flight', text })
  }
  if (kept > 0) {
    reasons.push({ code: 'not-taken', text: `${kept} are dead letters that nobody takes` })
  }
  if (readyCount === 0 && unsettledCount > 0) {
    const text = `all ${unsettledCount} are with consumers that have not settled them`
    reasons.push({ code: 'all-given-out', text })
  } else if (readyCount === 0 && waiting + kept === 0) {
    reasons.push({ code: 'empty', text: 'the queue is empty' })
  }
  if (queue.pacedBy !== null) reasons.push({ code: 'rate', text: `the ${queue.pacedBy}` })
  if (queue.consumerCount === 0) reasons.push(...nobody(queue))
  return reasons
}

function nobody(queue: Queue): Reason[] {
  for (const { owner, spec } of queue.vhost.sessions.list()) {
    if (owner !== null || !spec.destinations.includes(queue.name)) continue
    const text = `it is the queue of client '${spec.name}', which is not connected`
    return [{ code: 'session-offline', text }]
  }
  return [{ code: 'no-consumer', text: 'nobody consumes from it' }]
}

function reasonsOfStanding(vhost: VirtualHost, consumer: Consumer): Reason[] {
  if (consumer.ready) return []
  const rate = consumer.heldBackBy
  if (rate !== null) return [{ code: 'rate', text: `the ${rate}` }]
  const standing = consumer.sink.standing?.()
  const forMs = vhost.now() - consumer.pausedAtMs
  const since = consumer.pausedAtMs === 0 ? '' : `, for ${secondsText(forMs)}`
  if (standing?.isOutputFull === true) {
    const text = `the client does not read what was sent to it${since}`
    return [{ code: 'output-full', text }]
  }
  if (standing !== undefined && standing.unsettledMax > 0) {
    const { unsettled, unsettledMax } = standing
    if (unsettled >= unsettledMax) {
      const text = `it has ${unsettled} unsettled messages of ${unsettledMax} it may have${since}`
      return [{ code: 'no-credit', text }]
    }
  }
  return [{ code: 'waits', text: `it does not take more now${since}` }]
}

function reasonsOfOffsets(vhost: VirtualHost, subscription: OffsetSubscription): Reason[] {
  const reasons: Reason[] = []
  let lag = 0
  let partitions = 0
  const topics = new Set<Topic>()
  for (const { topicId, partition, position } of subscription.positions()) {
    const topic = vhost.topic(topicId)
    const found = topic?.partitions[partition]
    if (topic === undefined || found === undefined) continue
    topics.add(topic)
    partitions++
    lag += Math.max(0, found.stableOffset - position.offset)
  }
  if (partitions > 0 && lag === 0) {
    reasons.push({ code: 'at-end', text: 'it has read all that is stable' })
  }
  for (const topic of topics) reasons.push(...openTransactions(topic))
  const all = [...topics].reduce((sum, topic) => sum + topic.partitions.length, 0)
  if (all > 0 && subscription.memberCount > all) {
    const text = `${subscription.memberCount} members share ${all} partitions, so some get none`
    reasons.push({ code: 'more-members-than-partitions', text })
  }
  return reasons
}

function reasonsOfShared(vhost: VirtualHost, subscription: SharedSubscription): Reason[] {
  const reasons: Reason[] = []
  let lag = 0
  let partitions = 0
  for (const shared of subscription.partitions()) {
    const topic = vhost.topic(shared.topicId)
    const end = topic?.partitions[shared.index]?.stableOffset
    if (topic === undefined || end === undefined) continue
    partitions++
    lag += Math.max(0, end - shared.startOffset - shared.settledCount)
    if (shared.nextOffset >= 0) continue
    const at = `partition ${shared.index} of '${topic.name}'`
    const text = `as much of ${at} as may be given out is unsettled`
    reasons.push({ code: 'in-flight-limit', text })
  }
  if (partitions > 0 && lag === 0) {
    reasons.push({ code: 'at-end', text: 'all that is stable is settled' })
  }
  return reasons
}

/** What is on disk and hidden, because a transaction before it goes on. */
function openTransactions(topic: Topic): Reason[] {
  const reasons: Reason[] = []
  for (const partition of topic.partitions) {
    const { stableOffset, highWatermark, index } = partition
    if (stableOffset >= highWatermark || !partition.hasOpenTransactions) continue
    for (const { producerId, transactionOffset } of partition.producerList()) {
      if (transactionOffset !== stableOffset) continue
      const open = [...topic.vhost.transactions.list()].find(
        (each) => each.producerId === producerId,
      )
      const who = open === undefined ? `producer ${producerId}` : `'${open.name}'`
      const text =
        `partition ${index} of '${topic.name}' is stable up to ${stableOffset} of ` +
        `${highWatermark}: a transaction of ${who} is open`
      reasons.push({ code: 'open-transaction', text })
    }
  }
  return reasons
}

function consumerView(
  consumer: Consumer,
  reasons: readonly Reason[],
): WhyView['consumers'][number] {
  const { actor, tag } = consumer
  return {
    tag,
    protocol: actor?.protocol ?? null,
    connectionId: actor?.connectionId ?? null,
    clientId: actor?.clientId ?? null,
    unsettled: consumer.sink.standing?.().unsettled ?? null,
    reasons: reasons.length === 0 ? [NOTHING] : reasons,
  }
}

function named({ tag, actor }: Consumer): string {
  return `'${tag}' of ${actor?.clientId ?? actor?.connection ?? 'the broker'}`
}

function timeText(timeMs: number): string {
  return `at ${new Date(timeMs).toISOString()}`
}

function secondsText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Math.round(ms / 1000)} s`
}
