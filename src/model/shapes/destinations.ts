/** What the API says of queues, topics and subscriptions; the console and the command line read the same types. */

export interface DestinationView {
  readonly vhost: string
  readonly name: string
  readonly profile: 'queue' | 'topic'
  /** Of a topic: how many it has; null for a queue. */
  readonly partitions: number | null
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly exclusive: boolean
  readonly ready: number
  readonly unsettled: number
  /** Failed messages that wait for their next attempt, and dead letters that nobody takes. */
  readonly held: number
  /** Duplicates dropped since the broker started. */
  readonly deduplicated: number
  /** Ids that were forgotten before their time, because there were too many. */
  readonly idsForgotten: number
  /** Of those that are ready: how many wait for others of their key. */
  readonly followers: number
  readonly consumers: number
  readonly readyBytes: number
  /** Publishes that a limit refused, and that `sample` passed over, since the broker started. */
  readonly refused: number
  readonly passedOver: number
  /** What holds back its publishers or its consumers now; null: nothing. */
  readonly heldBackBy: string | null
  readonly arguments: Readonly<Record<string, unknown>>
}

/** One row of the list of everything that stores. */
export interface DestinationRow {
  readonly vhost: string
  readonly name: string
  readonly profile: 'queue' | 'topic'
  readonly durable: boolean
  /** Of a queue: those that wait. Of a topic: all that it keeps. */
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  readonly readyBytes: number
  /** Of a topic: what the subscription that is furthest behind has still to read. */
  readonly lag: number | null
  /** Consumers, and members of subscriptions. */
  readonly consumers: number
  readonly heldBackBy: string | null
  /** When the oldest that is there was stored; null: nothing is. */
  readonly oldestMs: number | null
}

/** How far a subscription is in one partition. */
export interface PartitionReadView {
  readonly partition: number
  /** The next offset to be read; of a shared one, the first that is not settled. */
  readonly offset: number
  /** The offset that the next message will get. */
  readonly end: number
  /** Messages that are still to be read, or settled. */
  readonly lag: number
  readonly metadata?: string
}

/** A subscription on one topic. */
export interface SubscriptionView {
  readonly vhost: string
  readonly name: string
  /** `offsets`: its readers say how far they are. `shared`: they settle each message. */
  readonly kind: 'offsets' | 'shared'
  /** Null: it has read nothing yet. */
  readonly topic: string | null
  readonly members: number
  readonly lag: number
  readonly partitions: readonly PartitionReadView[]
}

/** What is in the way of messages; `code` is one of a closed list, `text` for people. */
export interface Reason {
  readonly code: string
  readonly text: string
}

export interface ConsumerWhy {
  readonly tag: string
  readonly protocol: string | null
  readonly connectionId: number | null
  readonly clientId: string | null
  readonly unsettled: number | null
  readonly reasons: readonly Reason[]
}

/** One row of the list of subscriptions. */
export interface SubscriptionRow extends Omit<SubscriptionView, 'partitions'> {
  /** Messages that members have and did not settle; null: readers say only how far they are. */
  readonly unsettled: number | null
  /** When the oldest that is still to be read was stored; null: there is none. */
  readonly oldestMs: number | null
  readonly reasons: readonly Reason[]
}

export interface BindingView {
  readonly vhost: string
  readonly source: string
  readonly target: string
  readonly targetKind: 'destination' | 'exchange'
  readonly key: string
  readonly arguments: Readonly<Record<string, unknown>>
}

/** One destination from close by. */
export interface DestinationDetails extends DestinationView {
  /** When the oldest that is there was stored; null: nothing is. */
  readonly oldestMs: number | null
  /** What counts: arguments and policy together. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly why: { readonly reasons: readonly Reason[]; readonly consumers: readonly ConsumerWhy[] }
  readonly bindingCount: number
  /** The first of them. */
  readonly bindings: readonly BindingView[]
  readonly subscriptions: readonly SubscriptionView[]
  readonly partitionList: readonly {
    readonly index: number
    readonly start: number
    readonly end: number
    readonly bytes: number
  }[]
}
