import { connect, type Socket } from 'node:net'

const READ_BUFFER_BYTES = 1 << 20
const REPLY_TIMEOUT_MS = 60_000

export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Default `guest` for AMQP, nobody for MQTT. */
  readonly user?: string
  readonly password?: string
  /** AMQP only. Default `/`. */
  readonly vhost?: string
}

export interface OpenOptions {
  /** Bytes of the read buffer; must hold one whole frame. Default 1 MiB. */
  readonly readBufferBytes?: number
}

/** Reads whole frames from `view` up to `end`; returns how far it came. Borrowed for the call. */
export type Scan = (view: DataView, end: number) => number

/**
 * A socket as cheap as Node can make it, below the protocols of the load program.
 *
 * The cold part asks and awaits one reply at a time. For the hot part its owner sets `scan`, which
 * then gets every read in place, in one buffer that is used again: nothing is allocated per message.
 */
export class RawSocket {
  readonly socket: Socket
  /** Called once when the connection fails; not when it is ended by `end`. */
  onError: (error: Error) => void = () => {}
  scan: Scan
  /** What is read; `scan` sees it through its view. */
  protected readonly bytes: Buffer
  readonly #view: DataView
  #filled = 0
  #ended = false
  #failure: Error | null = null
  #replies: Buffer[] = []
  #waiting: { resolve(payload: Buffer): void; reject(error: Error): void } | null = null

  /** `scan` takes what comes first, and hands replies to `takeReply`. */
  protected constructor(endpoint: Endpoint, options: OpenOptions) {
    this.bytes = Buffer.allocUnsafeSlow(options.readBufferBytes ?? READ_BUFFER_BYTES)
    this.#view = new DataView(this.bytes.buffer, 0, this.bytes.length)
    this.scan = (view, end) => this.scanReplies(view, end)
    this.socket = connect({
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      onread: {
        // What is left of a frame cut by the read stays in front, the next read goes behind it.
        buffer: () => this.bytes.subarray(this.#filled),
        callback: (size) => this.#read(size),
      },
    })
    this.socket.on('error', (error) => this.fail(error))
    this.socket.on('close', () => {
      if (!this.#ended) this.fail(new Error('the broker closed the connection'))
    })
  }

  /** Sends bytes of one request and resolves with the next reply. */
  ask(request: Buffer): Promise<Buffer> {
    this.socket.write(request)
    return this.reply()
  }

  fail(error: Error): void {
    if (this.#failure !== null || this.#ended) return
    this.#failure = error
    this.socket.destroy()
    this.#waiting?.reject(error)
    this.#waiting = null
    this.onError(error)
  }

  /** All was said: what the socket does from here on is no failure. */
  protected end(): void {
    this.#ended = true
    this.socket.destroy()
  }

  /** Resolves with the next reply that `takeReply` was or will be given. */
  protected reply(): Promise<Buffer> {
    const ready = this.#replies.shift()
    if (ready !== undefined) return Promise.resolve(ready)
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => this.fail(new Error(`no reply within ${REPLY_TIMEOUT_MS} ms`)),
        REPLY_TIMEOUT_MS,
      )
      this.#waiting = {
        resolve(payload) {
          clearTimeout(timer)
          resolve(payload)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      }
    })
  }

  /** Hands a reply, copied out of the read buffer, to whoever waits for it. */
  protected takeReply(payload: Buffer): void {
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) this.#replies.push(payload)
    else waiting.resolve(payload)
  }

  /** Finds replies while nothing hot runs. */
  protected scanReplies(_view: DataView, end: number): number {
    return end
  }

  #read(size: number): boolean {
    const end = this.#filled + size
    try {
      const at = this.scan(this.#view, end)
      if (at > 0 && at < end) this.bytes.copyWithin(0, at, end)
      this.#filled = end - at
    } catch (error) {
      this.fail(error as Error)
    }
    return true
  }
}
