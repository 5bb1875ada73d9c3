import { hashText32, mix32 } from '../../lib/hash32.ts'
import { BrokerError } from '../../model/errors.ts'
import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher, type KeptBinding } from './binding-matcher.ts'
import { bindingKeyText, type BindingKey, type RoutingKey } from './routing-key.ts'

/** Names a target in the hash: the same in every process that routes to it. */
export type TargetName<T> = (target: T) => string

class Bucket<T> {
  readonly target: T
  readonly name: string
  readonly seed: number
  weight = 0

  constructor(target: T, name: string) {
    this.target = target
    this.name = name
    this.seed = hashText32(name)
  }
}

/** What both kinds of hashing share: one bucket a target, in the order of their names. */
abstract class BucketMatcher<T extends object> extends BindingMatcher<T> {
  override readonly dependsOn = 'key'
  readonly #byTarget = new Map<T, Bucket<T>>()
  readonly #nameOf: TargetName<T>
  /** Made when a message asks for them, not for each of many bindings that come at once. */
  #buckets: readonly Bucket<T>[] | null = null

  constructor(nameOf: TargetName<T>) {
    super()
    this.#nameOf = nameOf
  }

  protected get buckets(): readonly Bucket<T>[] {
    if (this.#buckets !== null) return this.#buckets
    const buckets = [...this.#byTarget.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
    this.#buckets = buckets
    this.changed(buckets)
    return buckets
  }

  protected override insert(binding: KeptBinding<T>): void {
    let bucket = this.#byTarget.get(binding.target)
    if (bucket === undefined) {
      bucket = new Bucket(binding.target, this.#nameOf(binding.target))
      this.#byTarget.set(binding.target, bucket)
    }
    bucket.weight += this.weightOf(binding)
    this.#buckets = null
  }

  protected override drop(binding: KeptBinding<T>): void {
    const bucket = this.#byTarget.get(binding.target)
    if (bucket === undefined) return
    bucket.weight -= this.weightOf(binding)
    if (bucket.weight === 0) this.#byTarget.delete(binding.target)
    this.#buckets = null
  }

  protected abstract weightOf(binding: KeptBinding<T>): number

  protected changed(_buckets: readonly Bucket<T>[]): void {
    // Only weighted hashing keeps something that depends on the whole.
  }
}

const WEIGHT_MAX = 0xffff_ffff

/**
 * One target a message, the same for the same key, in proportion to the weights: the binding key
 * is the weight. A bucket that comes, goes or changes its weight moves only the keys it gains or
 * loses.
 *
 * Every bucket draws a number from its name and the key, scaled by its weight, and the highest
 * wins (rendezvous hashing). Unlike a ring of points it is even with few targets, takes any
 * weight without memory, and depends on no history.
 */
export class ConsistentHashMatcher<T extends object> extends BucketMatcher<T> {
  override readonly kind = 'consistent-hash'
  #weighted = false

  override validate(key: BindingKey): void {
    parseWeight(bindingKeyText(key))
  }

  override match(key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    const { buckets } = this
    if (buckets.length === 0) return
    const hash = hashText32(key.text)
    const at = this.#weighted ? byWeight(buckets, hash) : evenly(buckets, hash)
    into.add(buckets[at]!.target)
  }

  protected override weightOf(binding: KeptBinding<T>): number {
    return parseWeight(binding.key)
  }

  protected override changed(buckets: readonly Bucket<T>[]): void {
    const first = buckets[0]
    this.#weighted = buckets.some((bucket) => bucket.weight !== first?.weight)
  }
}

/** With equal weights the highest draw wins, and no logarithm is needed to find it. */
function evenly(buckets: readonly Bucket<unknown>[], hash: number): number {
  let best = 0
  let bestDraw = -1
  for (let index = 0; index < buckets.length; index++) {
    const draw = mix32(hash ^ buckets[index]!.seed)
    if (draw > bestDraw) {
      best = index
      bestDraw = draw
    }
  }
  return best
}

function byWeight(buckets: readonly Bucket<unknown>[], hash: number): number {
  let best = 0
  let bestScore = -1
  for (let index = 0; index < buckets.length; index++) {
    const bucket = buckets[index]!
    // The draw lies between 0 and 1, both excluded, so that the logarithm is below 0.
    const draw = (mix32(hash ^ bucket.seed) + 0.5) / 0x1_0000_0000
    const score = bucket.weight / -Math.log(draw)
    if (score > bestScore) {
      best = index
      bestScore = score
    }
  }
  return best
}

/** One target a message: the key's hash modulo the number of targets. Any change moves most. */
export class ModulusHashMatcher<T extends object> extends BucketMatcher<T> {
  override readonly kind = 'modulus-hash'

  override match(key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    const { buckets } = this
    if (buckets.length === 0) return
    into.add(buckets[hashText32(key.text) % buckets.length]!.target)
  }

  protected override weightOf(): number {
    return 1
  }
}

function parseWeight(key: string): number {
  if (!/^[+-]?\d{1,300}$/.test(key)) {
    const shown = key === '' ? '<<>>' : `<<"${key}">>`
    throw new BrokerError('PRECONDITION_FAILED', `The binding key must be an integer: ${shown}`)
  }
  const weight = Number(key)
  if (weight <= 0) {
    throw new BrokerError('PRECONDITION_FAILED', 'The binding key must be greater than 0')
  }
  if (weight > WEIGHT_MAX) {
    throw new BrokerError(
      'PRECONDITION_FAILED',
      `The binding key must not be greater than ${WEIGHT_MAX}: '${key}'`,
    )
  }
  return weight
}
