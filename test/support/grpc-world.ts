import { Authenticator, UserStore } from '../../src/auth/index.ts'
import { Broker } from '../../src/broker/index.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { systemRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { listen, type Listener } from '../../src/net/index.ts'
import { createGrpc, type GrpcOptions } from '../../src/protocols/grpc/index.ts'
import type { Callee } from '../../src/rpc/call.ts'
import { RpcCore } from '../../src/rpc/core.ts'
import type { GrpcServer } from '../../src/rpc/grpc/index.ts'
import type { Attachment } from '../../src/rpc/registry.ts'

const silent = { info: () => {}, warn: () => {}, error: () => {} }

/** Calls over gRPC in this process: a listener, the relay, and providers that a test attaches. */
export class GrpcWorld implements AsyncDisposable {
  readonly core: RpcCore
  readonly users: UserStore
  readonly grpc: GrpcServer
  readonly #listener: Listener
  readonly #broker: Broker

  constructor(parts: GrpcWorldParts) {
    this.core = parts.core
    this.users = parts.users
    this.grpc = parts.grpc
    this.#listener = parts.listener
    this.#broker = parts.broker
  }

  static async open(limits: GrpcOptions['limits'] = {}): Promise<GrpcWorld> {
    const clock = systemClock
    const random = systemRandom
    const turn = new Turn()
    const engine = await openEmbeddedEngine({ memory: true, clock })
    const users = await UserStore.open(engine.kv, { random })
    const broker = await Broker.open({ engine, clock, random, turn, log: silent })
    const core = new RpcCore({ clock, random })
    const authenticator = new Authenticator(users, { clock })
    const grpc = createGrpc({
      broker,
      core,
      users,
      authenticator,
      turn,
      clock,
      limits,
    })
    const listener = await listen({
      ...{ name: 'rpc', host: '127.0.0.1', port: 0 },
      ...{ protocol: grpc, log: silent },
    })
    return new GrpcWorld({ core, users, grpc, listener, broker })
  }

  get address(): string {
    return `127.0.0.1:${this.#listener.port}`
  }

  attach(service: string, callee: Callee, capacity = 1000): Attachment {
    const info = { instanceId: 'here', version: '', labels: {}, weight: 1, user: '' }
    return this.core.host('/').registry.attach({ ...info, services: [service] }, callee, capacity)
  }

  /** As a stop of the broker does it. */
  async stop(graceMs: number): Promise<void> {
    await this.#listener.close(graceMs)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener.close(0)
    this.core.close()
    await this.#broker.close()
  }
}

interface GrpcWorldParts {
  readonly core: RpcCore
  readonly users: UserStore
  readonly grpc: GrpcServer
  readonly listener: Listener
  readonly broker: Broker
}
