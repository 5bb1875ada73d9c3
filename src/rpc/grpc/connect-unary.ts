import { gunzipSync } from 'node:zlib'
import {
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { fieldsOf } from '../grpc-fields.ts'
import { Metadata } from '../metadata.ts'
import { type Status, statusOf } from '../status.ts'
import type { CallOwner } from './call.ts'
import { errorBody, httpStatusOf } from './connect-error.ts'
import type { Exchange, RequestHandler } from './exchange.ts'
import type { Opening } from './opening.ts'

const NOTHING: Buffer = Buffer.alloc(0)

/** A unary call of Connect: the request's content is the message, the answer's is the reply. */
export class ConnectUnaryCall implements ReplySink, RequestHandler {
  readonly #owner: CallOwner
  readonly #exchange: Exchange
  readonly #opening: Opening
  readonly #pieces: Buffer[] = []
  #size = 0
  #isWhole = false
  #isOver = false
  #begin: (() => void) | null = null
  #request: RequestSink | null = null
  #head: Metadata = Metadata.EMPTY
  #reply: Buffer | null = null

  constructor(owner: CallOwner, exchange: Exchange, opening: Opening) {
    this.#owner = owner
    this.#exchange = exchange
    this.#opening = opening
    owner.callBegan()
  }

  begin(callee: Callee, deadlineMs: number): void {
    const { path, metadata, contentType, isOneWay } = this.#opening
    const head: CallHead = { path, metadata, deadlineMs, contentType, isOneWay }
    this.#begin = (): void => {
      const message = this.#message()
      if (message === null) return
      this.#request = callee.open(head, this)
      if (!this.#isOver) this.#request.message(message, true)
    }
    if (this.#isWhole && !this.#isOver) this.#begin()
  }

  // --- from the client ---

  content(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    this.#exchange.taken(end - start)
    if (this.#isOver) return
    this.#size += end - start
    const { messageBytesMax } = this.#owner
    if (this.#size > messageBytesMax) {
      return this.#fail(`a message above ${messageBytesMax} bytes, which is the limit`)
    }
    if (end > start) this.#pieces.push(Buffer.from(bytes.subarray(start, end)))
    if (!isEnd) return
    this.#isWhole = true
    this.#begin?.()
  }

  sent(): void {}

  lost(reason: string): void {
    if (this.#isOver) return
    this.#finish()
    this.#request?.cancel(reason)
  }

  // --- from the callee ---

  head(metadata: Metadata): void {
    this.#head = metadata
  }

  reply(bytes: Uint8Array): void {
    if (this.#isOver) return
    if (this.#reply !== null) {
      this.status(
        statusOf('UNIMPLEMENTED', 'a unary call with more than one reply'),
        Metadata.EMPTY,
      )
      this.#request?.cancel('more than one reply')
      return
    }
    this.#reply = Buffer.from(bytes)
    this.#request?.creditReplies(messageCost(bytes.length))
  }

  creditRequests(): void {}

  status(status: Status, trailers: Metadata): void {
    if (this.#isOver) return
    this.#finish()
    const isGood = status.code === 'OK'
    const body = isGood ? (this.#reply ?? NOTHING) : errorBody(status)
    const type = isGood ? this.#opening.contentType : 'json'
    const trailing = (fieldsOf(trailers) ?? []).map((text, index) =>
      index % 2 === 0 ? `trailer-${text}` : text,
    )
    this.#exchange.head(httpStatusOf(status), [
      ...['content-type', `application/${type}`, 'content-length', String(body.length)],
      ...(status.code === 'UNAUTHENTICATED' ? CHALLENGE : []),
      ...(fieldsOf(this.#head) ?? []),
      ...trailing,
    ])
    this.#exchange.send(body, NOTHING)
    this.#exchange.end()
    if (!this.#exchange.isWaiting) this.#exchange.stopClient()
    this.#owner.requestOutput()
  }

  // --- inside ---

  /** Null: it is none, and the call is over. */
  #message(): Buffer | null {
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces.length = 0
    if (!this.#opening.hasGzip) return bytes
    const maxOutputLength = this.#owner.messageBytesMax
    try {
      return gunzipSync(bytes, { maxOutputLength })
    } catch {
      // Either is the client's fault, and the text says what may be wrong.
      this.#fail(`the content is no gzip, or larger than ${maxOutputLength} bytes`)
      return null
    }
  }

  #fail(text: string): void {
    this.status(statusOf('RESOURCE_EXHAUSTED', text), Metadata.EMPTY)
  }

  #finish(): void {
    this.#isOver = true
    this.#pieces.length = 0
    this.#owner.callEnded()
  }
}

const CHALLENGE = ['www-authenticate', 'Basic realm="waystation", charset="UTF-8"'] as const
