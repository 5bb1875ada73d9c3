import { CREDIT_DUE, messageCost } from '../rpc/call.ts'
import type { RpcError } from '../rpc/status.ts'

export interface MessageQueueOptions {
  readonly decode: (bytes: Uint8Array) => unknown
  /** Room was made: so much more may be sent. */
  readonly credit: (cost: number) => void
  /** The reader wants no more, before the end has come. */
  readonly stopped: () => void
}

/**
 * Messages that came in a call and are read one by one. Bounded by the window: credit is given only
 * for what was read. One reader.
 */
export class MessageQueue implements AsyncIterableIterator<unknown> {
  readonly #options: MessageQueueOptions
  readonly #messages: Uint8Array[] = []
  #first = 0
  /** Read and not credited yet. */
  #owedCost = 0
  #end: RpcError | true | null = null
  #waiting: PromiseWithResolvers<void> | null = null
  #isStopped = false

  constructor(options: MessageQueueOptions) {
    this.#options = options
  }

  /** Keeps a copy: what comes is borrowed. */
  push(bytes: Uint8Array): void {
    if (this.#isStopped || this.#end !== null) return
    this.#messages.push(new Uint8Array(bytes))
    this.#wake()
  }

  /** Nothing more comes; with an error, once all is read. */
  end(error: RpcError | null): void {
    this.#end ??= error ?? true
    this.#wake()
  }

  async next(): Promise<IteratorResult<unknown>> {
    while (this.#first === this.#messages.length) {
      if (this.#isStopped || this.#end === true) return { done: true, value: undefined }
      if (this.#end !== null) throw this.#end
      this.#waiting ??= Promise.withResolvers()
      await this.#waiting.promise
    }
    const bytes = this.#messages[this.#first]!
    this.#first += 1
    if (this.#first === this.#messages.length) {
      this.#messages.length = 0
      this.#first = 0
    }
    this.#owedCost += messageCost(bytes.length)
    if (this.#owedCost >= CREDIT_DUE && this.#end === null) {
      this.#options.credit(this.#owedCost)
      this.#owedCost = 0
    }
    return { done: false, value: await this.#options.decode(bytes) }
  }

  async return(): Promise<IteratorResult<unknown>> {
    if (!this.#isStopped) {
      this.#isStopped = true
      this.#messages.length = 0
      this.#first = 0
      if (this.#end === null) this.#options.stopped()
      this.#wake()
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<unknown> {
    return this
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = null
  }
}
