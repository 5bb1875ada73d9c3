import { connect, type Socket } from 'node:net'
import {
  FRAME_HEADER_BYTES,
  FRAME_METHOD,
  FRAME_OVERHEAD_BYTES,
  FRAME_SIZE_MAX,
  longString,
  METHOD,
  method,
  PROTOCOL_HEADER,
  shortString,
  table,
  u16,
  u32,
  u8,
} from './wire.ts'

const READ_BUFFER_BYTES = 1 << 20
const REPLY_TIMEOUT_MS = 60_000

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface OpenOptions {
  /** Bytes of the read buffer; must hold one whole frame. Default 1 MiB. */
  readonly readBufferBytes?: number
}

/** Reads whole frames from `view` up to `end`; returns how far it came. Borrowed for the call. */
export type Scan = (view: DataView, end: number) => number

/**
 * One AMQP connection with channel 1 open, as cheap as Node can make it.
 *
 * The cold part (handshake, declarations) asks and awaits one reply at a time. For the hot part
 * its owner sets `scan`, which then gets every read in place, in one buffer that is used again:
 * nothing is allocated per message.
 */
export class Connection {
  readonly socket: Socket
  /** Product and version as the broker names itself. */
  serverVersion = ''
  /** Called once when the connection fails; not when it is closed by `close`. */
  onError: (error: Error) => void = () => {}
  scan: Scan

  readonly #bytes: Buffer
  readonly #view: DataView
  #filled = 0
  #closing = false
  #failure: Error | null = null
  #replies: Buffer[] = []
  #waiting: { resolve(payload: Buffer): void; reject(error: Error): void } | null = null

  private constructor(endpoint: Endpoint, options: OpenOptions) {
    this.#bytes = Buffer.allocUnsafeSlow(options.readBufferBytes ?? READ_BUFFER_BYTES)
    this.#view = new DataView(this.#bytes.buffer, 0, this.#bytes.length)
    this.scan = (view, end) => this.#scanReplies(view, end)
    this.socket = connect({
      host: endpoint.host,
      port: endpoint.port,
      noDelay: true,
      onread: {
        // What is left of a frame cut by the read stays in front, the next read goes behind it.
        buffer: () => this.#bytes.subarray(this.#filled),
        callback: (size) => this.#read(size),
      },
    })
    this.socket.on('error', (error) => this.fail(error))
    this.socket.on('close', () => {
      if (!this.#closing) this.fail(new Error('the broker closed the connection'))
    })
  }

  static async open(endpoint: Endpoint, options: OpenOptions = {}): Promise<Connection> {
    const connection = new Connection(endpoint, options)
    connection.socket.write(PROTOCOL_HEADER)
    await connection.#handshake()
    return connection
  }

  /** Sends bytes of one request and resolves with the payload of the next method frame. */
  ask(request: Buffer): Promise<Buffer> {
    this.socket.write(request)
    return this.#reply()
  }

  /** Says what a method that nobody awaited means; throws unless it may be ignored. */
  unexpected(view: DataView, at: number): void {
    const id = view.getUint32(at + FRAME_HEADER_BYTES)
    if (id === METHOD.connectionBlocked || id === METHOD.connectionUnblocked) return
    const payload = this.#bytes.subarray(at + FRAME_HEADER_BYTES)
    if (id === METHOD.connectionClose || id === METHOD.channelClose) {
      throw new Error(`the broker closed it: ${closeReason(payload)}`)
    }
    throw new Error(`unexpected method ${id >>> 16}.${id & 0xffff}`)
  }

  async close(): Promise<void> {
    this.scan = (view, end) => this.#scanReplies(view, end)
    const goodbye = method(0, METHOD.connectionClose, u16(200), shortString('done'), u16(0), u16(0))
    this.socket.write(goodbye)
    for (;;) {
      const payload = await this.#reply()
      if (payload.readUInt32BE(0) === METHOD.connectionCloseOk) break
    }
    this.#closing = true
    this.socket.destroy()
  }

  fail(error: Error): void {
    if (this.#failure !== null || this.#closing) return
    this.#failure = error
    this.socket.destroy()
    this.#waiting?.reject(error)
    this.#waiting = null
    this.onError(error)
  }

  async #handshake(): Promise<void> {
    const start = await this.#reply()
    this.serverVersion = serverVersion(start)
    const properties = table({ product: 'waystation-bench' })
    const login = longString('\0guest\0guest')
    const startOk = [properties, shortString('PLAIN'), login, shortString('en_US')]
    const tune = await this.ask(method(0, METHOD.connectionStartOk, ...startOk))
    if (tune.readUInt32BE(0) !== METHOD.connectionTune) throw new Error('login refused')
    const heartbeatOff = u16(0)
    const tuneOk = [u16(16), u32(FRAME_SIZE_MAX), heartbeatOff]
    this.socket.write(method(0, METHOD.connectionTuneOk, ...tuneOk))
    await this.ask(method(0, METHOD.connectionOpen, shortString('/'), u8(0), u8(0)))
    await this.ask(method(1, METHOD.channelOpen, shortString('')))
  }

  #reply(): Promise<Buffer> {
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

  #read(size: number): boolean {
    const end = this.#filled + size
    try {
      const at = this.scan(this.#view, end)
      if (at > 0 && at < end) this.#bytes.copyWithin(0, at, end)
      this.#filled = end - at
    } catch (error) {
      this.fail(error as Error)
    }
    return true
  }

  #scanReplies(view: DataView, end: number): number {
    let at = 0
    while (end - at >= FRAME_OVERHEAD_BYTES) {
      const size = view.getUint32(at + 3)
      const next = at + FRAME_OVERHEAD_BYTES + size
      if (next > end) break
      if (view.getUint8(at) === FRAME_METHOD) {
        this.#takeReply(Buffer.from(this.#bytes.subarray(at + FRAME_HEADER_BYTES, next - 1)))
      }
      at = next
    }
    return at
  }

  #takeReply(payload: Buffer): void {
    const id = payload.readUInt32BE(0)
    if (id === METHOD.connectionBlocked || id === METHOD.connectionUnblocked) return
    if (id === METHOD.connectionClose || id === METHOD.channelClose) {
      this.fail(new Error(`the broker closed it: ${closeReason(payload)}`))
      return
    }
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting === null) this.#replies.push(payload)
    else waiting.resolve(payload)
  }
}

function closeReason(payload: Buffer): string {
  const text = payload.toString('utf8', 7, 7 + payload.readUInt8(6))
  return `${payload.readUInt16BE(4)} ${text}`
}

/** Picks product and version out of connection.start without decoding its whole table. */
function serverVersion(start: Buffer): string {
  const field = (name: string): string => {
    const at = start.indexOf(Buffer.concat([shortString(name), Buffer.from('S')]))
    if (at < 0) return ''
    const from = at + name.length + 6
    return start.toString('utf8', from, from + start.readUInt32BE(from - 4))
  }
  return `${field('product')} ${field('version')}`.trim()
}
