import type { Timer } from '../lib/clock.ts'
import { Names } from '../net/index.ts'
import type { Discovery, DiscoveryListener, DiscoveryWatch, Instance } from './discovery.ts'
import { DNS_INTERVAL_MS, DNS_INTERVAL_MS_MIN, INSTANCES_MAX } from './limits.ts'

export interface DnsOptions {
  /**
   * Names are looked up again after so long, or when their TTL is over if that is sooner, and when
   * an instance is lost. Default 30 s; TTLs below 5 s count as 5 s.
   */
  readonly intervalMs?: number
  /** Addresses of name servers, such as `10.0.0.2:53`. Default: those of the machine. */
  readonly servers?: readonly string[]
}

/** What a look-up found, and how long it is good. */
interface Found {
  readonly instances: readonly Instance[]
  /** Infinity: it was not said. */
  readonly ttlMs: number
}

/**
 * The instances at all addresses (A and AAAA) of the host in a URL, such as
 * `rpc://orders.example:7800`. Throws `TypeError` for what is no URL.
 */
export function dnsInstances(url: string, options: DnsOptions = {}): Discovery {
  const { hostname } = parsed(url)
  return discovery(`dns:${hostname}`, options, async (names) => {
    const { addresses, ttlMs } = await names.addresses(hostname)
    return { instances: addresses.map((address) => placed(url, { address, hostname })), ttlMs }
  })
}

/**
 * The instances that the SRV records of the host in a URL name, such as
 * `grpc://_orders._tcp.example`: those of the best priority of which any can be found, with the
 * weights of the records. Throws `TypeError` for what is no URL.
 */
export function srvInstances(url: string, options: DnsOptions = {}): Discovery {
  const { hostname } = parsed(url)
  return discovery(`srv:${hostname}`, options, async (names) => {
    const records = await names.services(hostname)
    let fault: unknown = new Error(`${hostname} has no SRV records`)
    for (const priority of [...new Set(records.map((one) => one.priority))].toSorted(ascending)) {
      const best = records.filter((one) => one.priority === priority)
      const looked = await Promise.allSettled(best.map(async ({ name }) => names.addresses(name)))
      const instances: Instance[] = []
      let ttlMs = Infinity
      for (const [index, result] of looked.entries()) {
        const { name: target, port, weight } = best[index]!
        if (result.status === 'rejected') {
          fault = result.reason
          continue
        }
        ttlMs = Math.min(ttlMs, result.value.ttlMs)
        for (const address of result.value.addresses) {
          const place = { address, hostname: target, port }
          instances.push({ ...placed(url, place), weight: Math.max(weight, 1) })
        }
      }
      if (instances.length > 0) return { instances, ttlMs }
    }
    throw fault
  })
}

function ascending(one: number, other: number): number {
  return one - other
}

function discovery(
  name: string,
  { intervalMs = DNS_INTERVAL_MS, servers }: DnsOptions,
  look: (names: Names) => Promise<Found>,
): Discovery {
  const names = new Names(servers)
  return {
    name,
    watch: (listener) => new DnsWatch(listener, { intervalMs, look: async () => look(names) }),
  }
}

/** Looks again and again; what was found last stays while nothing can be found. */
class DnsWatch implements DiscoveryWatch {
  readonly #listener: DiscoveryListener
  readonly #intervalMs: number
  readonly #intervalMsMin: number
  readonly #look: () => Promise<Found>
  #timer: Timer | null = null
  #lookedAtMs = 0
  #isLooking = false
  #isStopped = false

  constructor(
    listener: DiscoveryListener,
    options: { readonly intervalMs: number; readonly look: () => Promise<Found> },
  ) {
    this.#listener = listener
    this.#intervalMs = options.intervalMs
    this.#intervalMsMin = Math.min(options.intervalMs, DNS_INTERVAL_MS_MIN)
    this.#look = options.look
    this.#again()
  }

  refresh(): void {
    const sinceMs = this.#listener.clock.monotonicMs() - this.#lookedAtMs
    this.#wait(this.#intervalMsMin - sinceMs)
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  #again(): void {
    this.#isLooking = true
    this.#lookedAtMs = this.#listener.clock.monotonicMs()
    this.#look().then(
      ({ instances, ttlMs }) => {
        this.#isLooking = false
        if (this.#isStopped) return
        this.#listener.found(instances.slice(0, INSTANCES_MAX))
        this.#wait(Math.min(this.#intervalMs, Math.max(ttlMs, this.#intervalMsMin)))
      },
      (error: unknown) => {
        this.#isLooking = false
        if (this.#isStopped) return
        this.#listener.failed(error instanceof Error ? error.message : String(error))
        this.#wait(this.#intervalMsMin)
      },
    )
  }

  #wait(delayMs: number): void {
    if (this.#isStopped || this.#isLooking) return
    this.#timer?.cancel()
    this.#timer = this.#listener.clock.setTimer(delayMs, () => this.#again())
  }
}

/** The URL with another host, and what TLS is to expect there. */
function placed(
  url: string,
  place: { readonly address: string; readonly hostname: string; readonly port?: number },
): Instance {
  const { address, hostname, port } = place
  const at = parsed(url)
  at.hostname = address.includes(':') ? `[${address}]` : address
  if (port !== undefined) at.port = String(port)
  return { url: at.href, serverName: hostname.replace(/^\[(.*)\]$/, '$1') }
}

function parsed(url: string): URL {
  const found = URL.canParse(url) ? new URL(url) : null
  if (found === null || found.hostname === '') throw new TypeError(`'${url}' is no URL of a host`)
  return found
}
