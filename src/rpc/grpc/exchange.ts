import { ERROR, type Http2Session, type Http2Stream } from '../../codec/http2/index.ts'

/** The answer to one request of HTTP, whichever version; all of it is head and content. */
export interface Exchange {
  /** Some of what was sent waits for the client. */
  readonly isWaiting: boolean
  head(status: number, fields: readonly string[]): void
  /** Both pieces are copied. */
  send(first: Uint8Array, second: Uint8Array): void
  end(): void
  /** Content of the request was dealt with: the client may send as much again. */
  taken(bytes: number): void
  /** The answer is complete: a client that still sends need not go on. */
  stopClient(): void
}

/** Who takes the content of a request. */
export interface RequestHandler {
  content(bytes: Buffer, start: number, end: number, isEnd: boolean): void
  sent(): void
  lost(reason: string): void
}

const NOTHING: Buffer = Buffer.alloc(0)

/** One stream of HTTP/2. */
export class Http2Exchange implements Exchange {
  readonly #session: Http2Session
  readonly #stream: Http2Stream

  constructor(session: Http2Session, stream: Http2Stream) {
    this.#session = session
    this.#stream = stream
  }

  get isWaiting(): boolean {
    return this.#stream.waiting !== null
  }

  head(status: number, fields: readonly string[]): void {
    this.#session.sendHeaders(this.#stream, [':status', String(status)], { extra: fields })
  }

  send(first: Uint8Array, second: Uint8Array): void {
    this.#session.sendPair(this.#stream, first, second)
  }

  end(): void {
    this.#session.sendData(this.#stream, NOTHING, true)
  }

  taken(bytes: number): void {
    this.#session.taken(this.#stream, bytes)
  }

  stopClient(): void {
    if (!this.#stream.peerEnded) this.#session.reset(this.#stream, ERROR.NO_ERROR)
  }
}
