import type { Queue } from '../../broker/queue.ts'
import type { Topic } from '../../broker/topics/topic.ts'
import type { DestinationBeat } from '../../model/shapes/beats.ts'

export function destinationBeat(destination: Queue | Topic): DestinationBeat {
  const { delivered, settled, redelivered } = destination.totals
  return {
    ready: destination.readyCount,
    unsettled: destination.unsettledCount,
    held: destination.heldCount,
    consumers: destination.consumerCount,
    readyBytes: destination.readyBytes,
    enqueued: enqueuedCount(destination),
    delivered,
    settled,
    redelivered,
    heldBackBy: destination.heldBackBy,
  }
}

/** Whatever was stored there, of topics in batches too; for differences, since it counts from anywhere. */
export function enqueuedCount(destination: Queue | Topic): number {
  if (destination.profile === 'queue') return destination.totals.enqueued
  let count = 0
  for (const { highWatermark } of destination.partitions) count += highWatermark
  return count
}
