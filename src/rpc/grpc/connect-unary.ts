import {
  type CallHead,
  type Callee,
  messageCost,
  type ReplySink,
  type RequestSink,
} from '../call.ts'
import { fieldsOf } from '../grpc-fields.ts'
import { Metadata } from '../metadata.ts'
import { type Status, type StatusName, statusOf } from '../status.ts'
import type { CallOwner } from './call.ts'
import { compress, COMPRESSION_NAMES, inflate, InflateError } from './compression.ts'
import { errorBody, httpStatusOf } from './connect-error.ts'
import type { Exchange, RequestHandler } from './exchange.ts'
import { COMPRESSED_BYTES_MIN } from './limits.ts'
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
    if (!this.#add(bytes.subarray(start, end)) || !isEnd) return
    this.#isWhole = true
    this.#begin?.()
  }

  /** The message, where it is not the content of the request. */
  whole(message: Buffer): void {
    if (this.#isOver || !this.#add(message)) return
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
    let body: Uint8Array = isGood ? (this.#reply ?? NOTHING) : errorBody(status)
    const { replyCompression } = this.#opening
    const isCompressed = replyCompression !== null && body.length >= COMPRESSED_BYTES_MIN
    if (isCompressed) body = compress(body, replyCompression)
    const type = isGood ? this.#opening.contentType : 'json'
    const trailing = (fieldsOf(trailers) ?? []).map((text, index) =>
      index % 2 === 0 ? `trailer-${text}` : text,
    )
    this.#exchange.head(httpStatusOf(status), [
      ...['content-type', `application/${type}`, 'content-length', String(body.length)],
      ...['accept-encoding', COMPRESSION_NAMES],
      ...(isCompressed ? ['content-encoding', replyCompression] : []),
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
    const { compression } = this.#opening
    if (compression === null || bytes.length === 0) return bytes
    try {
      return inflate(bytes, compression, this.#owner.messageBytesMax)
    } catch (error) {
      if (!(error instanceof InflateError)) throw error
      this.#fail(error.isTooLarge ? 'RESOURCE_EXHAUSTED' : 'INVALID_ARGUMENT', error.message)
      return null
    }
  }

  /** False: it is too large, and the call is over. */
  #add(piece: Buffer): boolean {
    this.#size += piece.length
    const { messageBytesMax } = this.#owner
    if (this.#size > messageBytesMax) {
      const text = `a message above ${messageBytesMax} bytes, which is the limit`
      this.#fail('RESOURCE_EXHAUSTED', text)
      return false
    }
    if (piece.length > 0) this.#pieces.push(Buffer.from(piece))
    return true
  }

  #fail(code: StatusName, text: string): void {
    this.status(statusOf(code, text), Metadata.EMPTY)
  }

  #finish(): void {
    this.#isOver = true
    this.#pieces.length = 0
    this.#owner.callEnded()
  }
}

const CHALLENGE = ['www-authenticate', 'Basic realm="waystation", charset="UTF-8"'] as const
