/** What the broker says of one destination; see its API. */
export interface Details {
  readonly vhost: string
  readonly name: string
  readonly profile: 'queue' | 'topic'
  readonly partitions: number | null
  readonly durable: boolean
  readonly autoDelete: boolean
  readonly exclusive: boolean
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  readonly consumers: number
  readonly readyBytes: number
  readonly deduplicated: number
  readonly refused: number
  readonly passedOver: number
  readonly heldBackBy: string | null
  readonly oldestMs: number | null
  readonly arguments: Readonly<Record<string, unknown>>
  readonly settings: Readonly<Record<string, unknown>>
  readonly why: {
    readonly reasons: readonly Reason[]
    readonly consumers: readonly ConsumerWhy[]
  }
  readonly bindings: readonly {
    readonly source: string
    readonly key: string
    readonly arguments: Readonly<Record<string, unknown>>
  }[]
  readonly subscriptions: readonly SubscriptionRow[]
  readonly partitionList: readonly {
    readonly index: number
    readonly start: number
    readonly end: number
    readonly bytes: number
  }[]
}

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

export interface SubscriptionRow {
  readonly name: string
  readonly kind: 'offsets' | 'shared'
  readonly members: number
  readonly lag: number
}
