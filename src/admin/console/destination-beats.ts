import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'

/** What moves at one destination; the totals count since the broker started. */
export interface DestinationBeat {
  readonly ready: number
  readonly unsettled: number
  readonly held: number
  readonly consumers: number
  readonly readyBytes: number
  readonly enqueued: number
  readonly delivered: number
  readonly settled: number
  readonly redelivered: number
  readonly heldBackBy: string | null
}

export function destinationBeat(destination: Queue | Topic): DestinationBeat {
  const { enqueued, delivered, settled, redelivered } = destination.totals
  return {
    ready: destination.readyCount,
    unsettled: destination.unsettledCount,
    held: destination.heldCount,
    consumers: destination.consumerCount,
    readyBytes: destination.readyBytes,
    enqueued,
    delivered,
    settled,
    redelivered,
    heldBackBy: destination.heldBackBy,
  }
}
