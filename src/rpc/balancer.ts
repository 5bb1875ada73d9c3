import { hashText32 } from '../lib/hash32.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Attachment } from './registry.ts'

/**
 * - `least-outstanding`: who has the fewest calls, in relation to its capacity
 * - `two-choices`: the better of two drawn by lot; for very many providers
 * - `round-robin`: one after the other
 * - `weighted`: one after the other, as often as its weight says
 * - `consistent-hash`: the same one for the same key, as long as it is there and free
 */
export type BalancePolicy =
  | 'least-outstanding'
  | 'two-choices'
  | 'round-robin'
  | 'weighted'
  | 'consistent-hash'

export const BALANCE_POLICIES: readonly BalancePolicy[] = [
  'least-outstanding',
  'two-choices',
  'round-robin',
  'weighted',
  'consistent-hash',
]

/** Picks among those that can take a call; nobody else ever gets one. */
export class Balancer {
  policy: BalancePolicy = 'least-outstanding'
  #next = 0
  readonly #random: RandomSource

  constructor(random: RandomSource) {
    this.#random = random
  }

  /** `key` is what calls that belong together have in common; null: nothing. */
  pick(providers: readonly Attachment[], key: string | null): Attachment | null {
    const only = providers.length === 1 ? providers[0]! : null
    if (only !== null) return only.isFree ? only : null
    switch (this.policy) {
      case 'least-outstanding':
        return this.#leastOutstanding(providers)
      case 'two-choices':
        return this.#twoChoices(providers)
      case 'round-robin':
        return this.#roundRobin(providers)
      case 'weighted':
        return weighted(providers)
      case 'consistent-hash':
        return key === null ? this.#leastOutstanding(providers) : byKey(providers, key)
    }
  }

  /** Begins at another one each time, or equals would never share. */
  #leastOutstanding(providers: readonly Attachment[]): Attachment | null {
    const { length } = providers
    let best: Attachment | null = null
    let bestLoad = Infinity
    const start = this.#next++ % length
    for (let step = 0; step < length; step++) {
      const provider = providers[(start + step) % length]!
      if (!provider.isFree) continue
      const load = loadOf(provider)
      if (load >= bestLoad) continue
      best = provider
      bestLoad = load
      if (load === 0) break
    }
    return best
  }

  #twoChoices(providers: readonly Attachment[]): Attachment | null {
    const one = providers[this.#random.integer(providers.length)]!
    const two = providers[this.#random.integer(providers.length)]!
    if (one.isFree && two.isFree) return loadOf(one) <= loadOf(two) ? one : two
    if (one.isFree) return one
    return two.isFree ? two : this.#leastOutstanding(providers)
  }

  #roundRobin(providers: readonly Attachment[]): Attachment | null {
    for (const _ of providers) {
      const provider = providers[this.#next++ % providers.length]!
      if (provider.isFree) return provider
    }
    return null
  }
}

function loadOf({ outstanding, capacity }: Attachment): number {
  return outstanding / capacity
}

/** Everyone gains its weight, who has most is taken and pays for all: evenly spread, no runs. */
function weighted(providers: readonly Attachment[]): Attachment | null {
  let best: Attachment | null = null
  let total = 0
  for (const provider of providers) {
    const { weight } = provider.info
    if (!provider.isFree || weight <= 0) continue
    provider.balance += weight
    total += weight
    if (best === null || provider.balance > best.balance) best = provider
  }
  if (best !== null) best.balance -= total
  return best
}

/** Rendezvous hashing: who goes or comes moves only its own keys. */
function byKey(providers: readonly Attachment[], key: string): Attachment | null {
  let best: Attachment | null = null
  let bestScore = -Infinity
  const seed = hashText32(key)
  for (const provider of providers) {
    if (!provider.isFree) continue
    const chance = (hashText32(provider.info.instanceId, seed) + 1) / 0x1_0000_0001
    const score = Math.max(provider.info.weight, 0) / -Math.log(chance)
    if (score <= bestScore) continue
    best = provider
    bestScore = score
  }
  return best
}
