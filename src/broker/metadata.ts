import type { Kv, KvOp } from '../engine/contract.ts'
import { headerMapFromJson, headerToJson } from '../model/header-json.ts'
import type { LimitSet } from '../model/limit-set.ts'
import type { DestinationSpec } from './destination.ts'
import type { ExchangeSpec } from './exchange.ts'
import type { DeclareMismatch, Policy } from './policy.ts'
import type { StoredSession } from './session.ts'

/** A durable destination and the number it has in the log. */
export interface StoredDestination {
  readonly id: number
  readonly spec: DestinationSpec
}

/** The numbers of what every virtual host keeps in the log beside its destinations. */
export interface VhostIds {
  /** Of its held-back messages. */
  readonly delayId: number
  /** Of its retained messages. */
  readonly retainedId: number
}

/** All that is known of one virtual host at start. */
export interface StoredVhost extends VhostIds {
  readonly name: string
  readonly declareMismatch: DeclareMismatch
  readonly limits: LimitSet
  readonly exchanges: readonly ExchangeSpec[]
  readonly destinations: readonly StoredDestination[]
  readonly policies: readonly Policy[]
  readonly operatorPolicies: readonly Policy[]
  readonly sessions: readonly StoredSession[]
}

/** What stands under a virtual host, in the order in which it goes. */
const STORED_KINDS = ['session', 'policy', 'operator-policy', 'destination', 'exchange'] as const

const NEXT_ID_KEY = 'ids/next'

/**
 * What must outlive a restart beside messages: virtual hosts, durable exchanges and destinations,
 * policies, sessions; as JSON under readable keys. Bindings have a log of their own. Numbers given to destinations are never given
 * again, because old records in the log still name them.
 */
export class Metadata {
  readonly #kv: Kv
  readonly #opsMax: number
  #nextId = 1
  #pending: Promise<unknown> = Promise.resolve()

  /** `opsMax`: how many operations one commit of `kv` takes. */
  constructor(kv: Kv, opsMax: number) {
    this.#kv = kv
    this.#opsMax = opsMax
  }

  async load(): Promise<readonly StoredVhost[]> {
    const stored = await this.#kv.get(NEXT_ID_KEY)
    if (stored !== null) this.#nextId = Number(stored.value.toString('utf8'))
    const vhosts: StoredVhost[] = []
    for (const entry of await this.#kv.list('vhost/')) {
      const known = parse(entry.value) as Pick<StoredVhost, 'name' | 'delayId'> &
        Partial<StoredVhost>
      const { name, delayId, declareMismatch = 'fail', limits = {} } = known
      const retainedId = known.retainedId ?? this.takeId()
      // Before there were retained messages, a virtual host had no number for them.
      if (known.retainedId === undefined) {
        await this.putVhost({ name, delayId, retainedId, declareMismatch, limits })
      }
      const under = async (kind: string): Promise<unknown[]> => {
        const entries = await this.#kv.list(`${kind}/${encodeURIComponent(name)}/`)
        return entries.map((found) => parse(found.value))
      }
      vhosts.push({
        name,
        delayId,
        retainedId,
        declareMismatch,
        limits,
        exchanges: (await under('exchange')).map(revive<ExchangeSpec>),
        destinations: (await under('destination')).map((json) => {
          const { id, spec } = json as { id: number; spec: unknown }
          return { id, spec: { ...revive<DestinationSpec>(spec), exclusiveOwner: null } }
        }),
        policies: (await under('policy')) as Policy[],
        operatorPolicies: (await under('operator-policy')) as Policy[],
        sessions: (await under('session')) as StoredSession[],
      })
    }
    return vhosts
  }

  /** Resolves when every change made so far is stored. */
  async settled(): Promise<void> {
    await this.#pending
  }

  /** A new number for a durable destination, stored together with it by `putDestination`. */
  takeId(): number {
    return this.#nextId++
  }

  /** The same for what is in the log before it is stored by its name. */
  async takeStoredId(): Promise<number> {
    const id = this.takeId()
    await this.#commit([{ key: NEXT_ID_KEY, value: Buffer.from(String(this.#nextId)) }])
    return id
  }

  async putVhost(
    vhost: Pick<StoredVhost, 'name' | 'declareMismatch' | 'limits'> & VhostIds,
  ): Promise<void> {
    const { name, delayId, retainedId, declareMismatch, limits } = vhost
    const value = json({ name, delayId, retainedId, declareMismatch, limits })
    await this.#commit([
      { key: `vhost/${encodeURIComponent(name)}`, value },
      { key: NEXT_ID_KEY, value: Buffer.from(String(this.#nextId)) },
    ])
  }

  /** Deletes a virtual host with all that stands under it. */
  async deleteVhost(name: string): Promise<void> {
    const ops: KvOp[] = []
    for (const kind of STORED_KINDS) {
      for (const entry of await this.#kv.list(`${kind}/${encodeURIComponent(name)}/`)) {
        ops.push({ key: entry.key, value: null })
      }
    }
    ops.push({ key: `vhost/${encodeURIComponent(name)}`, value: null })
    await this.#commit(ops)
  }

  async putExchange(vhost: string, spec: ExchangeSpec): Promise<void> {
    await this.#commit([{ key: keyOf('exchange', vhost, spec.name), value: json(plain(spec)) }])
  }

  async putDestination(vhost: string, stored: StoredDestination): Promise<void> {
    const value = { id: stored.id, spec: { ...plain(stored.spec), exclusiveOwner: null } }
    await this.#commit([
      { key: keyOf('destination', vhost, stored.spec.name), value: json(value) },
      { key: NEXT_ID_KEY, value: Buffer.from(String(this.#nextId)) },
    ])
  }

  async putPolicy(vhost: string, policy: Policy, operator: boolean): Promise<void> {
    const key = keyOf(operator ? 'operator-policy' : 'policy', vhost, policy.name)
    await this.#commit([{ key, value: json(policy) }])
  }

  async deletePolicy(vhost: string, name: string, operator: boolean): Promise<void> {
    await this.#commit([
      { key: keyOf(operator ? 'operator-policy' : 'policy', vhost, name), value: null },
    ])
  }

  async putSession(vhost: string, session: StoredSession): Promise<void> {
    await this.#commit([{ key: keyOf('session', vhost, session.name), value: json(session) }])
  }

  async deleteSession(vhost: string, name: string): Promise<void> {
    await this.#commit([{ key: keyOf('session', vhost, name), value: null }])
  }

  async delete(vhost: string, kind: 'exchange' | 'destination', name: string): Promise<void> {
    await this.#commit([{ key: keyOf(kind, vhost, name), value: null }])
  }

  /** Where there are more than one commit takes, it becomes several, in order. */
  #commit(ops: readonly KvOp[]): Promise<unknown> {
    const commits: Promise<unknown>[] = []
    for (let start = 0; start < ops.length; start += this.#opsMax) {
      commits.push(this.#kv.commit(ops.slice(start, start + this.#opsMax)))
    }
    const commit = Promise.all(commits)
    // A failed commit is reported to whoever made it; the others only wait for its end.
    this.#pending = Promise.allSettled([this.#pending, commit])
    return commit
  }
}

function keyOf(kind: string, vhost: string, name: string): string {
  return `${kind}/${encodeURIComponent(vhost)}/${encodeURIComponent(name)}`
}

function plain(spec: ExchangeSpec | DestinationSpec): object {
  return { ...spec, arguments: headerToJson(spec.arguments) }
}

function revive<T>(value: unknown): T {
  const spec = value as { arguments: unknown }
  return { ...spec, arguments: headerMapFromJson(spec.arguments) } as T
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value), 'utf8')
}

function parse(value: Buffer): unknown {
  return JSON.parse(value.toString('utf8'))
}
