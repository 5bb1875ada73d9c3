import type { Clock } from '../lib/clock.ts'
import type { Deadlines } from '../lib/deadlines.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Callee } from '../rpc/call.ts'
import type { ProviderInfo } from '../rpc/registry.ts'

/** What a provider says of itself; who it is, the channel knows. */
export type ProviderSpec = Omit<ProviderInfo, 'user'>

/** A provider that is attached, again after each loss of the connection, until it detaches. */
export interface Attached {
  /** Resolves when it is registered for the first time; rejects when it is refused. */
  readonly ready: Promise<void>
  setCapacity(capacity: number): void
  detach(): void
}

/** Where calls go and where providers attach: a broker, a provider that listens, or this process. */
export interface Channel extends Callee, AsyncDisposable {
  readonly clock: Clock
  readonly random: RandomSource
  readonly deadlines: Deadlines
  attach(spec: ProviderSpec, callee: Callee, capacity: number): Attached
  /** Ends all calls; whatever is opened afterwards ends with UNAVAILABLE. */
  close(): Promise<void>
}
