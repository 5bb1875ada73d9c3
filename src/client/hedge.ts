import type { Clock, Timer } from '../lib/clock.ts'
import { RpcError } from '../rpc/status.ts'
import type { CallOptions } from './call-options.ts'
import type { HedgeOptions } from './client-policy.ts'

type Caller = (input: unknown, options?: CallOptions) => Promise<unknown>

/** Calls again when no answer has come for a while; the first good one counts, others are cancelled. */
export function hedged(
  call: Caller,
  { delayMs, callsMax = 2 }: HedgeOptions,
  clock: Clock,
): Caller {
  return async (input, options = {}) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const abort = new AbortController()
    const signal =
      options.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, options.signal])
    let begun = 0
    let failed = 0
    const timers: Timer[] = []
    const begin = (): void => {
      begun += 1
      call(input, { ...options, signal }).then(resolve, (error: unknown) => {
        failed += 1
        // The others may still do better.
        if (failed < begun) return
        reject(error instanceof Error ? error : new RpcError('UNKNOWN', String(error)))
      })
      if (begun < callsMax) timers.push(clock.setTimer(delayMs, begin))
    }
    begin()
    try {
      return await promise
    } finally {
      for (const timer of timers) timer.cancel()
      abort.abort('another call of the same was answered')
    }
  }
}
