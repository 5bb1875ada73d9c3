import type { Socket } from 'node:net'
import { LINGER_MS } from './limits.ts'
import { nextTransportId, type OwnedTransport } from './owned-transport.ts'
import { readShared } from './shared-reads.ts'
import type { ConnectionHandler, PeerInfo, ProtocolHandler } from './transport.ts'

/** A `Transport` over one TCP or TLS socket. Owns the socket until `closed`. */
export class SocketTransport implements OwnedTransport {
  readonly id: number = nextTransportId()
  readonly peer: PeerInfo
  readonly #socket: Socket
  #handler: ConnectionHandler | null = null
  #error: Error | null = null
  #waiting = false
  #ending = false
  #linger: NodeJS.Timeout | null = null
  /** One function for all writes: the callback tells when the kernel has everything. */
  readonly #written = (error?: Error | null): void => {
    // What a broken socket did not take is not taken: `closed` follows, and until then no more
    // shall be made for it.
    if (error instanceof Error || this.#socket.destroyed) return
    if (!this.#waiting || this.#socket.writableLength > 0) return
    this.#waiting = false
    this.#handler?.drained()
  }

  constructor(accepted: Socket, peer: PeerInfo) {
    this.#socket = readShared(accepted, (bytes) => this.#handler?.received(bytes))
    this.peer = peer
  }

  start(protocol: ProtocolHandler, onClosed: (transport: OwnedTransport) => void): void {
    const socket = this.#socket
    // First, so that an error inside `accept` finds somebody who listens.
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.once('close', () => {
      if (this.#linger !== null) clearTimeout(this.#linger)
      onClosed(this)
      const handler = this.#handler
      this.#handler = null
      handler?.closed(this.#error)
    })
    const handler = protocol.accept(this)
    this.#handler = handler
    socket.once('end', () => this.#handler?.ended())
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  write(bytes: Uint8Array): boolean {
    const socket = this.#socket
    if (socket.destroyed || this.#ending) return true
    socket.write(bytes, this.#written)
    // Zero right after the call: the system call inside it took everything.
    if (socket.writableLength === 0) return true
    this.#waiting = true
    return false
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    if (this.#ending) return
    this.#ending = true
    const socket = this.#socket
    if (socket.destroyed) return
    // Unread input would turn our end into a reset, and the peer would miss our last words.
    socket.resume()
    socket.end()
    this.#linger = setTimeout(() => socket.destroy(), LINGER_MS)
  }

  destroy(error?: Error): void {
    if (error !== undefined) this.#error ??= error
    this.#ending = true
    this.#socket.destroy()
  }

  shutdown(reason: string): void {
    if (this.#ending) return
    this.#handler?.shutdown(reason)
  }
}
