import type { RpcCore } from '../rpc/core.ts'

/** One provider of one service. */
export interface ServiceView {
  readonly vhost: string
  readonly service: string
  readonly instance: string
  readonly version: string
  readonly labels: Readonly<Record<string, string>>
  readonly policy: string
  readonly weight: number
  /** Calls it takes at once; 0: it is draining. */
  readonly capacity: number
  readonly outstanding: number
  /** Since it came. */
  readonly calls: number
  /** Calls of the service that wait, for whichever provider. */
  readonly waiting: number
  readonly user: string
}

export function* serviceViews(core: RpcCore, vhost: string): Iterable<ServiceView> {
  for (const { name, providers, waiting, balancer } of core.host(vhost).registry.services) {
    for (const { info, capacity, outstanding, callCount } of providers) {
      const { instanceId, version, labels, weight, user } = info
      yield {
        ...{ vhost, service: name, instance: instanceId, version, labels },
        ...{ policy: balancer.policy, weight, capacity, outstanding },
        ...{ calls: callCount, waiting: waiting.size, user },
      }
    }
  }
}
