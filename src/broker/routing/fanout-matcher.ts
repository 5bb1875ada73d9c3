import type { HeaderMap } from '../../model/header-value.ts'
import { BindingMatcher } from './binding-matcher.ts'
import type { RoutingKey } from './routing-key.ts'

/** Every bound target, whatever the key. */
export class FanoutMatcher<T extends object> extends BindingMatcher<T> {
  override readonly kind = 'fanout'
  override readonly dependsOn = 'nothing'

  override match(_key: RoutingKey, _headers: HeaderMap | null, into: Set<T>): void {
    for (const target of this.targets()) into.add(target)
  }

  protected override insert(): void {
    // The list of targets is all there is.
  }

  protected override drop(): void {
    // As above.
  }
}
