import type { Broker } from '../../broker/index.ts'
import { CLOSED_REQUEST, type CallHead, type Callee, type ReplySink } from '../call.ts'
import type { RequestSink } from '../call.ts'
import type { RpcHost } from '../core.ts'
import { Metadata } from '../metadata.ts'
import { statusOf } from '../status.ts'
import { DurableCalls } from './durable-calls.ts'
import { DURABLE_LIMITS, type DurableLimits } from './limits.ts'

export interface DurableHostsOptions {
  readonly broker: Broker
  readonly limits?: Partial<DurableLimits>
  /** The longest attempt. Default an hour. */
  readonly deadlineMsMax?: number
}

/** The durable calls of all virtual hosts of a broker. */
export class DurableHosts {
  readonly #options: DurableHostsOptions
  readonly #hosts: DurableHost[] = []

  constructor(options: DurableHostsOptions) {
    this.#options = options
  }

  /** For the relay of one virtual host. */
  readonly open = (vhostName: string, rpc: RpcHost): Callee => {
    const host = new DurableHost(vhostName, rpc, this.#options)
    this.#hosts.push(host)
    return host
  }

  /**
   * Takes up what was stored, so that it goes on as soon as providers come, and forgets what was
   * of virtual hosts that are gone. When every protocol is known, for messages may be of any.
   */
  resume(host: (vhostName: string) => unknown): void {
    const { broker } = this.#options
    DurableCalls.forgetLost(broker)
    for (const vhost of broker.vhosts()) if (DurableCalls.isUsed(broker, vhost)) host(vhost.name)
  }

  /** Providers get nothing more, and what they have does not count as failed when they go. */
  stop(): void {
    for (const host of this.#hosts) host.stop()
  }
}

/** Those of one name: a virtual host may be deleted and made again. */
class DurableHost implements Callee {
  readonly #name: string
  readonly #rpc: RpcHost
  readonly #options: DurableHostsOptions
  #calls: DurableCalls | null = null

  constructor(name: string, rpc: RpcHost, options: DurableHostsOptions) {
    this.#name = name
    this.#rpc = rpc
    this.#options = options
    this.#current()
  }

  open(head: CallHead, reply: ReplySink): RequestSink {
    const calls = this.#current()
    if (calls !== null) return calls.open(head, reply)
    reply.status(statusOf('UNAVAILABLE', `no vhost '${this.#name}'`), Metadata.EMPTY)
    return CLOSED_REQUEST
  }

  stop(): void {
    this.#calls?.stop()
  }

  #current(): DurableCalls | null {
    const { broker, limits, deadlineMsMax } = this.#options
    const vhost = broker.vhost(this.#name)
    if (this.#calls !== null && this.#calls.vhost === vhost) return this.#calls
    this.#calls?.dispose()
    this.#calls = null
    if (vhost === undefined) return null
    this.#calls = new DurableCalls({
      ...{ broker, vhost, ...this.#rpc, deadlineMsMax },
      limits: { ...DURABLE_LIMITS, ...limits },
    })
    return this.#calls
  }
}
