import { type Server, type Socket, createServer } from 'node:net'
import { type TLSSocket, createServer as createTlsServer } from 'node:tls'
import { BACKLOG_SIZE, CONNECTIONS_MAX_DEFAULT, TLS_HANDSHAKE_TIMEOUT_MS } from './limits.ts'
import { ListenError, listenErrorOf } from './listen-error.ts'
import { hasPeerCertificate } from './peer-info.ts'
import { SocketTransport } from './socket-transport.ts'
import { TlsReloader } from './tls-reloader.ts'
import { type TlsOptions, loadTls } from './tls-options.ts'
import type { NetLog, ProtocolHandler } from './transport.ts'

export interface ListenOptions {
  /** For logs and listings, such as `amqp` or `amqps`. */
  readonly name: string
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly protocol: ProtocolHandler
  /** Absent: plain TCP. */
  readonly tls?: TlsOptions
  /** Default 65536; one more is closed at once and logged. */
  readonly connectionsMax?: number
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
  const server = options.tls === undefined ? plainServer() : await tlsServer(options, options.tls)
  const listener = new SocketListener(options, server, reloader)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenErrorOf(error, options.host, options.port)))
    server.listen({ host: options.host, port: options.port, backlog: BACKLOG_SIZE }, resolve)
  })
  listener.opened()
  return listener
}

function plainServer(): Server {
  return createServer({ noDelay: true, keepAlive: true })
}

async function tlsServer(options: ListenOptions, tls: TlsOptions): Promise<Server> {
  const mode = tls.clientCertificate ?? 'none'
  try {
    return createTlsServer({
      ...(await loadTls(tls)),
      noDelay: true,
      keepAlive: true,
      handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS,
      requestCert: mode !== 'none',
      rejectUnauthorized: mode === 'require',
    })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const text = `the TLS files of ${options.name} cannot be used: ${reason}`
    throw new ListenError('BAD_TLS', text, { cause })
  }
}

class SocketListener implements Listener {
  readonly name: string
  readonly host: string
  readonly tls: boolean
  readonly #server: Server
  readonly #protocol: ProtocolHandler
  readonly #log: NetLog
  readonly #reloader: TlsReloader | null
  readonly #transports = new Set<SocketTransport>()
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
    server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX_DEFAULT
    server.on('drop', (data) => {
      const fields = { listener: this.name, peer: data?.remoteAddress, max: server.maxConnections }
      this.#log.warn(fields, 'connection refused: too many connections')
    })
    if (this.tls) this.#watchTls()
    else server.on('connection', (socket) => this.#accept(socket))
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
    const stopped = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
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
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      // Asked for but not demanded: none is fine, one that nobody we trust signed is not.
      if (!socket.authorized && hasPeerCertificate(socket)) {
        const fields = { listener: this.name, peer: socket.remoteAddress }
        this.#log.warn(fields, `client certificate refused: ${String(socket.authorizationError)}`)
        socket.destroy()
        return
      }
      this.#accept(socket)
    })
    this.#server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
      const fields = { listener: this.name, peer: socket.remoteAddress, reason: error.message }
      this.#log.info(fields, 'TLS handshake failed')
    })
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
    const transport = new SocketTransport(socket, this.name)
    this.#transports.add(transport)
    transport.start(this.#protocol, (closed) => {
      this.#transports.delete(closed)
      if (this.#transports.size === 0) this.#onEmpty?.()
    })
  }
}
