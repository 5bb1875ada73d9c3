import {
  type CallHead,
  type Callee,
  CLOSED_REQUEST,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import type { BalancePolicy } from '../rpc/balancer.ts'
import {
  bind,
  type AnyMethod,
  type BoundMethod,
  type Contract,
  type Methods,
} from '../rpc/contracts/contract.ts'
import { descriptorsOf } from '../rpc/contracts/contract-descriptors.ts'
import { contractText } from '../rpc/contracts/description.ts'
import { safeLabel } from '../rpc/contracts/safe-label.ts'
import type { ReceivedOf, SentOf } from '../rpc/contracts/schema.ts'
import { hopDetail } from '../rpc/hop.ts'
import { Metadata } from '../rpc/metadata.ts'
import { statusOf } from '../rpc/status.ts'
import type { Attached, Channel } from './channel.ts'
import {
  type AnyHandler,
  HandlerCall,
  type HandlerContext,
  type HandlerParts,
} from './handler-call.ts'
import { CLOSE_GRACE_MS, CONCURRENCY_DEFAULT } from './limits.ts'

/** The context of a handler, with the errors that its method declares. */
export interface ContextOf<M extends AnyMethod> extends HandlerContext {
  error<Name extends keyof M['errors'] & string>(
    name: Name,
    data: SentOf<M['errors'][Name]>,
    options?: Parameters<HandlerContext['error']>[2],
  ): ReturnType<HandlerContext['error']>
}

type Result<T> = T | Promise<T>

type Handler<M extends AnyMethod> = M['kind'] extends 'unary'
  ? (input: ReceivedOf<M['in']>, context: ContextOf<M>) => Result<SentOf<M['out']>>
  : M['kind'] extends 'oneway'
    ? (input: ReceivedOf<M['in']>, context: ContextOf<M>) => unknown
    : M['kind'] extends 'serverStream'
      ? (
          input: ReceivedOf<M['in']>,
          context: ContextOf<M>,
        ) => Result<AsyncIterable<SentOf<M['out']>> | Iterable<SentOf<M['out']>>>
      : M['kind'] extends 'clientStream'
        ? (
            input: AsyncIterable<ReceivedOf<M['in']>>,
            context: ContextOf<M>,
          ) => Result<SentOf<M['out']>>
        : (
            input: AsyncIterable<ReceivedOf<M['in']>>,
            context: ContextOf<M>,
          ) => Result<AsyncIterable<SentOf<M['out']>> | Iterable<SentOf<M['out']>>>

/** A function for each method of a contract. */
export type Handlers<M extends Methods> = { readonly [Name in keyof M]: Handler<M[Name]> }

/** `next` resolves with what the handler gives: a message, or an iterable of them. */
export type ServerInterceptor = (
  call: { readonly input: unknown; readonly context: HandlerContext },
  next: (input: unknown) => Promise<unknown>,
) => Promise<unknown>

export interface ServeOptions {
  /** Calls at once; the broker gives it no more. Default 128. */
  readonly concurrency?: number
  /** Names this instance. Default: drawn by lot. */
  readonly instanceId?: string
  readonly version?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly weight?: number
  readonly policy?: BalancePolicy
  /** The first is the outermost. */
  readonly interceptors?: readonly ServerInterceptor[]
  /** Told of what a handler throws that is no `RpcError`. Default: nobody. */
  readonly onError?: (error: unknown, path: string) => void
}

/** A service that is provided until it is closed. */
export interface Provider extends AsyncDisposable {
  readonly instanceId: string
  /** Resolves when calls may come; rejects when the provider is refused. */
  readonly ready: Promise<void>
  /** Calls that run. */
  readonly openCount: number
  /** How many calls may run at once from now on; 0 lets the provider rest. */
  setConcurrency(concurrency: number): void
  /** Takes no more calls and waits, at most for `graceMs` (10 s), until those it has are done. */
  close(graceMs?: number): Promise<void>
}

/** Provides a contract on a channel: `serve(channel, Orders, { async place(order, context) { ... } })`. */
export function serve<M extends Methods>(
  channel: Channel,
  contract: Contract<M>,
  handlers: Handlers<M>,
  options: ServeOptions = {},
): Provider {
  // Each handler fits its method, which is what the type says; here they are called by name.
  const byName = handlers as unknown as Readonly<Record<string, AnyHandler>>
  return new ServedContract(channel, contract, { byName, options })
}

class ServedContract implements Provider, Callee {
  readonly instanceId: string
  readonly #attached: Attached
  readonly #channel: Channel
  readonly #methods = new Map<
    string,
    { readonly bound: BoundMethod; readonly handler: AnyHandler }
  >()
  readonly #parts: HandlerParts
  #openCount = 0
  #isClosing = false
  #idle: (() => void) | null = null

  constructor(
    channel: Channel,
    contract: Contract,
    {
      byName,
      options,
    }: {
      readonly byName: Readonly<Record<string, AnyHandler>>
      readonly options: ServeOptions
    },
  ) {
    const { interceptors = [], onError = () => {} } = options
    for (const bound of bind(contract)) {
      const handler = byName[bound.name]
      if (typeof handler !== 'function') throw new TypeError(`no handler for ${bound.path}`)
      this.#methods.set(bound.path, {
        bound,
        handler: intercepted(handler.bind(byName), interceptors),
      })
    }
    this.#channel = channel
    this.#parts = {
      clock: channel.clock,
      deadlines: channel.deadlines,
      onError,
      ended: () => this.#ended(),
    }
    this.instanceId = options.instanceId ?? channel.random.id()
    const { version = '', labels = {}, weight = 1, policy, concurrency } = options
    const descriptors = descriptorsOf(contract)
    const spec = {
      ...{ instanceId: this.instanceId, version, weight, services: [contract.name] },
      labels: { ...labels, ...safeLabel(contract) },
      contract: contractText(contract),
      ...(descriptors === null ? {} : { descriptors }),
      ...(policy === undefined ? {} : { policy }),
    }
    this.#attached = channel.attach(spec, this, concurrency ?? CONCURRENCY_DEFAULT)
  }

  get ready(): Promise<void> {
    return this.#attached.ready
  }

  get openCount(): number {
    return this.#openCount
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const found = this.#methods.get(head.path)
    if (found === undefined) {
      const text = `${head.path} is no method of this version of the service`
      reply.status(statusOf('UNIMPLEMENTED', text), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    if (this.#isClosing) {
      const details = [hopDetail({ stage: 'queued', provider: this.instanceId, waitedMs: 0 })]
      reply.status(statusOf('UNAVAILABLE', 'the provider is closing', details), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    if (!found.bound.request.takes(head.contentType)) {
      const text = `${head.path} takes no messages in '${head.contentType}'`
      reply.status(statusOf('UNIMPLEMENTED', text), Metadata.EMPTY)
      return CLOSED_REQUEST
    }
    this.#openCount += 1
    return new HandlerCall({ head, reply }, found, this.#parts)
  }

  setConcurrency(concurrency: number): void {
    this.#attached.setCapacity(concurrency)
  }

  async close(graceMs = CLOSE_GRACE_MS): Promise<void> {
    this.#isClosing = true
    this.#attached.detach()
    if (this.#openCount === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#idle = resolve
    const timer = this.#channel.clock.setTimer(graceMs, resolve)
    await promise
    timer.cancel()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #ended(): void {
    this.#openCount -= 1
    if (this.#openCount === 0) this.#idle?.()
  }
}

function intercepted(handler: AnyHandler, interceptors: readonly ServerInterceptor[]): AnyHandler {
  let wrapped = handler
  for (const interceptor of interceptors.toReversed()) {
    const inner = wrapped
    wrapped = async (input, context) =>
      interceptor({ input, context }, async (changed) => inner(changed, context))
  }
  return wrapped
}
