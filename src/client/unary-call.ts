import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { RpcError } from '../rpc/status.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'
import { OutboundCall } from './outbound-call.ts'
import type { ClientPolicy } from './client-policy.ts'

/** One message to and one back, or none; made again as the policy says. */
export class UnaryCall extends OutboundCall {
  readonly result: Promise<unknown>
  readonly #policy: ClientPolicy
  readonly #bytes: Uint8Array
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: Error) => void
  #attempt = 1
  #hasReply = false
  #reply: unknown
  #fault: RpcError | null = null

  constructor(
    channel: Channel,
    bound: BoundMethod,
    {
      input,
      options,
      policy,
    }: {
      readonly input: unknown
      readonly options: CallOptions
      readonly policy: ClientPolicy
    },
  ) {
    super(channel, bound, options)
    this.#policy = policy
    this.#bytes = bound.request.encode(input, bound.request.contentType)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.result = promise
    this.#resolve = resolve
    this.#reject = reject
    const refusal = policy.admit(bound.path)
    if (refusal === null) this.begin()
    else {
      this.isOver = true
      reject(refusal)
    }
  }

  protected override open(): void {
    super.open()
    this.request.message(this.#bytes, true)
  }

  reply(bytes: Uint8Array): void {
    if (this.isOver) return
    if (this.#hasReply) {
      this.#fault = new RpcError('UNIMPLEMENTED', 'a second answer, where the contract has one')
      return
    }
    this.#hasReply = true
    try {
      this.#reply = this.bound.reply.decode(bytes, this.bound.reply.contentType)
    } catch (error) {
      this.#fault = badReply(error)
    }
  }

  /** Nothing more is sent. */
  creditRequests(): void {}

  protected override isMadeAgain(error: RpcError): boolean {
    const waitMs = this.#policy.retryAfterMs(this.bound, error, this.#attempt)
    const { clock } = this.channel
    if (waitMs === null || clock.monotonicMs() + waitMs >= this.deadlineMs) return false
    this.#attempt += 1
    this.#hasReply = false
    this.#fault = null
    clock.setTimer(waitMs, () => {
      if (!this.isOver) this.open()
    })
    return true
  }

  protected ended(error: RpcError | null): void {
    const final = error ?? this.#fault
    this.#policy.ended(this.bound.path, final)
    if (final !== null) this.#reject(final)
    else if (this.bound.method.kind === 'oneway') this.#resolve(undefined)
    else if (!this.#hasReply) this.#reject(new RpcError('UNIMPLEMENTED', 'an OK without an answer'))
    else if (this.#reply instanceof Promise) {
      this.#reply.then(this.#resolve, (cause: unknown) => this.#reject(badReply(cause)))
    } else this.#resolve(this.#reply)
  }
}

function badReply(cause: unknown): RpcError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new RpcError('INTERNAL', `the answer does not fit the contract: ${reason}`, { cause })
}
