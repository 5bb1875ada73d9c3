import type { HeaderMap } from '../../model/header-value.ts'
import type { BindingSpec } from '../binding.ts'
import type { Exchange } from '../exchange.ts'
import { type FilteredMessage, MessageFilter } from '../filter/index.ts'
import { createMatcher, type Matcher, RoutingKey } from '../routing/index.ts'
import type { VirtualHost } from '../virtual-host.ts'
import {
  BINDINGS_LOOKED_MAX,
  EXCHANGES_FOLLOWED_MAX,
  MATCHES_NAMED_MAX,
  NEAR_MISSES_MAX,
} from './limits.ts'
import { nearMiss, nearMissOfHeaders } from './near-miss.ts'

/** A binding that took a message, or nearly did, and why. */
export interface RouteLine {
  readonly target: string
  readonly detail: string
}

/** How a message found its way, or lost it. */
export interface RouteStory {
  readonly matched: readonly RouteLine[]
  readonly nearly: readonly RouteLine[]
}

/** What is asked of a message on its way. */
export interface ToldMessage {
  readonly headers: HeaderMap | null
  readonly filtered: FilteredMessage
}

interface Looked {
  readonly spec: BindingSpec
  readonly filter: MessageFilter | null
  readonly matcher: Matcher<object>
}

interface Kept {
  readonly version: number
  readonly bindings: readonly Looked[]
}

const TARGET = {}

/**
 * Tells by which bindings messages were routed: each binding is asked by itself, which is too slow
 * for all messages and good enough for those that are traced. Bounded; what is beyond is not told.
 */
export class RouteStories {
  readonly #kept: WeakMap<Exchange, Kept> = new WeakMap()
  readonly #key = new RoutingKey()

  tell(exchange: Exchange, keys: readonly string[], message: ToldMessage): RouteStory {
    const matched: RouteLine[] = []
    const nearly: RouteLine[] = []
    const found = new Set([exchange])
    for (const each of found) {
      if (found.size > EXCHANGES_FOLLOWED_MAX) break
      const before = matched.length
      if (each.name === '') tellByName(each.vhost, keys, { matched, nearly })
      else this.#tellOne(each, keys, message, { matched, nearly, found })
      const alternate = each.alternateExchange
      if (matched.length > before || alternate === null) continue
      const next = each.vhost.exchange(alternate)
      if (next === undefined) continue
      matched.push({ target: alternate, detail: `alternate of exchange '${each.name}'` })
      found.add(next)
    }
    return {
      matched: matched.slice(0, MATCHES_NAMED_MAX),
      nearly: nearly.slice(0, NEAR_MISSES_MAX),
    }
  }

  #tellOne(
    exchange: Exchange,
    keys: readonly string[],
    { headers, filtered }: ToldMessage,
    into: {
      readonly matched: RouteLine[]
      readonly nearly: RouteLine[]
      readonly found: Set<Exchange>
    },
  ): void {
    const { type } = exchange.spec
    const isByChance = type === 'random' || type === 'local-random' || type.endsWith('-hash')
    for (const { spec, matcher, filter } of this.#bindingsOf(exchange)) {
      const named = `binding '${spec.key}' of exchange '${exchange.name}'`
      const matches = keys.some((key) => {
        const targets = new Set<object>()
        matcher.match(this.#key.setText(key), headers, targets)
        return targets.size > 0
      })
      if (matches && filter?.takes(filtered) === false) {
        into.nearly.push({ target: spec.target, detail: `${named}: its filter does not take it` })
      } else if (matches) {
        const detail = isByChance ? `${named}, one of those that ${type} chose from` : named
        into.matched.push({ target: spec.target, detail })
        const next = spec.targetKind === 'exchange' ? exchange.vhost.exchange(spec.target) : null
        if (next !== null && next !== undefined) into.found.add(next)
      } else if (into.nearly.length < NEAR_MISSES_MAX) {
        const why =
          type === 'headers'
            ? nearMissOfHeaders(headers, spec.arguments)
            : (keys.map((key) => nearMiss(type, key, spec.key)).find((each) => each !== null) ??
              null)
        if (why !== null) into.nearly.push({ target: spec.target, detail: `${named}: ${why}` })
      }
    }
  }

  #bindingsOf(exchange: Exchange): readonly Looked[] {
    const { vhost, spec } = exchange
    const version = vhost.topologyVersion
    const kept = this.#kept.get(exchange)
    if (kept?.version === version) return kept.bindings
    const bindings: Looked[] = []
    for (const binding of vhost.bindingSet.from(exchange)) {
      if (bindings.length >= BINDINGS_LOOKED_MAX) break
      const matcher = createMatcher<object>(spec.type, { idOf: () => '', random: vhost.random })
      matcher.add(TARGET, binding.key, binding.arguments)
      bindings.push({ spec: binding, matcher, filter: MessageFilter.of(binding.arguments) })
    }
    this.#kept.set(exchange, { version, bindings })
    return bindings
  }
}

/** The default exchange: a key is a name. */
function tellByName(
  vhost: VirtualHost,
  keys: readonly string[],
  into: { readonly matched: RouteLine[]; readonly nearly: RouteLine[] },
): void {
  let left = BINDINGS_LOOKED_MAX
  for (const key of keys) {
    if (vhost.destination(key) !== undefined) {
      into.matched.push({ target: key, detail: 'by its name' })
      continue
    }
    if (vhost.inbox(key) !== undefined) continue
    for (const { name } of vhost.destinations()) {
      if (into.nearly.length >= NEAR_MISSES_MAX || left-- <= 0) break
      const why = nearMiss('direct', key, name)
      if (why !== null) into.nearly.push({ target: name, detail: `by its name: ${why}` })
    }
  }
}
