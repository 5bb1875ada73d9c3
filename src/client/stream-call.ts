import type { BoundMethod } from '../rpc/contracts/contract.ts'
import { RpcError } from '../rpc/status.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel } from './channel.ts'
import { MessageQueue } from './message-queue.ts'
import { OutboundCall } from './outbound-call.ts'
import { SendWindow } from './send-window.ts'

/** A call with any number of messages to, back, or both. */
export class StreamCall extends OutboundCall {
  readonly replies: MessageQueue
  readonly #window = new SendWindow()

  constructor(
    channel: Channel,
    bound: BoundMethod,
    { input, options }: { readonly input: unknown; readonly options: CallOptions },
  ) {
    super(channel, bound, options)
    const { contentType } = bound.reply
    this.replies = new MessageQueue({
      decode: (bytes) => bound.reply.decode(bytes, contentType),
      credit: (cost) => this.request.creditReplies(cost),
      stopped: () => this.cancel('the caller reads no more'),
    })
    const { kind } = bound.method
    if (kind === 'serverStream') {
      const bytes = bound.request.encode(input, bound.request.contentType)
      if (this.begin()) this.request.message(bytes, true)
      return
    }
    if (!this.begin()) return
    this.#sendAll(input as AsyncIterable<unknown>).catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      this.cancel(`the messages to be sent ended with an error: ${reason}`)
    })
  }

  reply(bytes: Uint8Array): void {
    this.replies.push(bytes)
  }

  creditRequests(cost: number): void {
    this.#window.credit(cost)
  }

  /** The only message of a stream that has one. */
  async single(): Promise<unknown> {
    let count = 0
    let value: unknown
    for await (const message of this.replies) {
      value = message
      count += 1
    }
    if (count === 1) return value
    throw new RpcError('UNIMPLEMENTED', `${count} answers, where the contract has one`)
  }

  protected ended(error: RpcError | null): void {
    this.#window.end()
    this.replies.end(error)
  }

  async #sendAll(messages: AsyncIterable<unknown>): Promise<void> {
    const { request: codec } = this.bound
    await this.#window.sendAll(messages, (message) => {
      const bytes = codec.encode(message, codec.contentType)
      this.request.message(bytes, false)
      return bytes.length
    })
    this.request.halfClose()
  }
}
