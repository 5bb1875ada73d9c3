import type { StateTable } from '../../broker/index.ts'

/** `user` and `client-id` of whom a quota is for; null stands for everybody without an own one. */
export interface QuotaEntity {
  readonly user?: string | null
  readonly clientId?: string | null
}

export const QUOTA_KEYS: readonly string[] = [
  'producer_byte_rate',
  'consumer_byte_rate',
  'request_percentage',
  'controller_mutation_rate',
]
export type RateKey = 'producer_byte_rate' | 'consumer_byte_rate'

export interface Quota {
  readonly entity: QuotaEntity
  readonly values: ReadonlyMap<string, number>
}

const PREFIX = 'kafka/quota/'
/** `quota.window.size.seconds` times `quota.window.num`: what may be used at once after a rest. */
const BURST_MS = 1000
/** A client is never silenced for longer at once. */
const THROTTLE_MS_MAX = 30_000
/** Buckets of clients that come and go; the oldest is forgotten, which only forgives a debt. */
const BUCKETS_MAX = 10_000

/** What one user or client has used; below 0 it has used more than it may. */
interface Bucket {
  bytesLeft: number
  atMs: number
}

/**
 * How many bytes a second users and clients may write and read (KIP-13, KIP-546). Whoever is over
 * is told by `throttle_time_ms` and not read meanwhile.
 */
export class Quotas {
  readonly #state: StateTable
  readonly #quotas: Map<string, Quota> = new Map()
  readonly #buckets: Map<string, Bucket> = new Map()

  constructor(state: StateTable) {
    this.#state = state
    for (const [key, value] of state.entries(PREFIX)) {
      const { entity, values } = JSON.parse(value.toString('utf8')) as {
        readonly entity: QuotaEntity
        readonly values: Record<string, number>
      }
      this.#quotas.set(key, { entity, values: new Map(Object.entries(values)) })
    }
  }

  all(): Iterable<Quota> {
    return this.#quotas.values()
  }

  /** Part of the commit of this turn. */
  set(entity: QuotaEntity, change: ReadonlyMap<string, number | null>): void {
    const key = keyOf(entity)
    const values = new Map(this.#quotas.get(key)?.values)
    for (const [name, value] of change) {
      if (value === null) values.delete(name)
      else values.set(name, value)
    }
    if (values.size === 0) {
      this.#quotas.delete(key)
      this.#state.delete(key)
      return
    }
    this.#quotas.set(key, { entity, values })
    const stored = JSON.stringify({ entity, values: Object.fromEntries(values) })
    this.#state.set(key, Buffer.from(stored, 'utf8'))
  }

  /** Counts bytes and says for how many milliseconds the client must wait now; 0: not at all. */
  use(
    key: RateKey,
    who: { readonly user: string; readonly clientId: string },
    { bytes, nowMs }: { readonly bytes: number; readonly nowMs: number },
  ): number {
    if (this.#quotas.size === 0) return 0
    const found = this.#find(key, who)
    if (found === null) return 0
    const { rate } = found
    const bucket = this.#bucket(`${key} ${found.share}`, rate, nowMs)
    const grown = bucket.bytesLeft + (rate * (nowMs - bucket.atMs)) / 1000
    bucket.bytesLeft = Math.min(grown, (rate * BURST_MS) / 1000) - bytes
    bucket.atMs = nowMs
    if (bucket.bytesLeft >= 0) return 0
    return Math.min(Math.ceil((-bucket.bytesLeft * 1000) / rate), THROTTLE_MS_MAX)
  }

  /** The most special quota that fits, in Kafka's order, and the name of who shares it. */
  #find(
    key: RateKey,
    { user, clientId }: { readonly user: string; readonly clientId: string },
  ): { readonly rate: number; readonly share: string } | null {
    const candidates: readonly QuotaEntity[] = [
      { user, clientId },
      { user, clientId: null },
      { user },
      { user: null, clientId },
      { user: null, clientId: null },
      { user: null },
      { clientId },
      { clientId: null },
    ]
    for (const entity of candidates) {
      const rate = this.#quotas.get(keyOf(entity))?.values.get(key)
      if (rate === undefined) continue
      // A default holds for each user or client by itself.
      const share = [
        'user' in entity ? `u:${user}` : '',
        'clientId' in entity ? `c:${clientId}` : '',
      ]
      return { rate, share: share.join(' ') }
    }
    return null
  }

  #bucket(name: string, rate: number, nowMs: number): Bucket {
    const known = this.#buckets.get(name)
    if (known !== undefined) return known
    if (this.#buckets.size >= BUCKETS_MAX) {
      const [oldest] = this.#buckets.keys()
      this.#buckets.delete(oldest!)
    }
    const bucket = { bytesLeft: (rate * BURST_MS) / 1000, atMs: nowMs }
    this.#buckets.set(name, bucket)
    return bucket
  }
}

function keyOf({ user, clientId }: QuotaEntity): string {
  const part = (name: string | null | undefined): string =>
    name === undefined ? '-' : name === null ? '*' : `=${encodeURIComponent(name)}`
  return `${PREFIX}${part(user)}/${part(clientId)}`
}
