import type { Deadlined } from '../lib/deadlines.ts'
import {
  CLOSED_REQUEST,
  type CallHead,
  deadlineAfter,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { Metadata } from '../rpc/metadata.ts'
import { KEY_METADATA } from '../rpc/relay.ts'
import { RpcError, type Status, type StatusName } from '../rpc/status.ts'
import { type CallScope, currentScope } from './call-scope.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'

const DEADLINE_TEXT = 'the deadline has passed'

/** A call from this side, whatever its kind: its time, its cancellation and its end. */
export abstract class OutboundCall implements ReplySink, Deadlined {
  readonly deadlineMs: number
  deadlineNext: Deadlined | null = null
  deadlinePrevious: Deadlined | null = null
  deadlineSlot = -1
  protected readonly channel: Channel
  protected readonly bound: BoundMethod
  protected request: RequestSink = CLOSED_REQUEST
  protected isOver = false
  readonly #options: CallOptions
  readonly #scope: CallScope | undefined
  readonly #onAbort: ((reason: string) => void) | null
  readonly #onSignal: (() => void) | null
  readonly #head: CallHead

  constructor(channel: Channel, bound: BoundMethod, options: CallOptions) {
    this.channel = channel
    this.bound = bound
    this.#options = options
    const { clock } = channel
    const nowMs = clock.monotonicMs()
    let deadlineMs = deadlineAfter(nowMs, options.deadlineMs ?? bound.method.deadlineMs)
    const scope = currentScope()
    this.#scope = scope
    if (scope !== undefined) {
      const leftMs = scope.deadlineMs - scope.clock.monotonicMs()
      deadlineMs = Math.min(deadlineMs, nowMs + leftMs)
    }
    this.deadlineMs = deadlineMs
    this.#head = {
      path: bound.path,
      metadata: metadataOf(options, scope),
      deadlineMs,
      contentType: bound.request.contentType,
      isOneWay: bound.method.kind === 'oneway',
    }
    this.#onAbort = scope === undefined ? null : (reason) => this.cancel(reason)
    this.#onSignal =
      options.signal === undefined ? null : () => this.cancel(reasonOf(options.signal!))
  }

  /** False: the call was over before it began. */
  protected begin(): boolean {
    const { signal } = this.#options
    if (signal?.aborted === true) {
      this.#finish(new RpcError('CANCELLED', reasonOf(signal)))
      return false
    }
    if (this.deadlineMs <= this.channel.clock.monotonicMs()) {
      this.#finish(new RpcError('DEADLINE_EXCEEDED', DEADLINE_TEXT))
      return false
    }
    this.channel.deadlines.add(this)
    if (this.#onSignal !== null) signal?.addEventListener('abort', this.#onSignal)
    if (this.#onAbort !== null) this.#scope?.onAbort(this.#onAbort)
    this.open()
    return true
  }

  /** May be done again where the call is made again. */
  protected open(): void {
    const request = this.channel.open(this.#head, this)
    if (!this.isOver) this.request = request
  }

  cancel(reason: string): void {
    this.#abort(new RpcError('CANCELLED', reason))
  }

  deadlinePassed(): void {
    this.#abort(new RpcError('DEADLINE_EXCEEDED', DEADLINE_TEXT))
  }

  head(metadata: Metadata): void {
    this.#options.onHead?.(metadata)
  }

  status(status: Status, trailers: Metadata): void {
    if (this.isOver) return
    const { message, details } = status
    const code = this.#codeOf(status)
    if (code === 'OK') {
      this.#options.onTrailers?.(trailers)
      this.#finish(null)
      return
    }
    const error = new RpcError(code, message, { details })
    if (this.isMadeAgain(error)) return
    this.#options.onTrailers?.(trailers)
    this.#finish(error)
  }

  /** A server that keeps the same time may be the first to end the call. */
  #codeOf({ code }: Status): StatusName {
    const isLate = code === 'CANCELLED' && this.channel.clock.monotonicMs() >= this.deadlineMs
    return isLate ? 'DEADLINE_EXCEEDED' : code
  }

  abstract reply(bytes: Uint8Array): void
  abstract creditRequests(cost: number): void
  /** The end, once; null: all is well. */
  protected abstract ended(error: RpcError | null): void

  /** Whether another attempt is under way. */
  protected isMadeAgain(_error: RpcError): boolean {
    return false
  }

  /** Ends the call on this side and tells the other one. */
  #abort(error: RpcError): void {
    if (this.isOver) return
    const { request } = this
    this.#finish(error)
    request.cancel(error.message)
  }

  #finish(error: RpcError | null): void {
    this.isOver = true
    this.request = CLOSED_REQUEST
    this.channel.deadlines.remove(this)
    if (this.#onSignal !== null) this.#options.signal?.removeEventListener('abort', this.#onSignal)
    if (this.#onAbort !== null) this.#scope?.offAbort(this.#onAbort)
    this.ended(error)
  }
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason)
}

/** Traces go on through a handler, whatever else is said. */
function metadataOf({ metadata, key }: CallOptions, scope: CallScope | undefined): Metadata {
  if (metadata === undefined && key === undefined && scope === undefined) return Metadata.EMPTY
  const entries = metadata === undefined ? [] : [...entriesOf(metadata)]
  if (key !== undefined) entries.push([KEY_METADATA, key])
  for (const name of TRACE_NAMES) {
    const value = scope?.metadata.get(name) ?? null
    if (value !== null && !entries.some(([given]) => given === name)) entries.push([name, value])
  }
  return Metadata.from(entries)
}

const TRACE_NAMES = ['traceparent', 'tracestate'] as const

export function entriesOf(
  metadata: NonNullable<CallOptions['metadata']>,
): Iterable<readonly [string, string | Uint8Array]> {
  return Symbol.iterator in metadata ? metadata : Object.entries(metadata)
}
