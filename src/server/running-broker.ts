import { connectAddress, formatListenAddress, type ListenAddress } from './listen-address.ts'
import type { Log } from './log.ts'
import type { ListenerName, PortSpec } from './protocol-ports.ts'
import type { ServerConfig } from './server-config.ts'

/** A port that is open, whatever speaks on it. */
export interface OpenListener {
  readonly port: PortSpec
  /** With the real port, also where 0 was asked for. */
  readonly address: ListenAddress
  readonly connectionCount: () => number
  readonly reloadTls: () => Promise<void>
  readonly cutConnections: () => void
  readonly close: (graceMs: number) => Promise<void>
}

export interface RunningParts {
  readonly config: ServerConfig
  /** Grows until the broker is open; not changed afterwards. */
  readonly listeners: readonly OpenListener[]
  readonly log: Log
  readonly hasBuiltInPassword: () => Promise<boolean>
  readonly close: (graceMs: number) => Promise<void>
}

/** A broker that runs in this process until it is closed. */
export class RunningBroker implements AsyncDisposable {
  /** An absolute path, or `memory`. */
  readonly data: string
  readonly #parts: RunningParts
  #closing: Promise<void> | null = null

  constructor(parts: RunningParts) {
    this.data = parts.config.data
    this.#parts = parts
  }

  /** What listens where. */
  get listeners(): readonly { readonly name: ListenerName; readonly address: ListenAddress }[] {
    return this.#parts.listeners.map(({ port, address }) => ({ name: port.name, address }))
  }

  /** The real port of a listener; throws when it is off. */
  port(name: ListenerName = 'amqp'): number {
    return this.#listener(name).address.port
  }

  /** Such as `amqp://127.0.0.1:5672` or `ws://127.0.0.1:8083/mqtt`, without a user; throws when the listener is off. */
  url(name: ListenerName = 'amqp'): string {
    const { port, address } = this.#listener(name)
    const where = formatListenAddress(connectAddress(address))
    if (port.webSocket === null) return `${port.name}://${where}`
    return `${port.tls ? 'wss' : 'ws'}://${where}${port.webSocket.path}`
  }

  /** Reads the certificates again; rejects, and keeps the old ones, when they are bad. */
  async reloadTls(): Promise<void> {
    await Promise.all(this.#parts.listeners.map(async (listener) => listener.reloadTls()))
  }

  /** Whether user `guest` has password `guest`; takes as long as a login. */
  async hasBuiltInPassword(): Promise<boolean> {
    return this.#parts.hasBuiltInPassword()
  }

  /**
   * Accepts nothing more, lets every client say goodbye for at most `timeoutMs` (default: the
   * configured stop timeout), and stores what was begun. Calling it again waits for the same end.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#parts.close(options.timeoutMs ?? this.#parts.config.stopTimeoutMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #listener(name: ListenerName): OpenListener {
    const listener = this.#parts.listeners.find(({ port }) => port.name === name)
    if (listener === undefined) throw new Error(`nothing listens for ${name}`)
    return listener
  }
}
