import type { RandomSource } from '../../lib/random.ts'
import { BrokerError } from '../../model/errors.ts'
import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher } from './binding-matcher.ts'
import { bindingKeyText, type BindingKey, type RoutingKey } from './routing-key.ts'

/**
 * One target a message, any of them as likely. `local-random` is the kind that prefers targets on
 * this node, which all are on a single one; its binding keys must be empty.
 */
export class RandomMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind: 'random' | 'local-random'
  override readonly dependsOn = 'chance'
  readonly #random: RandomSource
  /** Made when a message asks for it, not for each of many bindings that come at once. */
  #choices: readonly T[] | null = null

  constructor(kind: 'random' | 'local-random', random: RandomSource) {
    super()
    this.kind = kind
    this.#random = random
  }

  override validate(key: BindingKey): void {
    const text = bindingKeyText(key)
    if (this.kind === 'random' || text === '') return
    throw new BrokerError('PRECONDITION_FAILED', `Non empty binding '${text}' key not permitted`)
  }

  override match(_key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    const choices = (this.#choices ??= [...this.targets()])
    const count = choices.length
    if (count === 0) return
    into.add(choices[count === 1 ? 0 : this.#random.integer(count)]!)
  }

  protected override insert(): void {
    this.#choices = null
  }

  protected override drop(): void {
    this.#choices = null
  }
}
