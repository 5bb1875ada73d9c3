import { type IncomingMessage, Server, type ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import type { Clock, Timer } from '../lib/clock.ts'
import { beginsWith } from './first-bytes.ts'
import { HTTP_IDLE_MS, HTTP_UNTAKEN_BYTES_MAX } from './limits.ts'
import type { ConnectionHandler, PeerInfo, ProtocolHandler, Transport } from './transport.ts'

/** The head of a request of HTTP/1.1. */
export interface Http1Request {
  readonly method: string
  /** With its query. */
  readonly target: string
  /** Names in lower case and values in turn. */
  readonly fields: readonly string[]
}

/** Who takes the content of a request. */
export interface Http1RequestHandler {
  /** Content in `bytes[start, end)`, to be given back with `taken`; `isEnd`: no more follows. */
  content(bytes: Buffer, start: number, end: number, isEnd: boolean): void
  /** What was written is with the system, after `isWaiting`. */
  sent(): void
  /** The client has gone before the answer was complete. */
  lost(reason: string): void
}

/** Opens requests of one connection. */
export interface Http1Connection {
  request(request: Http1Request, exchange: Http1Exchange): Http1RequestHandler
  closed(): void
}

/** The answer to one request. */
export class Http1Exchange {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  #untakenBytes = 0
  isWaiting = false

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
  }

  head(status: number, fields: readonly string[]): void {
    this.#response.writeHead(status, [...fields])
  }

  /** Both pieces are copied. */
  send(first: Uint8Array, second: Uint8Array): void {
    const bytes = Buffer.concat([first, second])
    if (bytes.length > 0 && !this.#response.write(bytes)) this.isWaiting = true
  }

  end(): void {
    this.#response.end()
  }

  /** A client that sends more than is taken is not read. */
  came(bytes: number): void {
    this.#untakenBytes += bytes
    if (this.#untakenBytes > HTTP_UNTAKEN_BYTES_MAX) this.#request.pause()
  }

  taken(bytes: number): void {
    this.#untakenBytes -= bytes
    if (this.#untakenBytes <= HTTP_UNTAKEN_BYTES_MAX) this.#request.resume()
  }

  /** The answer is complete: what else the client sends of its request is thrown away. */
  stopClient(): void {
    this.#request.resume()
  }
}

const METHODS: readonly Buffer[] = ['POST ', 'GET ', 'OPTIONS ', 'HEAD ', 'PUT ', 'DELETE '].map(
  (text) => Buffer.from(text, 'latin1'),
)

/** Whether a connection begins as HTTP/1.1 does; null: not enough has come to say. */
export function beginsAsHttp1(bytes: Buffer): boolean | null {
  const answers = METHODS.map((method) => beginsWith(bytes, method))
  if (answers.includes(true)) return true
  return answers.includes(null) ? null : false
}

/** HTTP/1.1 by Node's parser, for sockets that a listener has accepted. */
export function http1Protocol(
  name: string,
  open: (peer: PeerInfo, transport: Transport) => Http1Connection,
  clock: Clock,
): ProtocolHandler {
  const server = new Server({ keepAlive: true, keepAliveTimeout: HTTP_IDLE_MS })
  server.on('request', (request, response) => {
    // Every socket of this server is one of ours.
    serve((request.socket as unknown as TransportStream).connection, request, response)
  })
  server.on('clientError', (_error, socket) => {
    socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
  })
  return {
    name,
    accept: (transport) => {
      const stream = new TransportStream(transport, open(transport.peer, transport), clock)
      server.emit('connection', stream)
      return stream.handler
    },
  }
}

function serve(
  connection: Http1Connection,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const fields: string[] = []
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    fields.push(request.rawHeaders[index]!.toLowerCase(), request.rawHeaders[index + 1]!)
  }
  const stream = request.socket as unknown as TransportStream
  stream.openCount += 1
  const exchange = new Http1Exchange(request, response)
  const { method = '', url: target = '' } = request
  const handler = connection.request({ method, target, fields }, exchange)
  request.on('data', (bytes: Buffer) => {
    exchange.came(bytes.length)
    handler.content(bytes, 0, bytes.length, false)
  })
  request.on('end', () => handler.content(NOTHING, 0, 0, true))
  response.on('drain', () => {
    exchange.isWaiting = false
    handler.sent()
  })
  response.on('close', () => {
    stream.openCount -= 1
    if (!response.writableFinished) handler.lost('the caller has gone')
  })
}

const NOTHING: Buffer = Buffer.alloc(0)

/** A transport as the stream that Node's parser reads. */
class TransportStream extends Duplex {
  readonly connection: Http1Connection
  readonly handler: ConnectionHandler
  /** Requests that are not answered. */
  openCount = 0
  readonly #transport: Transport
  readonly #clock: Clock
  #timer: Timer
  #wasIdle = false
  #isStopping = false
  #written: (() => void) | null = null

  constructor(transport: Transport, connection: Http1Connection, clock: Clock) {
    super({ allowHalfOpen: true })
    this.connection = connection
    this.#transport = transport
    this.#clock = clock
    this.#timer = clock.setTimer(HTTP_IDLE_MS, () => this.#tick())
    this.handler = {
      received: (bytes) => {
        if (!this.push(Buffer.from(bytes))) transport.pause()
      },
      drained: () => {
        const written = this.#written
        this.#written = null
        written?.()
      },
      ended: () => void this.push(null),
      closed: () => {
        this.#timer.cancel()
        this.destroy()
        connection.closed()
      },
      shutdown: () => {
        this.#isStopping = true
        if (this.openCount === 0) transport.end()
      },
    }
    this.on('error', () => transport.destroy())
  }

  override _read(): void {
    this.#transport.resume()
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    if (this.#transport.write(bytes)) done()
    else this.#written = done
  }

  override _final(done: () => void): void {
    this.#transport.end()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#transport.destroy()
    done(error)
  }

  /** Between requests, and while the head of one does not come to its end, nobody waits for long. */
  #tick(): void {
    this.#timer = this.#clock.setTimer(HTTP_IDLE_MS, () => this.#tick())
    const isIdle = this.openCount === 0
    if (isIdle && (this.#wasIdle || this.#isStopping)) this.#transport.destroy()
    this.#wasIdle = isIdle
  }
}
