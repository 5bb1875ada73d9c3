import type { Clock } from '../lib/clock.ts'
import { BrokerError } from '../model/errors.ts'
import type { HeaderMap } from '../model/header-value.ts'
import { bindingIdentity, type BindingSpec } from './binding.ts'
import { BINDING_RECORD, type BindingLog, type BindingRecordKind } from './binding-log.ts'
import { type Destination, isStored } from './destination.ts'
import { type BindingTarget, Exchange, type MatchedTarget } from './exchange.ts'
import { MessageFilter } from './filter/index.ts'
import { FilteredTarget } from './filtered-target.ts'
import { Inbox } from './inbox.ts'
import type { VhostBounds } from './vhost-bounds.ts'

/** What a binding that is listed leads to. */
export type BoundTarget = Exclude<BindingTarget, Inbox>

/** All bindings of one exchange to one target. */
export interface BindingGroup {
  readonly source: Exchange
  readonly target: BoundTarget
  readonly count: number
}

/** What the bindings of a virtual host need of it. */
export interface BindingParts {
  readonly vhost: string
  readonly vhostId: number
  readonly exchanges: ReadonlyMap<string, Exchange>
  readonly destinations: { get(name: string): Destination | undefined }
  readonly bounds: VhostBounds
  readonly log: BindingLog
  readonly clock: Clock
  /** Other routes lead from this exchange now. */
  readonly changed: (source: Exchange) => void
  /** A binding that began here is gone. */
  readonly unbound: (source: Exchange) => void
}

interface Ends {
  readonly source: Exchange
  readonly target: BoundTarget
}

/** Made anew at each look. */
interface HeldBinding extends Ends {
  readonly key: string
  readonly args: HeaderMap
}

/** A binding with a filter, of which a virtual host has few. */
interface FilteredBinding extends Ends {
  readonly matched: FilteredTarget
}

/** Bindings that go at once, in some milliseconds. */
const DROPPED_AT_ONCE_MAX = 500

/**
 * The bindings of a virtual host: made, undone, looked through and stored. There may be a million, so
 * they are kept once, in the matchers of their exchanges; here is only which exchanges lead to what.
 */
export class BindingSet {
  readonly #parts: BindingParts
  /** The exchanges that lead to it, by bindings without a filter: most have one. */
  readonly #sources: Map<BoundTarget, Exchange | Set<Exchange>> = new Map()
  /** Those with a filter, by what they lead to and by their identity. */
  readonly #filtered: Map<BoundTarget, Map<string, FilteredBinding>> = new Map()

  /** The removals in steps that were asked for: one set of steps after the other. */
  #steps: Promise<void> = Promise.resolve()

  constructor(parts: BindingParts) {
    this.#parts = parts
  }

  /** Resolves when all that was bound and unbound is stored. */
  settled(): Promise<void> {
    return this.#parts.log.settled()
  }

  /**
   * Adds a binding at once and resolves when it is stored, with all that this turn brings; adding
   * it again changes nothing. Throws `NOT_FOUND`, `LIMIT_EXCEEDED` where it would be one too many
   * here or of its exchange, and `PRECONDITION_FAILED` for a filter or key that cannot be read.
   */
  bind(spec: BindingSpec): Promise<void> {
    const { log, bounds } = this.#parts
    const ends = this.#endsOf(spec)
    const filter = MessageFilter.of(spec.arguments)
    if (!this.#has(spec, ends, filter)) {
      bounds.requireBinding(spec)
      if (isCompared(ends.source, filter)) bounds.requireCompared(spec, ends.source.comparedCount)
      this.#add(spec, ends, filter)
      this.#parts.changed(ends.source)
      if (isStoredBetween(ends)) this.#write(BINDING_RECORD.ADD, spec)
    }
    return log.settled()
  }

  /** Removes it at once and resolves when that is stored; nothing happens when it is not there. */
  unbind(spec: BindingSpec): Promise<void> {
    const { log, changed, unbound } = this.#parts
    const ends = this.#findEnds(spec)
    if (ends === null || !this.#remove(spec, ends)) return log.settled()
    changed(ends.source)
    if (isStoredBetween(ends)) this.#write(BINDING_RECORD.REMOVE, spec)
    unbound(ends.source)
    return log.settled()
  }

  /** A step of the history at a start. `settle` says when all were. */
  restore(kind: BindingRecordKind, spec: BindingSpec): 'changed' | 'same' | 'nowhere' {
    const ends = this.#findEnds(spec)
    if (ends === null) return 'nowhere'
    if (kind === BINDING_RECORD.REMOVE) return this.#remove(spec, ends) ? 'changed' : 'same'
    try {
      const filter = MessageFilter.of(spec.arguments)
      if (this.#has(spec, ends, filter)) return 'same'
      this.#add(spec, ends, filter)
      return 'changed'
    } catch {
      // One of its ends was declared anew and takes it no more; then it was removed before, or the
      // log says that it was left out.
      return 'nowhere'
    }
  }

  /** All were restored. */
  restored(): void {
    for (const exchange of this.#parts.exchanges.values()) {
      if (!exchange.matcher.isEmpty) this.#parts.changed(exchange)
    }
  }

  *specs(): Generator<BindingSpec> {
    for (const exchange of this.#parts.exchanges.values()) yield* this.from(exchange)
  }

  /** Those that come back after a restart. */
  *stored(): Generator<BindingSpec> {
    for (const exchange of this.#parts.exchanges.values()) {
      if (!exchange.spec.durable) continue
      for (const held of heldFrom(exchange)) if (isStoredBetween(held)) yield specOf(held)
    }
  }

  *from(source: Exchange): Generator<BindingSpec> {
    for (const held of heldFrom(source)) yield specOf(held)
  }

  *to(target: BoundTarget): Generator<BindingSpec> {
    for (const held of this.#heldTo(target)) yield specOf(held)
  }

  *between(source: Exchange, target: BoundTarget): Generator<BindingSpec> {
    for (const held of heldBetween(source, target, target)) yield specOf(held)
    for (const filtered of this.#filtered.get(target)?.values() ?? []) {
      if (filtered.source !== source) continue
      for (const held of heldBetween(source, filtered.matched, target)) yield specOf(held)
    }
  }

  /** What leads where, without a look at each binding; those with a filter are groups of one. */
  *groups(): Generator<BindingGroup> {
    for (const source of this.#parts.exchanges.values()) {
      for (const matched of source.matcher.targets()) {
        const target = boundTarget(matched)
        if (target !== null) yield { source, target, count: source.matcher.countOf(matched) }
      }
    }
  }

  countTo(target: BoundTarget): number {
    let count = this.#filtered.get(target)?.size ?? 0
    for (const source of this.#sourcesOf(target)) count += source.matcher.countOf(target)
    return count
  }

  /** Whether an exchange is bound to anything but `target`. */
  leadsElsewhere({ matcher }: Exchange, target: BindingTarget): boolean {
    for (const matched of matcher.targets()) {
      const end = boundTarget(matched)
      if (end !== null && end !== target) return true
    }
    return false
  }

  /**
   * Removes all from or to it, some at a time, where there are so many that others would wait for
   * it; sets of steps follow each other. null: there are few, which `dropAllOf` removes at once.
   */
  dropInSteps(end: BoundTarget): Promise<void> | null {
    if (this.#countOf(end) <= DROPPED_AT_ONCE_MAX) return null
    this.#steps = this.#steps.then(async () => this.#dropInSteps(end))
    return this.#steps
  }

  /** Removes every binding from or to it, and returns where they began. */
  dropAllOf(end: BoundTarget): Set<Exchange> {
    return this.#dropSome(this.#heldAt(end), Infinity)
  }

  /** What led to one leads to the other; what is stored of it has names alone. */
  move(from: BoundTarget, to: BoundTarget): void {
    for (const held of [...this.#heldTo(from)]) {
      const spec = specOf(held)
      this.#remove(spec, held)
      this.#add(spec, { source: held.source, target: to }, MessageFilter.of(spec.arguments))
      this.#parts.changed(held.source)
    }
  }

  async #dropInSteps(end: BoundTarget): Promise<void> {
    const { clock, log } = this.#parts
    // One look for all steps: what is gone is not passed again.
    const all = this.#heldAt(end)
    while (this.#dropSome(all, DROPPED_AT_ONCE_MAX).size > 0) {
      // A failure to store is told to whoever asked; the rest goes all the same.
      await log.settled().catch(() => undefined)
      await new Promise<void>((resolve) => clock.setTimer(0, resolve))
    }
  }

  #dropSome(all: Generator<HeldBinding>, countMax: number): Set<Exchange> {
    const sources = new Set<Exchange>()
    for (let left = countMax; left > 0; left--) {
      const next = all.next()
      if (next.done === true) break
      const held = next.value
      const spec = specOf(held)
      if (!this.#remove(spec, held)) continue
      if (isStoredBetween(held)) this.#write(BINDING_RECORD.REMOVE, spec)
      sources.add(held.source)
    }
    for (const source of sources) this.#parts.changed(source)
    return sources
  }

  *#heldAt(end: BoundTarget): Generator<HeldBinding> {
    if (end instanceof Exchange) yield* heldFrom(end)
    yield* this.#heldTo(end)
  }

  *#heldTo(target: BoundTarget): Generator<HeldBinding> {
    for (const source of this.#sourcesOf(target)) yield* heldBetween(source, target, target)
    for (const { source, matched } of this.#filtered.get(target)?.values() ?? []) {
      yield* heldBetween(source, matched, target)
    }
  }

  #countOf(end: BoundTarget): number {
    return this.countTo(end) + (end instanceof Exchange ? end.matcher.bindingCount : 0)
  }

  #has(spec: BindingSpec, { source, target }: Ends, filter: MessageFilter | null): boolean {
    if (filter === null) return source.matcher.has(target, spec.key, spec.arguments)
    return this.#filtered.get(target)?.has(bindingIdentity(spec)) === true
  }

  #add(spec: BindingSpec, ends: Ends, filter: MessageFilter | null): void {
    const { source, target } = ends
    const matched = filter === null ? target : new FilteredTarget(target, filter)
    source.matcher.add(matched, spec.key, spec.arguments)
    if (matched instanceof FilteredTarget) {
      const all = this.#filtered.get(target) ?? new Map<string, FilteredBinding>()
      all.set(bindingIdentity(spec), { source, target, matched })
      this.#filtered.set(target, all)
    } else this.#leads(source, target)
    if (isCompared(source, filter)) source.comparedCount++
    this.#parts.bounds.bindingCount++
  }

  /** False where it is not there. */
  #remove(spec: BindingSpec, { source, target }: Ends): boolean {
    const isPlain = source.matcher.remove(target, spec.key, spec.arguments)
    if (isPlain) {
      if (source.matcher.countOf(target) === 0) this.#leadsNoMore(source, target)
    } else if (!this.#removeFiltered(spec, { source, target })) return false
    if (!isPlain || source.matcher.kind === 'headers') source.comparedCount--
    this.#parts.bounds.bindingCount--
    return true
  }

  #removeFiltered(spec: BindingSpec, { source, target }: Ends): boolean {
    const all = this.#filtered.get(target)
    if (all === undefined) return false
    const identity = bindingIdentity(spec)
    const held = all.get(identity)
    if (held === undefined) return false
    all.delete(identity)
    if (all.size === 0) this.#filtered.delete(target)
    source.matcher.remove(held.matched, spec.key, spec.arguments)
    return true
  }

  #leads(source: Exchange, target: BoundTarget): void {
    const held = this.#sources.get(target)
    if (held === source) return
    if (held === undefined) this.#sources.set(target, source)
    else if (held instanceof Set) held.add(source)
    else this.#sources.set(target, new Set([held, source]))
  }

  #leadsNoMore(source: Exchange, target: BoundTarget): void {
    const held = this.#sources.get(target)
    if (held instanceof Set) held.delete(source)
    if (!(held instanceof Set) || held.size === 0) this.#sources.delete(target)
  }

  #sourcesOf(target: BoundTarget): Iterable<Exchange> {
    const held = this.#sources.get(target)
    if (held === undefined) return []
    return held instanceof Set ? held : [held]
  }

  #findEnds(spec: BindingSpec): Ends | null {
    const source = this.#parts.exchanges.get(spec.source)
    const target = this.#target(spec)
    return source === undefined || target === undefined ? null : { source, target }
  }

  #endsOf(spec: BindingSpec): Ends {
    const ends = this.#findEnds(spec)
    if (ends !== null) return ends
    const { vhost, exchanges } = this.#parts
    if (!exchanges.has(spec.source)) throw missing('exchange', spec.source, vhost)
    throw missing(spec.targetKind === 'exchange' ? 'exchange' : 'queue', spec.target, vhost)
  }

  #target({ target, targetKind }: BindingSpec): BoundTarget | undefined {
    const { exchanges, destinations } = this.#parts
    return targetKind === 'exchange' ? exchanges.get(target) : destinations.get(target)
  }

  #write(kind: BindingRecordKind, spec: BindingSpec): void {
    this.#parts.log.write({ kind, vhostId: this.#parts.vhostId, spec })
  }
}

/** Whether each message of the exchange is compared with it, since no key leads to it alone. */
function isCompared({ matcher }: Exchange, filter: MessageFilter | null): boolean {
  return filter !== null || matcher.kind === 'headers'
}

/** Whether a binding comes back after a restart: only between two things that do. */
function isStoredBetween({ source, target }: Ends): boolean {
  if (!source.spec.durable) return false
  return target instanceof Exchange ? target.spec.durable : isStored(target.spec)
}

/** null: an inbox, whose bindings are its own affair. */
function boundTarget(matched: MatchedTarget): BoundTarget | null {
  const target = matched instanceof FilteredTarget ? matched.target : matched
  return target instanceof Inbox ? null : target
}

function* heldFrom(source: Exchange): Generator<HeldBinding> {
  for (const { target: matched, key, args } of source.matcher.bindings()) {
    const target = boundTarget(matched)
    if (target !== null) yield { source, target, key, args }
  }
}

/** `matched`: as the matcher of the source knows the target. */
function* heldBetween(
  source: Exchange,
  matched: MatchedTarget,
  target: BoundTarget,
): Generator<HeldBinding> {
  for (const { key, args } of source.matcher.of(matched)) yield { source, target, key, args }
}

function specOf({ source, target, key, args }: HeldBinding): BindingSpec {
  const targetKind = target instanceof Exchange ? 'exchange' : 'destination'
  return { source: source.name, target: target.name, targetKind, key, arguments: args }
}

function missing(kind: string, name: string, vhost: string): BrokerError {
  return new BrokerError('NOT_FOUND', `no ${kind} '${name}' in vhost '${vhost}'`)
}
