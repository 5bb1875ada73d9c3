import { bindingIdentity, type BindingSpec } from './binding.ts'
import { isStored } from './destination.ts'
import { type BindingTarget, Exchange, type MatchedTarget } from './exchange.ts'
import { MessageFilter } from './filter/index.ts'
import { FilteredTarget } from './filtered-target.ts'
import type { Inbox } from './inbox.ts'

/** A binding between two things that are there. */
export interface HeldBinding {
  readonly spec: BindingSpec
  readonly source: Exchange
  readonly target: Exclude<BindingTarget, Inbox>
  /** As the matcher of the source knows the target. */
  readonly matched: MatchedTarget
}

/** The bindings of a virtual host, in the matchers of their exchanges and by what they touch. */
export class BindingSet {
  readonly #changed: (source: Exchange) => void
  readonly #held: Map<string, HeldBinding> = new Map()
  /** Identities of the bindings that touch an exchange or destination. */
  readonly #touching: Map<BindingTarget, Set<string>> = new Map()

  /** `changed` is told the exchange from which other routes lead now. */
  constructor(changed: (source: Exchange) => void) {
    this.#changed = changed
  }

  *specs(): Generator<BindingSpec> {
    for (const { spec } of this.#held.values()) yield spec
  }

  get(spec: BindingSpec): HeldBinding | undefined {
    return this.#held.get(bindingIdentity(spec))
  }

  /** null: it is there already. Throws `PRECONDITION_FAILED` for a filter that cannot be read. */
  add(spec: BindingSpec, source: Exchange, target: HeldBinding['target']): HeldBinding | null {
    const identity = bindingIdentity(spec)
    if (this.#held.has(identity)) return null
    const filter = MessageFilter.of(spec.arguments)
    const matched = filter === null ? target : new FilteredTarget(target, filter)
    source.matcher.add(matched, spec.key, spec.arguments)
    const held: HeldBinding = { spec, source, target, matched }
    this.#held.set(identity, held)
    for (const end of [source, target]) {
      const touching = this.#touching.get(end)
      if (touching === undefined) this.#touching.set(end, new Set([identity]))
      else touching.add(identity)
    }
    this.#changed(source)
    return held
  }

  drop(held: HeldBinding): void {
    const { spec, source, target, matched } = held
    const identity = bindingIdentity(spec)
    this.#held.delete(identity)
    this.#touching.get(source)?.delete(identity)
    this.#touching.get(target)?.delete(identity)
    source.matcher.remove(matched, spec.key, spec.arguments)
    this.#changed(source)
  }

  /** Removes every binding from or to it; returns them. */
  dropAllOf(end: BindingTarget): HeldBinding[] {
    const all = this.of(end)
    for (const held of all) this.drop(held)
    this.#touching.delete(end)
    return all
  }

  /** Every binding from or to it. */
  of(end: BindingTarget): HeldBinding[] {
    return Array.from(this.#touching.get(end) ?? [], (identity) => this.#held.get(identity)!)
  }

  /** Whether an exchange is bound to anything but `target`. */
  leadsElsewhere(exchange: Exchange, target: BindingTarget): boolean {
    return this.of(exchange).some((held) => held.source === exchange && held.target !== target)
  }
}

/** Whether it comes back after a restart: only between two things that do. */
export function isStoredBinding({ source, target }: HeldBinding): boolean {
  if (!source.spec.durable) return false
  return target instanceof Exchange ? target.spec.durable : isStored(target.spec)
}
