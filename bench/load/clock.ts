/**
 * Milliseconds with fraction on the machine's monotonic clock, which every process shares, so a
 * time written by the publisher can be compared by the consumer. Allocates nothing.
 */
export function nowMs(): number {
  return performance.now() + offsetMs
}

const offsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now()

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
