import type { DeathReason } from './annotations.ts'

/** What one destination counts. */
interface DestinationTotals {
  readonly enqueued: number
  readonly delivered: number
  readonly settled: number
  readonly redelivered: number
}

/**
 * What deleted exchanges and destinations of a virtual host had counted, so that its counters never
 * go back; and what nobody else counts. Since the broker started.
 */
export class VhostTotals {
  readonly destinations = { enqueued: 0, delivered: 0, settled: 0, redelivered: 0, refused: 0 }
  readonly exchanges = { published: 0, unrouted: 0 }
  /** Messages that were published to a dead-letter exchange. */
  readonly deaths: Record<DeathReason, number> = {
    rejected: 0,
    expired: 0,
    maxlen: 0,
    delivery_limit: 0,
  }

  destinationGone(totals: DestinationTotals, refused: number): void {
    const { destinations } = this
    destinations.enqueued += totals.enqueued
    destinations.delivered += totals.delivered
    destinations.settled += totals.settled
    destinations.redelivered += totals.redelivered
    destinations.refused += refused
  }

  exchangeGone({
    published,
    unrouted,
  }: {
    readonly published: number
    readonly unrouted: number
  }): void {
    this.exchanges.published += published
    this.exchanges.unrouted += unrouted
  }
}
