import { lookup, Resolver } from 'node:dns/promises'
import { isIP } from 'node:net'
import { NAMES_TIMEOUT_MS } from './limits.ts'

/** Addresses of a name, and how long they are good. */
interface FoundAddresses {
  readonly addresses: readonly string[]
  /** Infinity: it was not said. */
  readonly ttlMs: number
}

/** Where a service is, as an SRV record says. */
interface ServicePlace {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** Looks names up in DNS. */
export class Names {
  readonly #resolver: Resolver
  readonly #isOwn: boolean

  /** `servers`: their addresses; absent: those of the machine. */
  constructor(servers: readonly string[] | undefined) {
    this.#resolver = new Resolver({ timeout: NAMES_TIMEOUT_MS, tries: 2 })
    this.#isOwn = servers !== undefined
    if (servers !== undefined) this.#resolver.setServers(servers)
  }

  /**
   * Of both families. What the machine knows by other means than name servers has no TTL. Rejects
   * when there is none.
   */
  async addresses(hostname: string): Promise<FoundAddresses> {
    const host = hostname.replace(/^\[(.*)\]$/, '$1')
    if (isIP(host) !== 0) return { addresses: [host], ttlMs: Infinity }
    const [four, six] = await Promise.allSettled([
      this.#resolver.resolve4(host, { ttl: true }),
      this.#resolver.resolve6(host, { ttl: true }),
    ])
    const records = [four, six].flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    if (records.length > 0) {
      const ttls = records.map(({ ttl }) => ttl * 1000)
      return { addresses: records.map(({ address }) => address), ttlMs: Math.min(...ttls) }
    }
    if (this.#isOwn) throw four.status === 'rejected' ? four.reason : new Error(`no ${host}`)
    const known = await lookup(host, { all: true })
    return { addresses: known.map(({ address }) => address), ttlMs: Infinity }
  }

  /** Rejects when there are none. */
  async services(hostname: string): Promise<readonly ServicePlace[]> {
    return this.#resolver.resolveSrv(hostname)
  }
}
