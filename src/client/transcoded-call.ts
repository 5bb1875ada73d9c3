import {
  CALL_WINDOW,
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../rpc/call.ts'
import type { BoundMethod } from '../rpc/contracts/contract.ts'
import type { MessageCodec } from '../rpc/contracts/message-codec.ts'
import { Metadata } from '../rpc/metadata.ts'
import { type Status, type StatusName, statusOf } from '../rpc/status.ts'

/** A call whose caller speaks JSON, at a callee that takes protobuf. */
export class TranscodedCall implements RequestSink, ReplySink {
  readonly #method: BoundMethod
  readonly #reply: ReplySink
  readonly #request: RequestSink
  /** A message has another size on each side, and so another cost. */
  readonly #requestCosts = new CostExchange()
  readonly #replyCosts = new CostExchange()
  /** JSON is larger than protobuf mostly, so what the callee may send may be too much for the caller. */
  #credit = CALL_WINDOW
  /** Replies that wait for it; the callee has room for no more than its window of them. */
  readonly #held: Uint8Array[] = []
  #end: { readonly status: Status; readonly trailers: Metadata } | null = null
  #isOver = false

  constructor(
    callee: Callee,
    method: BoundMethod,
    { head, reply }: { readonly head: CallHead; readonly reply: ReplySink },
  ) {
    this.#method = method
    this.#reply = reply
    this.#request = callee.open({ ...head, contentType: 'proto' }, this)
  }

  // --- from the caller ---

  message(bytes: Uint8Array, isLast: boolean): void {
    if (this.#isOver) return
    const binary = this.#converted(this.#method.request, bytes, {
      ...{ from: 'json', to: 'proto', code: 'INVALID_ARGUMENT' },
    })
    if (binary === null) return
    this.#requestCosts.add(messageCost(bytes.length), messageCost(binary.length))
    this.#request.message(binary, isLast)
  }

  halfClose(): void {
    if (!this.#isOver) this.#request.halfClose()
  }

  cancel(reason: string): void {
    this.#isOver = true
    this.#request.cancel(reason)
  }

  creditReplies(cost: number): void {
    this.#credit += cost
    const there = this.#replyCosts.settle(cost)
    if (!this.#isOver && there > 0) this.#request.creditReplies(there)
    this.#deliver()
  }

  // --- from the callee ---

  head(metadata: Metadata): void {
    if (!this.#isOver) this.#reply.head(metadata)
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    const text = this.#converted(this.#method.reply, bytes, {
      ...{ from: 'proto', to: 'json', code: 'INTERNAL' },
    })
    if (text === null) return
    this.#replyCosts.add(messageCost(bytes.length), messageCost(text.length))
    this.#held.push(text)
    this.#deliver()
  }

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#end = { status, trailers }
    this.#deliver()
  }

  creditRequests(cost: number): void {
    const here = this.#requestCosts.settle(cost)
    if (!this.#isOver && here > 0) this.#reply.creditRequests(here)
  }

  #deliver(): void {
    while (!this.#isOver && this.#credit > 0) {
      const text = this.#held.shift()
      if (text === undefined) break
      this.#credit -= messageCost(text.length)
      this.#reply.reply(text)
    }
    if (this.#isOver || this.#end === null || this.#held.length > 0) return
    this.#isOver = true
    this.#reply.status(this.#end.status, this.#end.trailers)
  }

  /** Null: it cannot be, and the call has ended. */
  #converted(
    codec: MessageCodec,
    bytes: Uint8Array,
    { from, to, code }: { readonly from: string; readonly to: string; readonly code: StatusName },
  ): Uint8Array | null {
    try {
      return codec.encode(codec.decode(bytes, from), to)
    } catch (error) {
      this.#isOver = true
      const text = error instanceof Error ? error.message : String(error)
      this.#reply.status(statusOf(code, text), Metadata.EMPTY)
      this.#request.cancel(text)
      return null
    }
  }
}

/** What messages cost where they came from, told as they are dealt with where they went. */
class CostExchange {
  readonly #costs: { readonly came: number; readonly went: number }[] = []
  #settled = 0

  add(came: number, went: number): void {
    this.#costs.push({ came, went })
  }

  /** `cost` more is dealt with where messages went; returns what that is where they came from. */
  settle(cost: number): number {
    this.#settled += cost
    let came = 0
    for (let first = this.#costs[0]; first !== undefined; first = this.#costs[0]) {
      if (first.went > this.#settled) break
      this.#settled -= first.went
      came += first.came
      this.#costs.shift()
    }
    return came
  }
}
