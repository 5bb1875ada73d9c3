import type { WebSocket } from 'ws'
import { LINGER_MS } from './limits.ts'
import { nextTransportId, type OwnedTransport } from './owned-transport.ts'
import type { ConnectionHandler, PeerInfo, ProtocolHandler } from './transport.ts'

/** Status codes of RFC 6455, section 7.4.1. */
const NORMAL_CLOSURE = 1000
const UNSUPPORTED_DATA = 1003

const BINARY = { binary: true } as const

/**
 * A `Transport` over one WebSocket: binary messages are a stream of bytes whose borders mean
 * nothing, in both directions. Text is refused. Owns the socket until `closed`.
 */
export class WebSocketTransport implements OwnedTransport {
  readonly id: number = nextTransportId()
  readonly peer: PeerInfo
  readonly #webSocket: WebSocket
  #handler: ConnectionHandler | null = null
  #onClosed: ((transport: OwnedTransport) => void) | null = null
  #error: Error | null = null
  #waiting = false
  #ending = false
  /** The WebSocket is closed; the handler may not be done with what came before. */
  #isOver = false
  #isAlive = true
  #linger: NodeJS.Timeout | null = null
  /** One function for all writes: the callback tells when the kernel has everything. */
  readonly #written = (error?: Error | null): void => {
    // As in `SocketTransport`: what a broken socket did not take is not taken.
    if (error instanceof Error || this.#webSocket.readyState !== this.#webSocket.OPEN) return
    if (!this.#waiting || this.#webSocket.bufferedAmount > 0) return
    this.#waiting = false
    this.#handler?.drained()
  }

  constructor(webSocket: WebSocket, peer: PeerInfo) {
    this.#webSocket = webSocket
    this.peer = peer
  }

  start(protocol: ProtocolHandler, onClosed: (transport: OwnedTransport) => void): void {
    const webSocket = this.#webSocket
    // First, so that an error inside `accept` finds somebody who listens.
    webSocket.on('error', (error: Error) => this.#fail(error))
    this.#onClosed = onClosed
    webSocket.once('close', () => {
      this.#isOver = true
      this.#stopLinger()
      if (this.#ending) {
        this.#finish()
        return
      }
      // The peer's last words may not be dealt with yet: the handler says when they are.
      this.#linger = setTimeout(() => this.#finish(), LINGER_MS)
      this.#handler?.ended()
    })
    this.#handler = protocol.accept(this)
    webSocket.on('message', (data, isBinary) => {
      this.#isAlive = true
      // Only 'nodebuffer' was asked for, so it is a Buffer.
      if (isBinary) this.#handler?.received(data as Buffer)
      else this.#refuseText()
    })
    webSocket.on('pong', () => {
      this.#isAlive = true
    })
  }

  get pendingBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  write(bytes: Uint8Array): boolean {
    const webSocket = this.#webSocket
    if (this.#ending || webSocket.readyState !== webSocket.OPEN) return true
    webSocket.send(bytes, BINARY, this.#written)
    // Zero right after the call: the system call inside it took everything.
    if (webSocket.bufferedAmount === 0) return true
    this.#waiting = true
    return false
  }

  pause(): void {
    this.#webSocket.pause()
  }

  resume(): void {
    // The answer to a ping may wait in what was not read.
    this.#isAlive = true
    this.#webSocket.resume()
  }

  end(): void {
    if (this.#ending) return
    this.#ending = true
    if (this.#isOver) {
      // As with a socket, `closed` comes after the call that led to it.
      queueMicrotask(() => this.#finish())
      return
    }
    // The peer's answer can only be read by a socket that reads.
    this.#webSocket.resume()
    this.#webSocket.close(NORMAL_CLOSURE)
    this.#linger ??= setTimeout(() => this.#webSocket.terminate(), LINGER_MS)
  }

  destroy(error?: Error): void {
    if (error !== undefined) this.#error ??= error
    this.#ending = true
    if (this.#isOver) queueMicrotask(() => this.#finish())
    else this.#webSocket.terminate()
  }

  shutdown(reason: string): void {
    if (this.#ending) return
    this.#handler?.shutdown(reason)
  }

  /**
   * Asks whether the peer is there, and gives up on one that has not answered the last time.
   * Whoever is not read cannot be blamed for silence.
   */
  probe(): void {
    const webSocket = this.#webSocket
    if (this.#ending || this.#isOver || webSocket.isPaused) return
    if (!this.#isAlive) {
      this.destroy(new Error('the peer answers no ping'))
      return
    }
    this.#isAlive = false
    // What waits to be read by the peer would only be made longer.
    if (webSocket.readyState === webSocket.OPEN && !this.#waiting) webSocket.ping()
    else this.#isAlive = true
  }

  #refuseText(): void {
    if (this.#ending) return
    this.#webSocket.close(UNSUPPORTED_DATA, 'binary messages only')
    this.#fail(new Error('the peer sent text'))
  }

  /** What comes after it is nobody's; the WebSocket says goodbye by itself, in `LINGER_MS`. */
  #fail(error: Error): void {
    this.#error ??= error
    this.#ending = true
    this.#tellClosed()
  }

  #finish(): void {
    this.#stopLinger()
    this.#onClosed?.(this)
    this.#onClosed = null
    this.#tellClosed()
  }

  #tellClosed(): void {
    const handler = this.#handler
    this.#handler = null
    handler?.closed(this.#error)
  }

  #stopLinger(): void {
    if (this.#linger !== null) clearTimeout(this.#linger)
    this.#linger = null
  }
}
