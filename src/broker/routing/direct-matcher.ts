import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher, type KeptBinding } from './binding-matcher.ts'
import type { RoutingKey } from './routing-key.ts'
import { TargetBag } from './target-bag.ts'

/** The routing key must be the binding key. */
export class DirectMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind = 'direct'
  override readonly dependsOn = 'key'
  readonly #byKey = new Map<string, TargetBag<T>>()

  override match(key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    this.#byKey.get(key.text)?.collect(into)
  }

  protected override insert(binding: KeptBinding<T>): void {
    let bag = this.#byKey.get(binding.key)
    if (bag === undefined) {
      bag = new TargetBag()
      this.#byKey.set(binding.key, bag)
    }
    bag.add(binding.target)
  }

  protected override drop(binding: KeptBinding<T>): void {
    const bag = this.#byKey.get(binding.key)
    bag?.remove(binding.target)
    if (bag?.isEmpty === true) this.#byKey.delete(binding.key)
  }
}
