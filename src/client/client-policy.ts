import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { isUndelivered } from '../rpc/hop.ts'
import { RpcError, type StatusName } from '../rpc/status.ts'

/** What a client does by itself when calls fail. All of it has defaults; `false` turns a part off. */
export interface PolicyOptions {
  readonly retry?: RetryOptions | false
  readonly breaker?: BreakerOptions | false
  /** Calls at once; one more is refused with RESOURCE_EXHAUSTED. Default: no limit of its own. */
  readonly concurrencyMax?: number
  /** Makes calls of idempotent methods again before the first has failed. Default: never. */
  readonly hedge?: HedgeOptions
  /** Answers in the place of a call that has failed; it may throw, too. */
  readonly fallback?: (failed: FailedCall) => unknown
}

export interface RetryOptions {
  /** With the first. Default 4. */
  readonly attemptsMax?: number
  /** Before the second attempt; twice as long before each further one. Default 25 ms. */
  readonly firstWaitMs?: number
  /** Default 1 s. */
  readonly waitMsMax?: number
  /** Retries for each call that was made, so that an outage is not doubled. Default 0.1. */
  readonly budget?: number
}

export interface BreakerOptions {
  /** Of the calls of the last window, so many must have been made. Default 20. */
  readonly callsMin?: number
  /** And such a part must have failed. Default 0.5. */
  readonly failedPart?: number
  /** Default 10 s. */
  readonly windowMs?: number
  /** How long calls are refused at once before one is let through to try. Default 1 s. */
  readonly openMs?: number
}

export interface HedgeOptions {
  /** A further call begins so long after the one before. */
  readonly delayMs: number
  /** With the first. Default 2. */
  readonly callsMax?: number
}

export interface FailedCall {
  readonly path: string
  readonly input: unknown
  readonly error: RpcError
}

/** Made at most so often in a row at once: what the budget saves up. */
const BUDGET_MAX = 10

/** Another try may end better, if it does no harm. */
const RETRIED: ReadonlySet<StatusName> = new Set<StatusName>(['UNAVAILABLE', 'RESOURCE_EXHAUSTED'])

/** What speaks against a provider, and not against the call. */
const FAILURES: ReadonlySet<StatusName> = new Set<StatusName>([
  'UNAVAILABLE',
  'INTERNAL',
  'UNKNOWN',
  'DATA_LOSS',
  'DEADLINE_EXCEEDED',
])

interface Circuit {
  startMs: number
  callCount: number
  failedCount: number
  openUntilMs: number
  isTrying: boolean
}

/** Retries, circuit breaker and limit of one client. */
export class ClientPolicy {
  readonly #clock: Clock
  readonly #random: RandomSource
  readonly #retry: Required<RetryOptions> | null
  readonly #breaker: Required<BreakerOptions> | null
  readonly #concurrencyMax: number
  #budget = BUDGET_MAX
  #openCount = 0
  /** One for each method of the contract. */
  readonly #circuits = new Map<string, Circuit>()

  constructor(options: PolicyOptions, clock: Clock, random: RandomSource) {
    this.#clock = clock
    this.#random = random
    const { retry = {}, breaker = {}, concurrencyMax = Infinity } = options
    const retryDefaults = { attemptsMax: 4, firstWaitMs: 25, waitMsMax: 1000, budget: 0.1 }
    this.#retry = retry === false ? null : { ...retryDefaults, ...retry }
    const breakerDefaults = { callsMin: 20, failedPart: 0.5, windowMs: 10_000, openMs: 1000 }
    this.#breaker = breaker === false ? null : { ...breakerDefaults, ...breaker }
    this.#concurrencyMax = concurrencyMax
  }

  /** Why a call may not begin; null: it has begun, and `ended` follows. */
  admit(path: string): RpcError | null {
    if (this.#openCount >= this.#concurrencyMax) {
      const text = `${this.#openCount} calls of this client are open, which is its limit`
      return new RpcError('RESOURCE_EXHAUSTED', text)
    }
    const circuit = this.#breaker === null ? null : this.#circuit(path)
    if (circuit !== null && circuit.openUntilMs > 0) {
      if (circuit.isTrying || this.#clock.monotonicMs() < circuit.openUntilMs) {
        return new RpcError('UNAVAILABLE', `calls of ${path} failed too often: the circuit is open`)
      }
      circuit.isTrying = true
    }
    this.#openCount += 1
    if (this.#retry !== null) this.#budget = Math.min(this.#budget + this.#retry.budget, BUDGET_MAX)
    return null
  }

  /** How long to wait before the next attempt; null: there is none. */
  retryAfterMs({ method }: BoundMethod, error: RpcError, attempt: number): number | null {
    const retry = this.#retry
    if (retry === null || attempt >= retry.attemptsMax || !RETRIED.has(error.code)) return null
    // What nobody has seen does no harm a second time; nor does what its contract calls so.
    if (!isUndelivered(error) && method.idempotency === 'none') return null
    if (this.#budget < 1) return null
    this.#budget -= 1
    const waitMs = Math.min(retry.firstWaitMs * 2 ** (attempt - 1), retry.waitMsMax)
    // Half of it by lot, so that callers who failed together do not come back together.
    return waitMs / 2 + this.#random.integer(Math.ceil(waitMs / 2) + 1)
  }

  ended(path: string, error: RpcError | null): void {
    this.#openCount -= 1
    if (this.#breaker === null) return
    const circuit = this.#circuit(path)
    const hasFailed = error !== null && FAILURES.has(error.code)
    const nowMs = this.#clock.monotonicMs()
    if (circuit.isTrying) {
      circuit.isTrying = false
      circuit.openUntilMs = hasFailed ? nowMs + this.#breaker.openMs : 0
      if (!hasFailed) begin(circuit, nowMs)
      return
    }
    if (nowMs - circuit.startMs > this.#breaker.windowMs) begin(circuit, nowMs)
    circuit.callCount += 1
    if (!hasFailed) return
    circuit.failedCount += 1
    const { callsMin, failedPart, openMs } = this.#breaker
    if (circuit.callCount < callsMin || circuit.openUntilMs > 0) return
    if (circuit.failedCount < circuit.callCount * failedPart) return
    circuit.openUntilMs = nowMs + openMs
    begin(circuit, nowMs)
  }

  #circuit(path: string): Circuit {
    let circuit = this.#circuits.get(path)
    if (circuit === undefined) {
      const startMs = this.#clock.monotonicMs()
      circuit = { startMs, callCount: 0, failedCount: 0, openUntilMs: 0, isTrying: false }
      this.#circuits.set(path, circuit)
    }
    return circuit
  }
}

function begin(circuit: Circuit, nowMs: number): void {
  circuit.startMs = nowMs
  circuit.callCount = 0
  circuit.failedCount = 0
}
