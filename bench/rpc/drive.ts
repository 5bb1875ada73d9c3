import { nowMs } from '../../src/load/clock.ts'

/** One in so many calls is timed for the percentiles. */
const SAMPLED = 8
const WARM_UP_PART = 0.3

export interface Measured {
  readonly callsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Keeps `inFlight` calls open for so long, after a warm-up. */
export async function driveCalls(
  call: () => Promise<unknown>,
  { inFlight, seconds }: { readonly inFlight: number; readonly seconds: number },
): Promise<Measured> {
  const forMs = seconds * 1000
  await drive(call, inFlight, forMs * WARM_UP_PART)
  const startMs = nowMs()
  const { count, samples } = await drive(call, inFlight, forMs)
  const tookMs = nowMs() - startMs
  samples.sort((one, other) => one - other)
  const at = (part: number): number => samples[Math.floor(samples.length * part)] ?? 0
  return { callsPerSecond: (count / tookMs) * 1000, p50Ms: at(0.5), p99Ms: at(0.99) }
}

async function drive(
  call: () => Promise<unknown>,
  inFlight: number,
  forMs: number,
): Promise<{ readonly count: number; readonly samples: number[] }> {
  const endMs = nowMs() + forMs
  const samples: number[] = []
  let count = 0
  const one = async (): Promise<void> => {
    for (;;) {
      const beganMs = nowMs()
      if (beganMs >= endMs) return
      await call()
      count += 1
      if (count % SAMPLED === 0) samples.push(nowMs() - beganMs)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  return { count, samples }
}

/** Reads streams one after the other; a call is a message of one. */
export async function driveStream(
  open: () => AsyncIterable<unknown>,
  seconds: number,
): Promise<Measured> {
  const read = async (forMs: number): Promise<number> => {
    const endMs = nowMs() + forMs
    let count = 0
    for await (const _message of open()) {
      count += 1
      if (count % 64 === 0 && nowMs() >= endMs) break
    }
    return count
  }
  await read(seconds * 1000 * WARM_UP_PART)
  const startMs = nowMs()
  const count = await read(seconds * 1000)
  return { callsPerSecond: (count / (nowMs() - startMs)) * 1000, p50Ms: 0, p99Ms: 0 }
}
