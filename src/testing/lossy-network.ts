import type { ConnectionHandler, PeerInfo, ProtocolHandler, Transport } from '../net/index.ts'

/** Whose words get lost. */
export type Speaker = 'clients' | 'broker'

/** Connections that still stand while nothing arrives any more, as when a cable is pulled. */
export class LossyNetwork {
  readonly #connections = new Set<LossyTransport>()

  /** The same protocol, over this network. */
  carry(protocol: ProtocolHandler): ProtocolHandler {
    return {
      name: protocol.name,
      accept: (transport) => {
        const lossy = new LossyTransport(transport)
        this.#connections.add(lossy)
        return lossy.handlerFor(protocol.accept(lossy), () => this.#connections.delete(lossy))
      },
    }
  }

  /** Of all connections that stand now, until their end. */
  lose(speaker: Speaker): void {
    for (const connection of this.#connections) connection.lose(speaker)
  }
}

class LossyTransport implements Transport {
  readonly #inner: Transport
  #losesOutput = false
  #losesInput = false

  constructor(inner: Transport) {
    this.#inner = inner
  }

  get id(): number {
    return this.#inner.id
  }

  get peer(): PeerInfo {
    return this.#inner.peer
  }

  get pendingBytes(): number {
    return this.#inner.pendingBytes
  }

  lose(speaker: Speaker): void {
    if (speaker === 'broker') this.#losesOutput = true
    else this.#losesInput = true
  }

  handlerFor(handler: ConnectionHandler, onClosed: () => void): ConnectionHandler {
    return {
      received: (bytes) => {
        if (!this.#losesInput) handler.received(bytes)
      },
      drained: () => handler.drained(),
      ended: () => handler.ended(),
      closed: (error) => {
        onClosed()
        handler.closed(error)
      },
      shutdown: (reason) => handler.shutdown(reason),
    }
  }

  write(bytes: Uint8Array): boolean {
    return this.#losesOutput || this.#inner.write(bytes)
  }

  pause(): void {
    this.#inner.pause()
  }

  resume(): void {
    this.#inner.resume()
  }

  end(): void {
    this.#inner.end()
  }

  destroy(error?: Error): void {
    this.#inner.destroy(error)
  }
}
