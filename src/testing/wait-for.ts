import { setTimeout as sleep } from 'node:timers/promises'

const TIMEOUT_MS = 5000
const LOOK_EVERY_MS = 2

export interface WaitOptions {
  /** Milliseconds of real time. Default 5000. */
  readonly timeoutMs?: number | undefined
  readonly expected: () => string
  readonly found: () => string
}

/** Resolves when `condition` holds; rejects in the end, saying what was there instead. */
export async function waitFor(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = TIMEOUT_MS, expected, found }: WaitOptions,
): Promise<void> {
  const endMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() >= endMs) {
      throw new Error(`waited ${timeoutMs} ms for ${expected()}, found ${found()}`)
    }
    await sleep(LOOK_EVERY_MS)
  }
}
