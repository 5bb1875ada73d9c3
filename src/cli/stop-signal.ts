import { systemClock } from '../lib/clock.ts'

/** A second signal is one that somebody sent because the first took too long. */
const SECOND_SIGNAL_MS_MIN = 500
const STOP_SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Resolves at the first signal; a second one ends the process there and then. Ctrl+C below npm
 * arrives twice, from the terminal and from npm, so what comes close behind the first is the first.
 */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let stoppingSinceMs: number | null = null
    for (const signal of STOP_SIGNALS) {
      process.on(signal, (_: NodeJS.Signals, number: number) => {
        const nowMs = systemClock.monotonicMs()
        if (stoppingSinceMs === null) {
          stoppingSinceMs = nowMs
          resolve(signal)
        } else if (nowMs - stoppingSinceMs >= SECOND_SIGNAL_MS_MIN) process.exit(128 + number)
      })
    }
  })
}
