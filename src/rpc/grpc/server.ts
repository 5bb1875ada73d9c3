import type { Clock, Timer } from '../../lib/clock.ts'
import type { Turn } from '../../lib/turn.ts'
import {
  type ConnectionHandler,
  http1Protocol,
  type PeerInfo,
  type ProtocolHandler,
  SlabPool,
  type Transport,
} from '../../net/index.ts'
import { type ConnectionShared, GrpcConnection } from './connection.ts'
import { Http1CallConnection } from './http1-connection.ts'
import { DEFAULT_LIMITS, type GrpcLimits } from './limits.ts'
import type { Logins } from './login.ts'

export interface GrpcServerOptions {
  readonly turn: Turn
  readonly clock: Clock
  readonly limits: Partial<GrpcLimits>
  /** Of a connection that was just accepted. */
  readonly loginsOf: (peer: PeerInfo) => Logins
}

/** One connection as listings show it. */
export interface GrpcConnectionInfo {
  readonly id: number
  readonly name: string
  readonly clientName: null
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
  readonly heldBackBy: null
  /** Calls that are open. */
  readonly channels: number
  readonly consumers: number
  readonly protocol: string
  readonly peerAddress: string
  readonly peerPort: number
  readonly listener: string
  readonly tls: boolean
  readonly clientProduct: null
  readonly connectedAtMs: number
  readonly receivedBytes: number
  readonly sentBytes: number
}

const TICK_MS = 1000

/** Takes calls of gRPC, gRPC-Web and Connect over HTTP/2, and the latter two over HTTP/1.1. */
export class GrpcServer implements ProtocolHandler, ConnectionShared {
  readonly name = 'grpc'
  readonly turn: Turn
  readonly clock: Clock
  readonly limits: GrpcLimits
  readonly slabs: SlabPool = new SlabPool()
  readonly loginsOf: (peer: PeerInfo) => Logins
  /** The same calls over HTTP/1.1: Connect and gRPC-Web. */
  readonly http1: ProtocolHandler
  readonly #connections = new Map<number, GrpcConnection>()
  readonly #http1Connections = new Map<number, Http1CallConnection>()
  /** One for all connections; none while there is no connection. */
  #timer: Timer | null = null

  constructor(options: GrpcServerOptions) {
    this.turn = options.turn
    this.clock = options.clock
    this.loginsOf = options.loginsOf
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.http1 = http1Protocol('connect', (_, transport) => this.#openHttp1(transport), this.clock)
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new GrpcConnection(transport, this)
    this.#connections.set(connection.id, connection)
    this.#timer ??= this.clock.setTimer(TICK_MS, () => this.#tick())
    return connection
  }

  closed(connection: GrpcConnection): void {
    this.#connections.delete(connection.id)
    if (this.#connections.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }

  connections(): GrpcConnectionInfo[] {
    return this.#all().map((connection) => connection.info)
  }

  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id) ?? this.#http1Connections.get(id)
    if (connection === undefined) return false
    connection.fail(reason)
    return true
  }

  permissionsChanged(user: string): void {
    for (const connection of this.#all()) {
      if (connection.users.includes(user)) connection.permissionsChanged()
    }
  }

  #all(): (GrpcConnection | Http1CallConnection)[] {
    return [...this.#connections.values(), ...this.#http1Connections.values()]
  }

  #openHttp1(transport: Transport): Http1CallConnection {
    const connection = new Http1CallConnection(transport, this, () => {
      this.#http1Connections.delete(connection.id)
    })
    this.#http1Connections.set(connection.id, connection)
    return connection
  }

  #tick(): void {
    this.#timer = this.clock.setTimer(TICK_MS, () => this.#tick())
    for (const connection of this.#connections.values()) connection.tick()
  }
}
