import { type Socket, connect as connectTcp, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import { WebSocket } from 'ws'
import { WEB_SOCKET_MESSAGE_BYTES_MAX } from './limits.ts'
import type { OwnedTransport } from './owned-transport.ts'
import { peerInfoOf } from './peer-info.ts'
import { SocketTransport } from './socket-transport.ts'
import type { ProtocolHandler } from './transport.ts'
import { WebSocketTransport } from './web-socket-transport.ts'

export interface ConnectOptions {
  /** For the connection's description, as listeners have names. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** Given one transport, once the connection stands and TLS is agreed on. */
  readonly protocol: ProtocolHandler
  /** Absent: plain TCP. */
  readonly tls?: ConnectTls
  /** Present: a WebSocket on it. */
  readonly webSocket?: { readonly path: string; readonly subprotocol: string }
  /** Until TLS and WebSocket are agreed on. */
  readonly timeoutMs: number
}

/** PEM texts. The peer's certificate is always checked: against `ca`, or what Node trusts. */
export interface ConnectTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** What is spoken, the best first. Default: nothing is said. */
  readonly alpn?: readonly string[]
  /** The name the certificate must have; default the host. */
  readonly serverName?: string
}

/** Opens a connection to elsewhere. Rejects when there is none within the time. */
export async function connect(options: ConnectOptions): Promise<void> {
  const { protocol, webSocket } = options
  const transport =
    webSocket === undefined ? await openSocket(options) : await openWebSocket(options, webSocket)
  // Whoever connects keeps its own books.
  transport.start(protocol, () => {})
}

async function openSocket(options: ConnectOptions): Promise<OwnedTransport> {
  const { host, port, tls, name, timeoutMs } = options
  const settings = { host, port, noDelay: true, keepAlive: true }
  const socket =
    tls === undefined ? connectTcp(settings) : connectTls({ ...settings, ...tlsOptions(host, tls) })
  const event = tls === undefined ? 'connect' : 'secureConnect'
  await opened(timeoutMs, `${host}:${port}`, {
    begin: (done, failed) => socket.once(event, done).once('error', failed),
    end: (done, failed) => socket.off(event, done).off('error', failed),
    abort: () => socket.destroy(),
  })
  socket.allowHalfOpen = true
  return new SocketTransport(socket, peerInfoOf(socket, name))
}

async function openWebSocket(
  options: ConnectOptions,
  { path, subprotocol }: NonNullable<ConnectOptions['webSocket']>,
): Promise<OwnedTransport> {
  const { host, port, tls, name, timeoutMs } = options
  const where = host.includes(':') ? `[${host}]` : host
  const url = `${tls === undefined ? 'ws' : 'wss'}://${where}:${port}${path}`
  const webSocket = new WebSocket(url, [subprotocol], {
    perMessageDeflate: false,
    maxPayload: WEB_SOCKET_MESSAGE_BYTES_MAX,
    handshakeTimeout: timeoutMs,
    ...(tls === undefined ? {} : tlsOptions(host, tls)),
  })
  let socket: Socket | null = null
  webSocket.once('upgrade', (response) => {
    socket = response.socket
  })
  await opened(timeoutMs, url, {
    begin: (done, failed) => webSocket.once('open', done).once('error', failed),
    end: (done, failed) => webSocket.off('open', done).off('error', failed),
    abort: () => {
      // Its end is an error too, which nobody waits for any more.
      webSocket.on('error', () => {})
      webSocket.terminate()
    },
  })
  return new WebSocketTransport(webSocket, peerInfoOf(socket!, name))
}

function tlsOptions(host: string, tls: ConnectTls): ConnectionOptions {
  const { ca, cert, key, alpn, serverName = host } = tls
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    // RFC 6066: an address is no server name.
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
  }
}

interface Opening {
  readonly begin: (done: () => void, failed: (error: Error) => void) => void
  readonly end: (done: () => void, failed: (error: Error) => void) => void
  readonly abort: () => void
}

async function opened(timeoutMs: number, where: string, opening: Opening): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  opening.begin(resolve, reject)
  const timer = setTimeout(() => {
    reject(new Error(`no connection to ${where} within ${timeoutMs} ms`))
  }, timeoutMs)
  try {
    await promise
  } catch (error) {
    opening.abort()
    throw error
  } finally {
    clearTimeout(timer)
    opening.end(resolve, reject)
  }
}
