import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { NetLog } from '../net/index.ts'

/** One console or a few commands at a time; a flood of sockets is none of these. */
export const HTTP_CONNECTIONS_MAX = 1024

/** A flood is told of once in so long. */
const WARN_EVERY_MS = 10_000

/**
 * The sockets of an HTTP server. When there are too many, the one that has waited longest without a
 * request goes, so that whoever has something to ask is answered however many only hold the line.
 */
export class HttpSockets {
  /** In order of their last sign of life; those with a request under way are not in it. */
  readonly #idle = new Set<Socket>()
  readonly #all = new Set<Socket>()
  readonly #max: number
  readonly #listener: string
  readonly #log: NetLog
  #warnedMs = -Infinity

  constructor(
    server: Server,
    options: { readonly listener: string; readonly log: NetLog; readonly max?: number },
  ) {
    this.#listener = options.listener
    this.#log = options.log
    this.#max = options.max ?? HTTP_CONNECTIONS_MAX
    server.on('connection', (socket: Socket) => this.#opened(socket))
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const socket = rawSocketOf(request.socket)
      this.#idle.delete(socket)
      response.once('close', () => {
        if (this.#all.has(socket)) this.#idle.add(socket)
      })
    })
  }

  get count(): number {
    return this.#all.size
  }

  destroyAll(): void {
    for (const socket of this.#all) socket.destroy()
  }

  #opened(socket: Socket): void {
    this.#all.add(socket)
    this.#idle.add(socket)
    socket.once('close', () => {
      this.#all.delete(socket)
      this.#idle.delete(socket)
    })
    if (this.#all.size <= this.#max) return
    // When all of them are busy, the newest goes: it has asked nothing yet.
    for (const oldest of this.#idle) {
      this.#all.delete(oldest)
      this.#idle.delete(oldest)
      oldest.destroy()
      break
    }
    const nowMs = performance.now()
    if (nowMs - this.#warnedMs < WARN_EVERY_MS) return
    this.#warnedMs = nowMs
    const fields = { listener: this.#listener, peer: socket.remoteAddress, max: this.#max }
    this.#log.warn(fields, 'too many HTTP connections: the longest without a request are closed')
  }
}

/** Under TLS a request names the socket above the one that was accepted. */
function rawSocketOf(socket: Socket): Socket {
  const { _parent: parent } = socket as unknown as { readonly _parent?: Socket | null }
  return parent ?? socket
}
