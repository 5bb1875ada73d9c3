/** What the composition root knows of the whole. */
export interface StatusView {
  readonly version: string
  readonly pid: number
  readonly startedAtMs: number
  readonly data: string
  readonly memoryBytes: number
  readonly memoryLimitBytes: number
  readonly diskFreeBytes: number
  /** Below it publishers are held back. */
  readonly diskFreeLimitBytes: number
  readonly store: {
    readonly engine: string
    readonly durability: string
    readonly state: string
  }
  readonly listeners: readonly {
    readonly name: string
    readonly address: string
    readonly tls: boolean
    readonly connections: number
  }[]
}

/** What `GET /v1/status` answers. */
export interface BrokerStatus extends StatusView {
  /** Why publishers must wait; null: they need not. */
  readonly alarm: string | null
  readonly vhosts: number
  readonly destinations: number
  readonly ready: number
  readonly unsettled: number
  readonly consumers: number
  readonly connections: number
}

/** One thing that the broker said. */
export interface LogLine {
  /** Grows by one from line to line. */
  readonly number: number
  readonly atMs: number
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
  /** As JSON, without secrets; cut where it is long. */
  readonly fields: string
}
