import { CALL_WINDOW, CREDIT_DUE, messageCost, type ReplySink, type RequestSink } from '../call.ts'
import { hopDetail, type HopStage } from '../hop.ts'
import { METADATA_BYTES_MAX } from '../limits.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusNameOf, statusOf } from '../status.ts'
import type { EndMessage } from './messages.ts'

/** What a call needs of the stream it is on. */
export interface CallStream {
  /** The largest reply. */
  readonly messageBytesMax: number
  sendRequest(call: AttachedCall, message: Uint8Array | null, isLast: boolean): void
  sendCancel(call: AttachedCall, reason: string): void
  sendCredit(call: AttachedCall, octets: number): void
  forget(call: AttachedCall): void
}

/** One call that a provider has through Attach. */
export class AttachedCall implements RequestSink {
  readonly id: number
  /** The provider can have heard of it. */
  hasLeft = false
  readonly #stream: CallStream
  readonly #reply: ReplySink
  /** What the provider may still send. */
  #window = CALL_WINDOW
  #taken = 0
  #stage: HopStage = 'delivered'
  #isOver = false

  constructor(stream: CallStream, id: number, reply: ReplySink) {
    this.#stream = stream
    this.id = id
    this.#reply = reply
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (!this.#isOver) this.#stream.sendRequest(this, bytes, isLast)
  }

  halfClose(): void {
    if (!this.#isOver) this.#stream.sendRequest(this, null, true)
  }

  cancel(reason: string): void {
    if (this.#isOver) return
    this.#end()
    this.#stream.sendCancel(this, reason)
  }

  creditReplies(cost: number): void {
    if (this.#isOver) return
    this.#window += cost
    this.#stream.sendCredit(this, cost)
  }

  // --- from the provider ---

  head(entries: Iterable<readonly [string, string | Uint8Array]>): void {
    const metadata = this.#metadataOf(entries)
    if (metadata === null) return
    this.#begun('started')
    this.#reply.head(metadata)
  }

  /** False: the call is over by it. */
  reply(message: Uint8Array): boolean {
    const { messageBytesMax } = this.#stream
    if (message.length > messageBytesMax) {
      const text = `a message of ${message.length} bytes, the limit is ${messageBytesMax}`
      this.fail(statusOf('RESOURCE_EXHAUSTED', text))
      return false
    }
    if (this.#window <= 0) {
      const text = 'more was sent than the window of the call has room for'
      this.fail(statusOf('RESOURCE_EXHAUSTED', text))
      return false
    }
    this.#window -= messageCost(message.length)
    this.#begun('reply_lost')
    this.#reply.reply(message)
    return !this.#isOver
  }

  end({ code, text, details, trailers, message, isRefused }: EndMessage): void {
    if (isRefused && this.#stage === 'delivered') {
      const hop = hopDetail({ stage: 'queued', provider: '', waitedMs: 0 })
      this.#over(statusOf('UNAVAILABLE', text, [...details, hop]), Metadata.EMPTY)
      return
    }
    if (message !== null && !this.reply(message)) return
    const metadata = this.#metadataOf(trailers)
    if (metadata !== null) this.#over(statusOf(statusNameOf(code), text, details), metadata)
  }

  // --- from the stream ---

  /**
   * A request that others may follow has left the broker. Told late, because whoever is told takes
   * it that the provider has begun, and then nobody else gets the call.
   */
  taken(cost: number): void {
    this.#taken += cost
    if (this.#isOver || this.#taken < CREDIT_DUE) return
    const taken = this.#taken
    this.#taken = 0
    this.#reply.creditRequests(taken)
  }

  /** Ends the call on both sides. */
  fail(status: Status): void {
    if (this.#isOver) return
    this.#stream.sendCancel(this, status.message)
    this.#over(status, Metadata.EMPTY)
  }

  /** The provider is gone. */
  lost(reason: string): void {
    if (this.#isOver) return
    const stage = this.hasLeft ? this.#stage : 'queued'
    const hop = hopDetail({ stage, provider: '', waitedMs: 0 })
    this.#over(statusOf('UNAVAILABLE', reason, [hop]), Metadata.EMPTY)
  }

  // --- inside ---

  #begun(stage: HopStage): void {
    if (this.#stage !== 'reply_lost') this.#stage = stage
  }

  /** Null: it cannot be carried, and the call is over. */
  #metadataOf(entries: Iterable<readonly [string, string | Uint8Array]>): Metadata | null {
    try {
      const metadata = Metadata.from(entries)
      if (metadata.byteLength <= METADATA_BYTES_MAX) return metadata
      const text = `metadata of ${metadata.byteLength} bytes, the limit is ${METADATA_BYTES_MAX}`
      this.fail(statusOf('RESOURCE_EXHAUSTED', text))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      this.fail(statusOf('INTERNAL', `of the provider: ${error.message}`))
    }
    return null
  }

  #over(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#end()
    this.#reply.status(status, trailers)
  }

  #end(): void {
    this.#isOver = true
    this.#stream.forget(this)
  }
}
