import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher, type KeptBinding } from './binding-matcher.ts'
import type { RoutingKey } from './routing-key.ts'
import { collectTargets, type Targets, withoutTarget, withTarget } from './target-bag.ts'

/** The routing key must be the binding key. */
export class DirectMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind = 'direct'
  override readonly dependsOn = 'key'
  readonly #byKey = new Map<string, Targets<T>>()

  override match(key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    const held = this.#byKey.get(key.text)
    if (held !== undefined) collectTargets(held, into)
  }

  protected override insert({ key, target }: KeptBinding<T>): void {
    this.#byKey.set(key, withTarget(this.#byKey.get(key), target))
  }

  protected override drop({ key, target }: KeptBinding<T>): void {
    const held = this.#byKey.get(key)
    if (held !== undefined && withoutTarget(held, target) === null) this.#byKey.delete(key)
  }
}
