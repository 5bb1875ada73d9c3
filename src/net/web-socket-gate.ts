import { type IncomingMessage, type Server, STATUS_CODES, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { LINGER_MS, MESSAGE_FRAGMENTS_MAX, WEB_SOCKET_MESSAGE_BYTES_MAX } from './limits.ts'
import { isLoopbackHost } from './peer-info.ts'
import type { WebSocketOptions } from './web-socket-options.ts'

interface Refusal {
  readonly status: number
  readonly text: string
}

/** Lets WebSockets through that an HTTP server is asked for, and answers everything else. */
export class WebSocketGate {
  readonly #options: WebSocketOptions
  readonly #webSockets: WebSocketServer
  readonly #accept: (webSocket: WebSocket, socket: Socket) => void

  constructor(
    server: Server,
    options: WebSocketOptions,
    accept: (webSocket: WebSocket, socket: Socket) => void,
  ) {
    this.#options = options
    this.#accept = accept
    // Not written into the call: the types do not know `closeTimeout` yet.
    const settings = {
      noServer: true,
      clientTracking: false,
      // Every connection would cost hundreds of KiB, for payloads that are small or compressed.
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax ?? WEB_SOCKET_MESSAGE_BYTES_MAX,
      maxFragments: MESSAGE_FRAGMENTS_MAX,
      closeTimeout: LINGER_MS,
      handleProtocols: (offered: ReadonlySet<string>) => this.#chosen(offered) ?? false,
    }
    this.#webSockets = new WebSocketServer(settings)
    server.on('request', (request, response) => this.#answer(request, response))
    server.on('upgrade', (request, socket: Socket, head) => this.#upgrade(request, socket, head))
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const refusal = this.#refusalOf(request)
    if (refusal === null) {
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#accept(webSocket, socket)
      })
      return
    }
    // A peer that resets instead of reading why is no error of ours.
    socket.on('error', () => socket.destroy())
    // Unread input would turn our end into a reset.
    socket.resume()
    const { status, text } = refusal
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n` +
        `Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n` +
        `\r\n${text}`,
    )
    setTimeout(() => socket.destroy(), LINGER_MS).unref()
  }

  #refusalOf(request: IncomingMessage): Refusal | null {
    const { path, subprotocols, origins = [] } = this.#options
    if (pathOf(request) !== path) return this.#notFound()
    const offered = offeredBy(request)
    if (this.#chosen(offered) === null) {
      const shown = [...offered].join(', ') || 'none'
      const text = `this server speaks the subprotocol ${subprotocols[0]}, offered was: ${shown}\n`
      return { status: 400, text }
    }
    const text = originRefusal(request, origins)
    return text === null ? null : { status: 403, text: `${text}\n` }
  }

  /** For requests that want no WebSocket. */
  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { status, text } =
      pathOf(request) === this.#options.path
        ? { status: 426, text: 'this is a WebSocket, ask for it with Upgrade: websocket\n' }
        : this.#notFound()
    const upgrade = status === 426 ? { upgrade: 'websocket' } : {}
    response.writeHead(status, {
      'content-type': 'text/plain; charset=utf-8',
      connection: 'close',
      ...upgrade,
    })
    response.end(text)
  }

  #notFound(): Refusal {
    return { status: 404, text: `there is only the WebSocket ${this.#options.path} here\n` }
  }

  #chosen(offered: ReadonlySet<string>): string | null {
    for (const name of offered) if (this.#options.subprotocols.includes(name)) return name
    return null
  }
}

function pathOf(request: IncomingMessage): string {
  return request.url?.split('?', 1)[0] ?? ''
}

function offeredBy(request: IncomingMessage): ReadonlySet<string> {
  const header = request.headers['sec-websocket-protocol'] ?? ''
  const names = header.split(',').map((name) => name.trim())
  return new Set(names.filter((name) => name !== ''))
}

/**
 * Why a page may not connect; null: it may. Programs name no origin and may. Pages of any origin
 * could otherwise reach, through the browser of somebody who looks at them, a broker that trusts
 * its own machine. So without a setting only pages of the same host may, and on this machine only
 * those of a loopback name, since any name can be made to lead here.
 */
function originRefusal(request: IncomingMessage, allowed: readonly string[]): string | null {
  const { origin, host = '' } = request.headers
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin)) return null
  const originHost = hostOf(origin)
  const isLocalPeer = isLoopbackHost(request.socket.remoteAddress ?? '')
  const isOwn = isLocalPeer
    ? isLoopbackHost(originHost ?? '')
    : originHost !== null && originHost === hostOf(`http://${host}`)
  return isOwn ? null : `pages of ${origin} may not connect, webSocket.origins can allow it`
}

function hostOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null
}
