/** One connection, whatever protocol it speaks. */
export interface ConnectionView {
  readonly id: number
  readonly name: string
  readonly protocol: string
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
  /** Which limit keeps it from being read; null: none does. */
  readonly heldBackBy: string | null
  readonly peerAddress: string
  readonly peerPort: number
  readonly tls: boolean
  readonly channels: number
  readonly consumers: number
  readonly connectedAtMs: number
  readonly clientName: string | null
  readonly clientProduct: string | null
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Absent where the protocol has no such thing, or does not count it. */
  readonly mechanism?: string | null
  readonly channelMax?: number
  readonly frameSizeMax?: number
  readonly heartbeatSeconds?: number
  readonly clientVersion?: string | null
  readonly publishedCount?: number
  readonly deliveredCount?: number
}
