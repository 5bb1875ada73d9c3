import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import type { AdminApp } from '../admin/index.ts'
import { listenErrorOf } from '../net/listen-error.ts'
import { isLoopback, type ListenAddress } from './listen-address.ts'

/** The HTTP API on a port. */
export interface HttpListener {
  readonly address: ListenAddress
  readonly connectionCount: number
  cutConnections(): void
  /** Accepts nothing more; requests that run have `graceMs` to end. */
  close(graceMs: number): Promise<void>
}

/** One console or a few commands at a time; a flood of sockets is none of these. */
const CONNECTIONS_MAX = 1024

/** Rejects with `ListenError`. */
export async function listenHttp(app: AdminApp, address: ListenAddress): Promise<HttpListener> {
  const respond = getRequestListener((request, environment) => {
    const { remoteAddress = '' } = (environment as HttpBindings).incoming.socket
    const peer = { address: remoteAddress, loopback: isLoopback(remoteAddress) }
    return app.fetch(request, { peer })
  })
  const server = createServer((incoming, outgoing) => {
    // Answers 500 by itself where the app throws.
    void respond(incoming, outgoing)
  })
  server.maxConnections = CONNECTIONS_MAX
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenErrorOf(error, address.host, address.port)))
    server.listen({ host: address.host, port: address.port }, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: { host: address.host, port },
    get connectionCount() {
      return sockets.size
    },
    cutConnections: () => server.closeAllConnections(),
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(timer)
    },
  }
}
