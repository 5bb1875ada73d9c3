/** What the broker says of one connection; see its API. */
export interface ConnectionRow {
  readonly id: number
  readonly name: string
  readonly protocol: string
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
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
}
