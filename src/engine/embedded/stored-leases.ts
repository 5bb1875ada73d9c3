import type { Lease, Leases } from '../contract.ts'
import type { KvStore } from './kv-store.ts'

/** On one machine every lease is ours for the asking; its epoch still grows over restarts. */
export class StoredLeases implements Leases {
  readonly #kv: KvStore

  constructor(kv: KvStore) {
    this.#kv = kv
  }

  async acquire(name: string): Promise<Lease> {
    const key = `lease/${name}`
    const epoch = Number(this.#kv.getInternal(key)?.toString() ?? 0) + 1
    await this.#kv.commitInternal([{ key, value: Buffer.from(String(epoch)) }])
    return { name, epoch, release: () => Promise.resolve() }
  }
}
