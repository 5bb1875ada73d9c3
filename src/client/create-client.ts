import {
  bind,
  type AnyMethod,
  type BoundMethod,
  type Contract,
  type Methods,
} from '../rpc/contracts/contract.ts'
import type { ReceivedOf, SentOf } from '../rpc/contracts/schema.ts'
import { RpcError } from '../rpc/status.ts'
import { BroadcastMethod, type BroadcastOptions, type Gathered } from './broadcast.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'
import { ClientPolicy, type PolicyOptions } from './client-policy.ts'
import { type DurableCall, DurableMethod, type DurableOptions } from './durable-call.ts'
import { hedged } from './hedge.ts'
import { StreamCall } from './stream-call.ts'
import { UnaryCall } from './unary-call.ts'

/** A call that was begun: its answer comes when it comes. */
export interface CallHandle<Out> {
  readonly result: Promise<Out>
  cancel(reason?: string): void
}

export interface UnaryMethod<In, Out> {
  (input: In, options?: CallOptions): Promise<Out>
  /** The same without waiting: the handle can be kept, and the call cancelled by it. */
  start(input: In, options?: CallOptions): CallHandle<Out>
  /**
   * Has the call stored by the broker, and resolves when it is on disk: it is made, again where it
   * fails, whatever becomes of this process, the broker and its providers.
   */
  durable(input: In, options?: DurableOptions): Promise<DurableCall<Out>>
  /** One that was stored before, by whichever process. */
  durableCall(id: string): DurableCall<Out>
  /** Makes the call at every provider of the service, and tells how each has answered. */
  broadcast(input: In, options?: BroadcastOptions): Promise<Gathered<Out>[]>
}

/** A method without an answer. */
export interface OneWayMethod<In> {
  (input: In, options?: CallOptions): Promise<void>
  /** As that of a method with an answer; the result is that it was done. */
  durable(input: In, options?: DurableOptions): Promise<DurableCall<void>>
  durableCall(id: string): DurableCall<void>
}

type Messages<T> = AsyncIterable<T> | Iterable<T>

type ClientMethod<M extends AnyMethod> = M['kind'] extends 'unary'
  ? UnaryMethod<SentOf<M['in']>, ReceivedOf<M['out']>>
  : M['kind'] extends 'oneway'
    ? OneWayMethod<SentOf<M['in']>>
    : M['kind'] extends 'serverStream'
      ? (input: SentOf<M['in']>, options?: CallOptions) => AsyncIterable<ReceivedOf<M['out']>>
      : M['kind'] extends 'clientStream'
        ? (input: Messages<SentOf<M['in']>>, options?: CallOptions) => Promise<ReceivedOf<M['out']>>
        : (
            input: Messages<SentOf<M['in']>>,
            options?: CallOptions,
          ) => AsyncIterable<ReceivedOf<M['out']>>

/** The methods of a contract as functions. */
export type Client<M extends Methods> = { readonly [Name in keyof M]: ClientMethod<M[Name]> }

/** One call as interceptors see it: they may change input and options, and what comes back. */
export interface ClientCall {
  readonly path: string
  readonly kind: AnyMethod['kind']
  /** A message, or an iterable of them. */
  readonly input: unknown
  readonly options: CallOptions
}

/** `next` resolves with the answer, or, where answers are a stream, with an async iterable. */
export type ClientInterceptor = (
  call: ClientCall,
  next: (call: ClientCall) => Promise<unknown>,
) => Promise<unknown>

export interface ClientOptions {
  readonly policy?: PolicyOptions
  /** The first is the outermost. */
  readonly interceptors?: readonly ClientInterceptor[]
}

/** A typed client: `const orders = createClient(Orders, channel)`. */
export function createClient<M extends Methods>(
  contract: Contract<M>,
  channel: Channel,
  options: ClientOptions = {},
): Client<M> {
  const policy = new ClientPolicy(options.policy ?? {}, channel.clock, channel.random)
  const parts = { channel, policy, options }
  const methods = bind(contract).map((bound) => [bound.name, functionOf(bound, parts)])
  // Each function was made by the kind of its method, which is what the type goes by.
  return Object.fromEntries(methods) as Client<M>
}

interface ClientParts {
  readonly channel: Channel
  readonly policy: ClientPolicy
  readonly options: ClientOptions
}

function functionOf(bound: BoundMethod, parts: ClientParts): unknown {
  const { interceptors = [] } = parts.options
  const { kind } = bound.method
  const { path } = bound
  const repliesStream = kind === 'serverStream' || kind === 'bidi'
  const direct = callerOf(bound, parts)
  if (interceptors.length === 0) {
    if (repliesStream)
      return (input: unknown, options: CallOptions = {}) => stream(bound, parts, { input, options })
    return direct
  }
  const innermost = async (call: ClientCall): Promise<unknown> => {
    return repliesStream ? stream(bound, parts, call) : direct(call.input, call.options)
  }
  let next = innermost
  for (const interceptor of interceptors.toReversed()) {
    const inner = next
    next = async (call) => interceptor(call, inner)
  }
  const run = next
  if (repliesStream) {
    return (input: unknown, options: CallOptions = {}) =>
      later(async () => run({ path, kind, input, options }) as Promise<AsyncIterable<unknown>>)
  }
  const intercepted = async (input: unknown, options: CallOptions = {}): Promise<unknown> =>
    run({ path, kind, input, options })
  return Object.assign(intercepted, { start: starter(intercepted), ...storer(bound, parts) })
}

type Caller = (input: unknown, options?: CallOptions) => Promise<unknown>

/** Of a method that is answered once. */
function callerOf(bound: BoundMethod, parts: ClientParts): Caller {
  const { channel, policy } = parts
  const { hedge, fallback } = parts.options.policy ?? {}
  let call: Caller
  if (bound.method.kind === 'clientStream') {
    call = async (input, options = {}) =>
      new StreamCall(channel, bound, { input, options }).single()
  } else {
    // Not async: it would be a second promise for each call.
    call = (input, options = {}) => {
      try {
        return new UnaryCall(channel, bound, { input, options, policy }).result
      } catch (error) {
        return Promise.reject(error instanceof Error ? error : new TypeError(String(error)))
      }
    }
  }
  if (hedge !== undefined && bound.method.idempotency !== 'none') {
    call = hedged(call, hedge, channel.clock)
  }
  if (fallback !== undefined) {
    const inner = call
    call = async (input, options) => {
      try {
        return await inner(input, options)
      } catch (error) {
        if (!(error instanceof RpcError)) throw error
        return fallback({ path: bound.path, input, error })
      }
    }
  }
  return Object.assign(call, { start: starter(call), ...storer(bound, parts) })
}

/** Only where there is one message and at most one answer. */
function storer(bound: BoundMethod, { channel }: ClientParts): object {
  const { kind, deadlineMs } = bound.method
  if (kind !== 'unary' && kind !== 'oneway') return {}
  const method = new DurableMethod(channel, bound)
  return {
    durable: async (input: unknown, options: DurableOptions = {}) =>
      method.store(input, options, deadlineMs),
    durableCall: (id: string) => method.call(id),
    ...(kind === 'oneway' ? {} : { broadcast: broadcaster(bound, channel) }),
  }
}

function broadcaster(bound: BoundMethod, channel: Channel) {
  const method = new BroadcastMethod(channel, bound)
  return async (input: unknown, options: BroadcastOptions = {}) => method.call(input, options)
}

function starter(call: Caller) {
  return (input: unknown, options: CallOptions = {}): CallHandle<unknown> => {
    const abort = new AbortController()
    const signal =
      options.signal === undefined ? abort.signal : AbortSignal.any([abort.signal, options.signal])
    const result = call(input, { ...options, signal })
    // Whoever cancels need not ask how it ended.
    result.catch(() => {})
    return { result, cancel: (reason = 'the caller has cancelled') => abort.abort(reason) }
  }
}

function stream(
  bound: BoundMethod,
  { channel }: ClientParts,
  call: { readonly input: unknown; readonly options: CallOptions },
): AsyncIterable<unknown> {
  return new StreamCall(channel, bound, call).replies
}

async function* later(begin: () => Promise<AsyncIterable<unknown>>): AsyncIterable<unknown> {
  yield* await begin()
}
