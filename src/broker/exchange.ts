import type { RandomSource } from '../lib/random.ts'
import type { HeaderMap } from '../model/header-value.ts'
import type { Destination } from './destination.ts'
import { FilteredTarget } from './filtered-target.ts'
import { Inbox } from './inbox.ts'
import { createMatcher, type Matcher, type MatcherKind } from './routing/index.ts'
import type { VirtualHost } from './virtual-host.ts'

/** What an exchange is declared with. */
export interface ExchangeSpec {
  readonly name: string
  readonly type: MatcherKind
  /** Holds messages back as long as they ask for, then routes them by `type`. */
  readonly delayed: boolean
  readonly durable: boolean
  /** Deleted when its last binding goes. */
  readonly autoDelete: boolean
  /** Refuses publishers: only other exchanges route to it. */
  readonly internal: boolean
  /** As declared, for equivalence and listing. */
  readonly arguments: HeaderMap
  /** Where messages go that no binding takes; null: nowhere. */
  readonly alternateExchange: string | null
  /** consistent-hash: the header to hash instead of the routing key. */
  readonly hashHeader?: string | null
  /** consistent-hash: the property to hash instead of the routing key. */
  readonly hashProperty?: 'message-id' | 'correlation-id' | 'timestamp' | null
}

/** What a binding leads to. */
export type BindingTarget = Destination | Exchange | Inbox

/** What a matcher finds: that, or a binding with a filter that is still to be asked. */
export type MatchedTarget = BindingTarget | FilteredTarget

/** A name that routes and stores nothing. */
export class Exchange {
  readonly vhost: VirtualHost
  readonly spec: ExchangeSpec
  readonly matcher: Matcher<MatchedTarget>
  /** From arguments and policy. */
  alternateExchange: string | null
  /** Bindings that each message is compared with; owned by `BindingSet`. */
  comparedCount = 0
  /** Messages published to it, and how many of them went nowhere. */
  readonly totals = { published: 0, unrouted: 0 }

  constructor(vhost: VirtualHost, spec: ExchangeSpec, random: RandomSource) {
    this.vhost = vhost
    this.spec = spec
    this.alternateExchange = spec.alternateExchange
    this.matcher = createMatcher<MatchedTarget>(spec.type, {
      idOf,
      random,
    })
  }

  get name(): string {
    return this.spec.name
  }

  /** Whether what it routes to follows from the key alone, until bindings change. */
  get isCacheable(): boolean {
    const { hashHeader, hashProperty, delayed } = this.spec
    if (delayed || (hashHeader ?? hashProperty ?? null) !== null) return false
    return this.matcher.dependsOn === 'nothing' || this.matcher.dependsOn === 'key'
  }
}

function idOf(target: MatchedTarget): string {
  if (target instanceof FilteredTarget) return `f:${idOf(target.target)}`
  if (target instanceof Inbox) return `i:${target.name}`
  return target instanceof Exchange ? `e:${target.name}` : `q:${target.name}`
}
