import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Callee } from './call.ts'
import { Directory } from './directory/directory.ts'
import { Registry } from './registry.ts'
import { Relay, type RelayLimits } from './relay.ts'

export interface RpcCoreOptions {
  readonly clock: Clock
  readonly random: RandomSource
  readonly limits?: Partial<RelayLimits>
  /** Stores the calls of a virtual host that are to be stored. Default: nobody does. */
  readonly durable?: (vhostName: string, host: RpcHost) => Callee
}

/** Calls of one virtual host. */
export interface RpcHost {
  readonly registry: Registry
  /** Who provides what, for those who look. */
  readonly directory: Directory
  readonly relay: Relay
}

/** Remote procedure calls of a broker: who provides what, and the relay between. */
export class RpcCore {
  readonly clock: Clock
  readonly random: RandomSource
  readonly #options: RpcCoreOptions
  readonly #hosts = new Map<string, RpcHost>()

  constructor(options: RpcCoreOptions) {
    this.clock = options.clock
    this.random = options.random
    this.#options = options
  }

  /** Of a virtual host that exists: the caller has let somebody into it. */
  host(vhostName: string): RpcHost {
    const known = this.#hosts.get(vhostName)
    if (known !== undefined) return known
    const { clock, random, limits = {} } = this.#options
    const registry = new Registry(random)
    const host = {
      registry,
      directory: new Directory(registry, clock),
      relay: new Relay(registry, clock, limits),
    }
    this.#hosts.set(vhostName, host)
    host.relay.durable = this.#options.durable?.(vhostName, host) ?? null
    return host
  }

  /** Every virtual host in which there ever was a call or a provider. */
  get hosts(): Iterable<readonly [string, RpcHost]> {
    return this.#hosts
  }

  /** Stops all timers; whoever owns a connection has ended its calls before. */
  close(): void {
    for (const { relay, directory } of this.#hosts.values()) {
      relay.deadlines.close()
      directory.close()
    }
  }
}
