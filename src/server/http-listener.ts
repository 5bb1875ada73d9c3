import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { AdminApp } from '../admin/index.ts'
import type { ListenerLimitsInput } from './config-schema.ts'
import {
  limitAcceptRate,
  ListenError,
  type NetLog,
  TlsReloader,
  type TlsOptions,
} from '../net/index.ts'
import { listenErrorOf } from '../net/listen-error.ts'
import { refuseForeignCertificates } from '../net/foreign-certificates.ts'
import { HttpSockets } from './http-sockets.ts'
import { isLoopback, type ListenAddress } from './listen-address.ts'

/** The HTTP API on a port. */
export interface HttpListener {
  readonly address: ListenAddress
  readonly connectionCount: number
  /** Rejects, and keeps the old ones, when the files are bad. */
  reloadTls(): Promise<void>
  cutConnections(): void
  /** Accepts nothing more; requests that run have `graceMs` to end. */
  close(graceMs: number): Promise<void>
}

export interface HttpListenOptions {
  /** `http` or `https`. */
  readonly name: string
  readonly address: ListenAddress
  /** null: plain HTTP. */
  readonly tls: TlsOptions | null
  readonly log: NetLog
  readonly limits: ListenerLimitsInput
}

/** Whoever has not sent a whole request by then is closed: commands send theirs at once. */
const REQUEST_TIMEOUT_MS = 30_000

/** The same for its head alone; looked at every half of it. */
const HEADERS_TIMEOUT_MS = 10_000

const SERVER_OPTIONS = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  requestTimeout: REQUEST_TIMEOUT_MS,
  connectionsCheckingInterval: HEADERS_TIMEOUT_MS / 2,
} as const

/** Rejects with `ListenError`. */
export async function listenHttp(app: AdminApp, options: HttpListenOptions): Promise<HttpListener> {
  const { address, log, name } = options
  const respond = getRequestListener((request, environment) => {
    const { remoteAddress = '' } = (environment as HttpBindings).incoming.socket
    const peer = { address: remoteAddress, loopback: isLoopback(remoteAddress) }
    return app.fetch(request, { peer })
  })
  const reloader = options.tls === null ? null : new TlsReloader(options.tls, log)
  const server = await createServerFor(options, reloader, (incoming, outgoing) => {
    // Answers 500 by itself where the app throws.
    void respond(incoming, outgoing)
  })
  const { connections: max, connectionRate } = options.limits
  const about = { listener: name, log }
  if (connectionRate !== undefined) limitAcceptRate(server, connectionRate, about)
  const sockets = new HttpSockets(server, max === undefined ? about : { ...about, max })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenErrorOf(error, address.host, address.port)))
    server.listen({ host: address.host, port: address.port }, resolve)
  })
  reloader?.start(server, name)
  const { port } = server.address() as AddressInfo
  return {
    address: { host: address.host, port },
    get connectionCount() {
      return sockets.count
    },
    reloadTls: async () => reloader?.reload(),
    cutConnections: () => sockets.destroyAll(),
    close: async (graceMs) => {
      reloader?.stop()
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const timer = setTimeout(() => sockets.destroyAll(), graceMs)
      await closed
      clearTimeout(timer)
    },
  }
}

async function createServerFor(
  { name, log }: HttpListenOptions,
  reloader: TlsReloader | null,
  handle: RequestListener,
): Promise<Server> {
  if (reloader === null) return createServer(SERVER_OPTIONS, handle)
  try {
    const server = createTlsServer(
      { ...SERVER_OPTIONS, ...(await reloader.serverOptions()) },
      handle,
    )
    refuseForeignCertificates(server, { listener: name, log })
    return server
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const text = `the TLS files of ${name} cannot be used: ${reason}`
    throw new ListenError('BAD_TLS', text, { cause })
  }
}
