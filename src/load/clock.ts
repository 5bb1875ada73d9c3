/**
 * Milliseconds with fraction on the machine's monotonic clock, which every process shares, so a
 * time written by the publisher can be compared by the consumer. Allocates nothing.
 */
export function nowMs(): number {
  return performance.now() + offsetMs
}

const offsetMs = measureOffset()

/**
 * How far the process's own clock is behind the shared one.
 *
 * The two are read one after the other, and a process that is interrupted in between would be
 * wrong by milliseconds for its whole life; so the closest of many pairs counts.
 */
function measureOffset(): number {
  let offset = 0
  let smallestGapMs = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 200; attempt++) {
    const before = performance.now()
    const shared = Number(process.hrtime.bigint()) / 1e6
    const gapMs = performance.now() - before
    if (gapMs >= smallestGapMs) continue
    smallestGapMs = gapMs
    offset = shared - before - gapMs / 2
  }
  return offset
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
