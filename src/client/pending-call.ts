import {
  CLOSED_REQUEST,
  type CallHead,
  type Callee,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import { Metadata } from '../rpc/metadata.ts'
import type { Status } from '../rpc/status.ts'

/** A call that waits for the connection, with what was said in it so far. */
export class PendingCall implements RequestSink {
  readonly #head: CallHead
  readonly #reply: ReplySink
  readonly #pending: Set<PendingCall>
  /** Bounded by the window of a call: nobody gives credit yet. */
  readonly #messages: Buffer[] = []
  #isHalfClosed = false
  #request: RequestSink | null = null

  constructor(head: CallHead, reply: ReplySink, pending: Set<PendingCall>) {
    this.#head = head
    this.#reply = reply
    this.#pending = pending
  }

  go(callee: Callee): void {
    this.#pending.delete(this)
    const request = callee.open(this.#head, this.#reply)
    this.#request = request
    const last = this.#messages.length - 1
    for (const [index, message] of this.#messages.entries()) {
      request.message(message, this.#isHalfClosed && index === last)
    }
    if (this.#isHalfClosed && last < 0) request.halfClose()
    this.#messages.length = 0
  }

  fail(status: Status): void {
    this.#pending.delete(this)
    this.#request = CLOSED_REQUEST
    this.#reply.status(status, Metadata.EMPTY)
  }

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#request !== null) {
      this.#request.message(bytes, isLast)
      return
    }
    this.#messages.push(Buffer.from(bytes))
    this.#isHalfClosed = isLast
  }

  halfClose(): void {
    if (this.#request === null) this.#isHalfClosed = true
    else this.#request.halfClose()
  }

  cancel(reason: string): void {
    if (this.#request === null) this.#pending.delete(this)
    this.#request?.cancel(reason)
    this.#request ??= CLOSED_REQUEST
  }

  creditReplies(cost: number): void {
    this.#request?.creditReplies(cost)
  }
}
