import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker, BrokerLog } from '../../broker/index.ts'
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Turn } from '../../lib/turn.ts'
import {
  type ConnectionHandler,
  http1Protocol,
  type ProtocolHandler,
  SlabPool,
  type Transport,
} from '../../net/index.ts'
import type { RpcCore } from '../../rpc/core.ts'
import { type ConnectionShared, GrpcConnection } from './connection.ts'
import { Http1CallConnection } from './http1-connection.ts'
import { DEFAULT_LIMITS, type GrpcLimits } from './limits.ts'

export interface GrpcOptions {
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits?: Partial<GrpcLimits>
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

/** gRPC over HTTP/2, for all listeners that speak it. */
export interface Grpc extends ProtocolHandler {
  /** The same calls over HTTP/1.1: Connect and gRPC-Web. */
  readonly http1: ProtocolHandler
  connections(): GrpcConnectionInfo[]
  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

export function createGrpc(options: GrpcOptions): Grpc {
  return new Protocol(options)
}

const TICK_MS = 1000

class Protocol implements Grpc, ConnectionShared {
  readonly name = 'grpc'
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits: GrpcLimits
  readonly slabs: SlabPool = new SlabPool()
  readonly http1: ProtocolHandler
  readonly #connections = new Map<number, GrpcConnection>()
  readonly #http1Connections = new Map<number, Http1CallConnection>()
  /** One for all connections; none while there is no connection. */
  #timer: Timer | null = null

  constructor(options: GrpcOptions) {
    this.broker = options.broker
    this.core = options.core
    this.users = options.users
    this.authenticator = options.authenticator
    this.turn = options.turn
    this.clock = options.clock
    this.log = options.log
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.http1 = http1Protocol('connect', (_, transport) => this.#openHttp1(transport), this.clock)
    this.users.onChange((name) => {
      for (const connection of this.#all()) {
        if (connection.users.includes(name)) connection.permissionsChanged()
      }
    })
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

  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id) ?? this.#http1Connections.get(id)
    if (connection === undefined) return false
    connection.fail(reason)
    return true
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
