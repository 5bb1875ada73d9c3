import type { Clock } from '../lib/clock.ts'

/** Where calls of a service can be taken, such as `rpc://10.0.0.7:7800` or `grpc://host:50051`. */
export interface Instance {
  readonly url: string
  /** How much it gets beside others, with the policy `weighted` and by key. Default 1. */
  readonly weight?: number
  /** The name that its certificate must have, over TLS. Default: the host of the URL. */
  readonly serverName?: string
}

export interface DiscoveryListener {
  /** Where any of this is to take its time from. */
  readonly clock: Clock
  /** All that there are now. */
  found(instances: readonly Instance[]): void
  /** What was found before may still be there. */
  failed(reason: string): void
}

export interface DiscoveryWatch {
  /** An instance could not be reached: it is worth looking again. */
  refresh(): void
  stop(): void
}

/** Knows the instances of a service as they come and go. */
export interface Discovery {
  /** For texts, such as `dns:orders.example`. */
  readonly name: string
  /** The listener is first told when this has returned. */
  watch(listener: DiscoveryListener): DiscoveryWatch
}

/** Instances that stay where they are. */
export function staticInstances(instances: readonly (string | Instance)[]): Discovery {
  const all = instances.map((one) => (typeof one === 'string' ? { url: one } : one))
  return {
    name: all.map(({ url }) => new URL(url).host).join(','),
    watch: (listener) => {
      let isStopped = false
      queueMicrotask(() => {
        if (isStopped) return
        if (all.length === 0) listener.failed('the list of instances is empty')
        else listener.found(all)
      })
      return { refresh: () => {}, stop: () => (isStopped = true) }
    },
  }
}
