import { type Server as HttpServer, createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type Server, type Socket, createServer } from 'node:net'
import { type TLSSocket, createServer as createTlsServer } from 'node:tls'
import { limitAcceptRate } from './accept-rate.ts'
import type { CertificateNaming } from './certificate-name.ts'
import {
  BACKLOG_SIZE,
  CONNECTIONS_MAX_DEFAULT,
  HTTP_REQUEST_TIMEOUT_MS,
  WEB_SOCKET_PING_MS,
} from './limits.ts'
import { ListenError, listenErrorOf } from './listen-error.ts'
import type { OwnedTransport } from './owned-transport.ts'
import { refuseForeignCertificates } from './foreign-certificates.ts'
import { peerInfoOf } from './peer-info.ts'
import { SocketTransport } from './socket-transport.ts'
import { TlsReloader } from './tls-reloader.ts'
import type { TlsOptions } from './tls-options.ts'
import type { NetLog, PeerInfo, ProtocolHandler } from './transport.ts'
import { WebSocketGate } from './web-socket-gate.ts'
import type { WebSocketOptions } from './web-socket-options.ts'
import { WebSocketTransport } from './web-socket-transport.ts'

export interface ListenOptions {
  /** For logs and listings, such as `amqp` or `amqps`. */
  readonly name: string
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly protocol: ProtocolHandler
  /** Absent: plain TCP. */
  readonly tls?: TlsOptions
  /** What TLS clients are told that the port speaks, the best first. Default: nothing. */
  readonly alpn?: readonly string[]
  /** Present: not the socket is the connection but a WebSocket on it. */
  readonly webSocket?: WebSocketOptions
  /** Default 65536; one more is closed at once and logged. */
  readonly connectionsMax?: number
  /** New connections in a second; one more is closed at once and logged. Default: as they come. */
  readonly connectionRate?: number
  readonly log: NetLog
}

/** A port that accepts connections until it is closed. */
export interface Listener {
  readonly name: string
  readonly host: string
  /** The real one, also where 0 was asked for. */
  readonly port: number
  readonly tls: boolean
  readonly connectionCount: number
  /**
   * Reads certificate, key and authorities again; connections accepted from then on use them.
   * Rejects, and keeps the old ones, when the files are bad.
   */
  reloadTls(): Promise<void>
  /** Closes every connection at once and without a word, as a network does that fails. */
  cutConnections(): void
  /**
   * Accepts nothing more, asks every connection to shut down, and after `graceMs` closes the
   * rest. Resolves when none is left.
   */
  close(graceMs: number): Promise<void>
}

/** Opens a port. Rejects with `ListenError`. */
export async function listen(options: ListenOptions): Promise<Listener> {
  const reloader = options.tls === undefined ? null : new TlsReloader(options.tls, options.log)
  const server = await createServerFor(options, reloader)
  const listener = new SocketListener(options, server, reloader)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenErrorOf(error, options.host, options.port)))
    server.listen({ host: options.host, port: options.port, backlog: BACKLOG_SIZE }, resolve)
  })
  listener.opened()
  return listener
}

const SOCKET_OPTIONS = { noDelay: true, keepAlive: true } as const

/** For the time before a connection is a WebSocket; nothing of it holds afterwards. */
const HTTP_OPTIONS = {
  ...SOCKET_OPTIONS,
  headersTimeout: HTTP_REQUEST_TIMEOUT_MS,
  requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: HTTP_REQUEST_TIMEOUT_MS / 2,
} as const

async function createServerFor(
  { name, webSocket, alpn }: ListenOptions,
  reloader: TlsReloader | null,
): Promise<Server> {
  const isHttp = webSocket !== undefined
  if (reloader === null) {
    return isHttp ? createHttpServer(HTTP_OPTIONS) : createServer(SOCKET_OPTIONS)
  }
  try {
    const tls = await reloader.serverOptions()
    return isHttp
      ? createHttpsServer({ ...HTTP_OPTIONS, ...tls })
      : createTlsServer({ ...SOCKET_OPTIONS, ...tls, ...alpnOf(alpn) })
  } catch (cause) {
    throw badTls(name, cause)
  }
}

function alpnOf(alpn: readonly string[] | undefined): { readonly ALPNProtocols?: string[] } {
  return alpn === undefined ? {} : { ALPNProtocols: [...alpn] }
}

function badTls(name: string, cause: unknown): ListenError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new ListenError('BAD_TLS', `the TLS files of ${name} cannot be used: ${reason}`, { cause })
}

class SocketListener implements Listener {
  readonly name: string
  readonly host: string
  readonly tls: boolean
  readonly #server: Server
  readonly #protocol: ProtocolHandler
  readonly #log: NetLog
  readonly #reloader: TlsReloader | null
  readonly #naming: CertificateNaming
  readonly #transports = new Set<OwnedTransport>()
  readonly #webSockets: WebSocketOptions | null
  #probing: NodeJS.Timeout | null = null
  #onEmpty: (() => void) | null = null
  #port: number
  #closing: Promise<void> | null = null

  constructor(options: ListenOptions, server: Server, reloader: TlsReloader | null) {
    this.name = options.name
    this.host = options.host
    this.tls = options.tls !== undefined
    this.#port = options.port
    this.#server = server
    this.#protocol = options.protocol
    this.#log = options.log
    this.#reloader = reloader
    this.#naming = options.tls?.naming ?? {}
    server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX_DEFAULT
    server.on('drop', (data) => {
      const fields = { listener: this.name, peer: data?.remoteAddress, max: server.maxConnections }
      this.#log.warn(fields, 'connection refused: too many connections')
    })
    this.#webSockets = options.webSocket ?? null
    const { connectionRate: rate } = options
    // First, so that nobody else takes up a connection that is one too many.
    if (rate !== undefined) limitAcceptRate(server, rate, { listener: this.name, log: this.#log })
    if (this.tls) this.#watchTls()
    if (this.#webSockets !== null) this.#watchWebSockets(this.#webSockets)
    else if (!this.tls) server.on('connection', (socket) => this.#accept(socket))
  }

  get port(): number {
    return this.#port
  }

  get connectionCount(): number {
    return this.#transports.size
  }

  opened(): void {
    const address = this.#server.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
    this.#server.on('error', (error) => {
      this.#log.error({ listener: this.name, err: error }, 'listener failed')
    })
    this.#reloader?.start(this.#server, this.name)
  }

  async reloadTls(): Promise<void> {
    await this.#reloader?.reload()
  }

  cutConnections(): void {
    for (const transport of this.#transports) transport.destroy()
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs)
    return this.#closing
  }

  async #close(graceMs: number): Promise<void> {
    this.#reloader?.stop()
    if (this.#probing !== null) clearInterval(this.#probing)
    const stopped = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    // Whoever has not asked for a WebSocket yet is nobody's connection.
    if (this.#webSockets !== null) (this.#server as HttpServer).closeAllConnections()
    for (const transport of this.#transports) transport.shutdown('the broker is stopping')
    if (this.#transports.size > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#onEmpty = resolve
      })
      const timer = setTimeout(() => {
        for (const transport of this.#transports) transport.destroy()
      }, graceMs)
      await empty
      clearTimeout(timer)
    }
    await stopped
  }

  #watchTls(): void {
    refuseForeignCertificates(this.#server, { listener: this.name, log: this.#log })
    if (this.#webSockets !== null) return
    this.#server.on('secureConnection', (socket: TLSSocket) => this.#accept(socket))
  }

  #watchWebSockets(options: WebSocketOptions): void {
    // `createServerFor` has made an HTTP server for these options.
    new WebSocketGate(this.#server as HttpServer, options, (webSocket, socket) => {
      if (this.#closing !== null) webSocket.terminate()
      else this.#start(new WebSocketTransport(webSocket, this.#peerOf(socket)))
    })
    this.#probing = setInterval(() => {
      for (const transport of this.#transports) (transport as WebSocketTransport).probe()
    }, options.pingMs ?? WEB_SOCKET_PING_MS).unref()
  }

  #accept(socket: Socket): void {
    // A peer may reset between the kernel's accept and ours.
    if (socket.destroyed || this.#closing !== null) {
      socket.destroy()
      return
    }
    // Until the protocol has dealt with what came before the peer's end. Not a setting of the
    // server: a TLS handshake that the peer gives up would leave its socket open for ever.
    socket.allowHalfOpen = true
    this.#start(new SocketTransport(socket, this.#peerOf(socket)))
  }

  #peerOf(socket: Socket): PeerInfo {
    return peerInfoOf(socket, this.name, this.#naming)
  }

  #start(transport: OwnedTransport): void {
    this.#transports.add(transport)
    transport.start(this.#protocol, (closed) => {
      this.#transports.delete(closed)
      if (this.#transports.size === 0) this.#onEmpty?.()
    })
  }
}
