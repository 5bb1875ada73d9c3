import { AsyncLocalStorage } from 'node:async_hooks'
import type { Clock } from '../lib/clock.ts'
import type { Metadata } from '../rpc/metadata.ts'

/** A call that a handler works on: what it calls itself ends no later, and with it. */
export interface CallScope {
  readonly clock: Clock
  readonly deadlineMs: number
  readonly metadata: Metadata
  /** Called when the call is cancelled or its time is over. */
  onAbort(listener: (reason: string) => void): void
  offAbort(listener: (reason: string) => void): void
}

const storage: AsyncLocalStorage<CallScope> = new AsyncLocalStorage()

export function runInScope<T>(scope: CallScope, work: () => T): T {
  return storage.run(scope, work)
}

/** The call on whose behalf this runs; undefined: none. */
export function currentScope(): CallScope | undefined {
  return storage.getStore()
}
