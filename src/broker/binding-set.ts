import type { Clock } from '../lib/clock.ts'
import { NO_HEADERS } from '../model/header-value.ts'
import { bindingIdentity, type BindingSpec } from './binding.ts'
import { isStored } from './destination.ts'
import { type BindingTarget, Exchange, type MatchedTarget } from './exchange.ts'
import { MessageFilter } from './filter/index.ts'
import { FilteredTarget } from './filtered-target.ts'
import type { Inbox } from './inbox.ts'
import type { VhostBounds } from './vhost-bounds.ts'

/** A binding between two things that are there. */
export interface HeldBinding {
  readonly spec: BindingSpec
  readonly source: Exchange
  readonly target: Exclude<BindingTarget, Inbox>
  /** As the matcher of the source knows the target. */
  readonly matched: MatchedTarget
}

/** What removing many bindings needs. */
export interface StepsOptions {
  readonly clock: Clock
  /** Resolves when those are stored no more. */
  readonly forget: (stored: BindingSpec[]) => Promise<void>
}

/** Bindings that go at once, in some milliseconds. */
const DROPPED_AT_ONCE_MAX = 1000

/** The bindings of a virtual host, in the matchers of their exchanges and by what they touch. */
export class BindingSet {
  readonly #changed: (source: Exchange) => void
  readonly #bounds: VhostBounds
  readonly #held: Map<string, HeldBinding> = new Map()
  /** Identities of the bindings that touch an exchange or destination. */
  readonly #touching: Map<BindingTarget, Set<string>> = new Map()

  /** `changed` is told the exchange from which other routes lead now. */
  constructor(bounds: VhostBounds, changed: (source: Exchange) => void) {
    this.#bounds = bounds
    this.#changed = changed
  }

  /** Throws `LIMIT_EXCEEDED` where it would be new, and one too many here or of its exchange. */
  requireRoom(spec: BindingSpec, source: Exchange | undefined): void {
    if (this.#held.has(bindingIdentity(spec))) return
    this.#bounds.requireBinding(spec)
    if (source !== undefined && isCompared(spec, source)) {
      this.#bounds.requireCompared(spec, source.comparedCount)
    }
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
    if (isCompared(spec, source)) source.comparedCount++
    const held: HeldBinding = { spec: shared(spec, source, target), source, target, matched }
    this.#held.set(identity, held)
    this.#bounds.bindingCount++
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
    this.#bounds.bindingCount--
    this.#touching.get(source)?.delete(identity)
    this.#touching.get(target)?.delete(identity)
    source.matcher.remove(matched, spec.key, spec.arguments)
    if (isCompared(spec, source)) source.comparedCount--
    this.#changed(source)
  }

  /**
   * Removes bindings from or to it until so few are left that they hold up nobody when they go all
   * at once; others go on between two steps. null: there are so few.
   */
  dropInSteps(end: BindingTarget, options: StepsOptions): Promise<void> | null {
    return this.#hasMany(end) ? this.#dropInSteps(end, options) : null
  }

  #hasMany(end: BindingTarget): boolean {
    return (this.#touching.get(end)?.size ?? 0) > DROPPED_AT_ONCE_MAX
  }

  async #dropInSteps(end: BindingTarget, { clock, forget }: StepsOptions): Promise<void> {
    while (this.#hasMany(end)) {
      const dropped: HeldBinding[] = []
      for (const identity of this.#touching.get(end) ?? []) {
        if (dropped.length >= DROPPED_AT_ONCE_MAX) break
        const held = this.#held.get(identity)!
        this.drop(held)
        dropped.push(held)
      }
      await forget(dropped.filter(isStoredBinding).map(({ spec }) => spec))
      await new Promise<void>((resolve) => clock.setTimer(0, resolve))
    }
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
    for (const identity of this.#touching.get(exchange) ?? []) {
      const held = this.#held.get(identity)!
      if (held.source === exchange && held.target !== target) return true
    }
    return false
  }
}

/** Whether each message of the exchange is compared with it, since no key leads to it alone. */
function isCompared({ arguments: args }: BindingSpec, { matcher }: Exchange): boolean {
  return matcher.kind === 'headers' || (args.size > 0 && MessageFilter.of(args) !== null)
}

/** A million bindings need not bear a million copies of the same names. */
function shared(spec: BindingSpec, source: Exchange, target: HeldBinding['target']): BindingSpec {
  const args = spec.arguments.size === 0 ? NO_HEADERS : spec.arguments
  return { ...spec, source: source.name, target: target.name, arguments: args }
}

/** Whether it comes back after a restart: only between two things that do. */
export function isStoredBinding({ source, target }: HeldBinding): boolean {
  if (!source.spec.durable) return false
  return target instanceof Exchange ? target.spec.durable : isStored(target.spec)
}
