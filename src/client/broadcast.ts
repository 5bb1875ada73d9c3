import type { BoundMethod } from '../rpc/contracts/contract.ts'
import type { Metadata, MetadataValue } from '../rpc/metadata.ts'
import { PROVIDER_METADATA, PROVIDERS_METADATA } from '../rpc/provider-choice.ts'
import { RpcError } from '../rpc/status.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'
import { ClientPolicy } from './client-policy.ts'
import { entriesOf } from './outbound-call.ts'
import { UnaryCall } from './unary-call.ts'

export interface BroadcastOptions extends Omit<CallOptions, 'key' | 'onHead' | 'onTrailers'> {
  /**
   * Resolves as soon as so many providers have answered well, and cancels the rest; rejects when so
   * many cannot any more. Default: waits for all, however they end.
   */
  readonly quorum?: number
}

/** How one provider answered. */
export type Gathered<Out> =
  | { readonly provider: string; readonly status: 'fulfilled'; readonly value: Out }
  | { readonly provider: string; readonly status: 'rejected'; readonly reason: RpcError }

interface Target {
  readonly id: string
  readonly name: string
}

/** Makes one call at every provider of its service. */
export class BroadcastMethod {
  readonly #channel: Channel
  readonly #bound: BoundMethod
  readonly #asking: BoundMethod
  /** Without a breaker: one bad provider says nothing of the others. */
  readonly #policy: ClientPolicy

  constructor(channel: Channel, bound: BoundMethod) {
    this.#channel = channel
    this.#bound = bound
    const { contentType } = bound.request
    const nothing = Buffer.from(contentType === 'json' ? '{}' : '')
    const codec = { contentType, takes: () => true, encode: () => nothing, decode: () => undefined }
    const method = { ...bound.method, kind: 'unary' as const }
    this.#asking = { ...bound, method, request: codec, reply: codec }
    this.#policy = new ClientPolicy({ breaker: false }, channel.clock, channel.random)
  }

  /** Rejects with UNAVAILABLE when there is no provider. */
  async call(input: unknown, options: BroadcastOptions): Promise<Gathered<unknown>[]> {
    const { clock } = this.#channel
    const beganMs = clock.monotonicMs()
    const targets = await this.#targets(options)
    const { quorum = Infinity } = options
    const needed = Number.isFinite(quorum) ? quorum : 0
    const spentMs = clock.monotonicMs() - beganMs
    const deadlineMs = options.deadlineMs === undefined ? undefined : options.deadlineMs - spentMs
    const { promise, resolve, reject } = Promise.withResolvers<Gathered<unknown>[]>()
    const abort = new AbortController()
    const gathered: Gathered<unknown>[] = []
    let wellCount = 0
    const ended = (one: Gathered<unknown>): void => {
      gathered.push(one)
      if (one.status === 'fulfilled') wellCount += 1
      const openCount = targets.length - gathered.length
      if (wellCount >= quorum || (openCount === 0 && wellCount >= needed)) resolve(gathered)
      else if (wellCount + openCount < needed) reject(shortOf(needed, gathered))
    }
    if (targets.length < needed) throw shortOf(needed, [])
    for (const target of targets) {
      const made = this.#one(target, input, { ...options, deadlineMs, abort: abort.signal })
      made.then(
        (value) => ended({ provider: target.name, status: 'fulfilled', value }),
        (error: unknown) => {
          const reason = error instanceof RpcError ? error : new RpcError('UNKNOWN', String(error))
          ended({ provider: target.name, status: 'rejected', reason })
        },
      )
    }
    try {
      return [...(await promise)]
    } finally {
      abort.abort('enough others have answered')
    }
  }

  async #one(
    target: Target,
    input: unknown,
    options: Omit<BroadcastOptions, 'deadlineMs'> & {
      readonly deadlineMs: number | undefined
      readonly abort: AbortSignal
    },
  ): Promise<unknown> {
    const { signal, abort, deadlineMs, metadata } = options
    const entries: (readonly [string, MetadataValue])[] =
      metadata === undefined ? [] : [...entriesOf(metadata)]
    entries.push([PROVIDER_METADATA, target.id])
    return new UnaryCall(this.#channel, this.#bound, {
      input,
      options: {
        metadata: entries,
        signal: signal === undefined ? abort : AbortSignal.any([signal, abort]),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      },
      policy: this.#policy,
    }).result
  }

  async #targets({ deadlineMs, signal }: BroadcastOptions): Promise<Target[]> {
    let found = ''
    await new UnaryCall(this.#channel, this.#asking, {
      input: undefined,
      options: {
        metadata: [[PROVIDERS_METADATA, '']],
        onHead: (head: Metadata) => (found = head.get(PROVIDERS_METADATA) ?? ''),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
        ...(signal === undefined ? {} : { signal }),
      },
      policy: this.#policy,
    }).result
    return found.split(',').map((one) => {
      const [id = '', name = ''] = one.split(';')
      return { id, name: decodeURIComponent(name) }
    })
  }
}

function shortOf(quorum: number, gathered: readonly Gathered<unknown>[]): RpcError {
  const last = gathered.findLast((one) => one.status === 'rejected')
  const cause = last?.reason
  const why = cause === undefined ? 'there are fewer providers' : `${cause.code}: ${cause.message}`
  return new RpcError('ABORTED', `${quorum} providers cannot answer well: ${why}`, { cause })
}
