/** How messages flow in one virtual host, as it is drawn. */

export interface PictureExchange {
  readonly name: string
  readonly type: string
  /** Since the broker started. */
  readonly published: number
  readonly unrouted: number
}

export interface PictureBinding {
  readonly source: string
  readonly target: string
  readonly targetKind: 'destination' | 'exchange'
  /** The first of them; `count` says how many there are. */
  readonly keys: readonly string[]
  readonly count: number
}

export interface PictureDestination {
  readonly name: string
  readonly profile: 'queue' | 'topic'
  readonly ready: number
  /** Only differences mean something. */
  readonly enqueued: number
}

export interface PictureConsumer {
  readonly destination: string
  /** A client or a group of them. */
  readonly name: string
  readonly protocol: string | null
  readonly count: number
}

export interface Picture {
  readonly exchanges: readonly PictureExchange[]
  readonly bindings: readonly PictureBinding[]
  readonly destinations: readonly PictureDestination[]
  readonly consumers: readonly PictureConsumer[]
  /** There is more than can be drawn. */
  readonly isCut: boolean
}
