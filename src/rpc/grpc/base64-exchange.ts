import type { Exchange, RequestHandler } from './exchange.ts'

/**
 * gRPC-Web in base64, for clients that can only read text. Pieces are encoded one by one, padding
 * and all, so that none waits for the next; a client's may be cut anywhere and have padding inside.
 */
export class Base64Exchange implements Exchange {
  readonly #exchange: Exchange
  /** Of the request: octets of text not given back, and of content not dealt with. */
  #textBytes = 0
  #contentBytes = 0

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  get isWaiting(): boolean {
    return this.#exchange.isWaiting
  }

  head(status: number, fields: readonly string[]): void {
    this.#exchange.head(status, fields)
  }

  send(first: Uint8Array, second: Uint8Array): void {
    const text = Buffer.concat([first, second]).toString('base64')
    this.#exchange.send(Buffer.from(text, 'latin1'), NOTHING)
  }

  end(): void {
    this.#exchange.end()
  }

  came(textBytes: number, contentBytes: number): void {
    this.#textBytes += textBytes
    this.#contentBytes += contentBytes
    if (this.#contentBytes === 0) this.taken(0)
  }

  /** Counts content; what goes back is the text that it was. */
  taken(bytes: number): void {
    this.#contentBytes -= bytes
    const left = this.#contentBytes <= 0 ? 0 : Math.ceil((this.#contentBytes * 4) / 3)
    const back = Math.max(this.#textBytes - left, 0)
    this.#textBytes -= back
    if (back > 0) this.#exchange.taken(back)
  }

  stopClient(): void {
    this.#exchange.stopClient()
  }
}

const NOTHING: Buffer = Buffer.alloc(0)

/** Decodes a request for whoever takes its content. */
export class Base64Request implements RequestHandler {
  readonly #exchange: Base64Exchange
  readonly #handler: RequestHandler
  /** Up to three characters that wait for the fourth. */
  #rest = ''

  constructor(exchange: Base64Exchange, handler: RequestHandler) {
    this.#exchange = exchange
    this.#handler = handler
  }

  content(bytes: Buffer, start: number, end: number, isEnd: boolean): void {
    const text = this.#rest + bytes.toString('latin1', start, end)
    const whole = isEnd ? text.length : text.length - (text.length % 4)
    this.#rest = text.slice(whole)
    const pieces = text.slice(0, whole).match(/[^=]+=*/g) ?? []
    const content = Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')))
    this.#exchange.came(end - start, content.length)
    this.#handler.content(content, 0, content.length, isEnd)
  }

  sent(): void {
    this.#handler.sent()
  }

  lost(reason: string): void {
    this.#handler.lost(reason)
  }
}
