/** What passed through connections, by protocol and virtual host. */
export interface Traffic {
  readonly protocol: string
  /** Null: nobody logged in. */
  readonly vhost: string | null
  readonly publishedCount?: number
  readonly deliveredCount?: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

export interface TrafficTotal {
  readonly protocol: string
  readonly vhost: string
  connections: number
  published: number
  delivered: number
  receivedBytes: number
  sentBytes: number
}

/** Pairs of protocol and virtual host; what is beyond goes to the virtual host without a name. */
const TOTALS_MAX = 1000

/**
 * What closed connections had counted for themselves, so that counters never go back. Nothing is
 * counted here for a message.
 */
export class TrafficLedger {
  readonly #totals: Map<string, TrafficTotal> = new Map()

  /** A connection is gone. */
  add(traffic: Traffic): void {
    const { protocol, vhost, publishedCount = 0, deliveredCount = 0 } = traffic
    const total = this.#total(protocol, vhost ?? '')
    total.connections++
    total.published += publishedCount
    total.delivered += deliveredCount
    total.receivedBytes += traffic.receivedBytes
    total.sentBytes += traffic.sentBytes
  }

  totals(): Iterable<Readonly<TrafficTotal>> {
    return this.#totals.values()
  }

  #total(protocol: string, vhost: string): TrafficTotal {
    const key = `${protocol}\0${vhost}`
    const known = this.#totals.get(key)
    if (known !== undefined) return known
    if (vhost !== '' && this.#totals.size >= TOTALS_MAX) return this.#total(protocol, '')
    const counts = { connections: 0, published: 0, delivered: 0, receivedBytes: 0, sentBytes: 0 }
    const total = { protocol, vhost, ...counts }
    this.#totals.set(key, total)
    return total
  }
}
