import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker, BrokerLog } from '../../broker/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Turn } from '../../lib/turn.ts'
import {
  type ConnectionHandler,
  type ProtocolHandler,
  SlabPool,
  type Transport,
} from '../../net/index.ts'
import type { RpcCore } from '../../rpc/core.ts'
import { type ConnectionShared, RpcConnection } from './connection.ts'
import { DEFAULT_LIMITS, type RpcLimits } from './limits.ts'

export interface RpcOptions {
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits?: Partial<RpcLimits>
}

/** One connection as listings show it. */
export interface RpcConnectionInfo {
  readonly id: number
  readonly name: string
  readonly clientName: string | null
  readonly user: string | null
  readonly vhost: string | null
  readonly state: string
  readonly heldBackBy: null
  /** Calls that are open. */
  readonly channels: number
  /** Providers that are attached. */
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

/** Frames of calls, for all listeners that speak them. */
export interface Rpc extends ProtocolHandler {
  connections(): RpcConnectionInfo[]
  /** False when there is no such connection. */
  closeConnection(id: number, reason: string): boolean
}

export function createRpc(options: RpcOptions): Rpc {
  return new Protocol(options)
}

class Protocol implements Rpc, ConnectionShared {
  readonly name = 'rpc'
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly log: BrokerLog
  readonly limits: RpcLimits
  readonly slabs: SlabPool = new SlabPool()
  readonly #connections = new Map<number, RpcConnection>()

  constructor(options: RpcOptions) {
    this.broker = options.broker
    this.core = options.core
    this.users = options.users
    this.authenticator = options.authenticator
    this.turn = options.turn
    this.clock = options.clock
    this.log = options.log
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.users.onChange((name) => this.#userChanged(name))
  }

  accept(transport: Transport): ConnectionHandler {
    const connection = new RpcConnection(transport, this)
    this.#connections.set(connection.id, connection)
    return connection
  }

  closed(connection: RpcConnection): void {
    this.#connections.delete(connection.id)
  }

  connections(): RpcConnectionInfo[] {
    return [...this.#connections.values()].map((connection) => connection.info)
  }

  closeConnection(id: number, reason: string): boolean {
    const connection = this.#connections.get(id)
    if (connection === undefined) return false
    connection.fail(reason)
    return true
  }

  #userChanged(name: string): void {
    for (const connection of this.#connections.values()) {
      if (connection.userName === name) connection.permissionsChanged()
    }
  }
}
