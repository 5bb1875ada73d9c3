import type { Authenticator, UserStore } from '../../auth/index.ts'
import type { Broker } from '../../broker/index.ts'
import type { Clock } from '../../lib/clock.ts'
import type { Turn } from '../../lib/turn.ts'
import type { RpcCore } from '../../rpc/core.ts'
import { DEFAULT_LIMITS, type GrpcLimits, GrpcServer } from '../../rpc/grpc/index.ts'
import { BrokerLogins } from './logins.ts'

export interface GrpcOptions {
  readonly broker: Broker
  readonly core: RpcCore
  readonly users: UserStore
  readonly authenticator: Authenticator
  readonly turn: Turn
  readonly clock: Clock
  readonly limits?: Partial<GrpcLimits>
}

/** gRPC, gRPC-Web and Connect in front of a broker, for all listeners that speak them. */
export function createGrpc(options: GrpcOptions): GrpcServer {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const { turn, clock, users } = options
  const parts = { ...options, limits }
  const server = new GrpcServer({
    ...{ turn, clock, limits },
    loginsOf: (peer) => new BrokerLogins(parts, peer),
  })
  users.onChange((name) => server.permissionsChanged(name))
  return server
}
