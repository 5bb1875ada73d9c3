import { headersIdentity, NO_HEADERS, type HeaderMap } from '../../model/header-value.ts'
import type { Binding, Matcher, MatcherKind, MatchInput } from './matcher.ts'
import {
  bindingKeySegments,
  bindingKeyText,
  type BindingKey,
  type RoutingKey,
} from './routing-key.ts'

/** A binding as it was made: `source` is the key as text or as segments. */
export class KeptBinding<T> implements Binding<T> {
  readonly target: T
  readonly args: HeaderMap
  readonly #source: BindingKey

  constructor(target: T, source: BindingKey, args: HeaderMap) {
    this.target = target
    this.args = args
    this.#source = source
  }

  get key(): string {
    return bindingKeyText(this.#source)
  }

  get segments(): readonly string[] {
    return bindingKeySegments(this.#source)
  }

  get identity(): string {
    return bindingIdentity(this.#source, this.args)
  }
}

/** The bindings to one target: most have a single one, which needs no map. */
type Kept<T> = KeptBinding<T> | Map<string, KeptBinding<T>>

/**
 * Keeps the list of bindings, which is the same for every kind of matcher; what extends it keeps
 * whatever makes its matching fast, told by `insert` and `drop`.
 *
 * There may be a million: each is one small object, and its key is kept once.
 */
export abstract class BindingMatcher<T extends object> implements Matcher<T> {
  abstract readonly kind: MatcherKind
  abstract readonly dependsOn: MatchInput
  readonly #byTarget = new Map<T, Kept<T>>()
  #bindingCount = 0
  #version = 0

  get version(): number {
    return this.#version
  }

  get isEmpty(): boolean {
    return this.#bindingCount === 0
  }

  get bindingCount(): number {
    return this.#bindingCount
  }

  validate(_key: BindingKey, _args: HeaderMap = NO_HEADERS): void {
    // Most kinds take any key and any arguments.
  }

  add(target: T, key: BindingKey, args: HeaderMap = NO_HEADERS): boolean {
    this.validate(key, args)
    const identity = bindingIdentity(key, args)
    const kept = this.#byTarget.get(target)
    if (found(kept, identity) !== undefined) return false
    const source = typeof key === 'string' ? key : [...key]
    const binding = new KeptBinding(target, source, args.size === 0 ? NO_HEADERS : args)
    if (kept === undefined) this.#byTarget.set(target, binding)
    else if (kept instanceof Map) kept.set(identity, binding)
    else {
      this.#byTarget.set(
        target,
        new Map([
          [kept.identity, kept],
          [identity, binding],
        ]),
      )
    }
    this.#bindingCount += 1
    this.#version += 1
    this.insert(binding)
    return true
  }

  remove(target: T, key: BindingKey, args: HeaderMap = NO_HEADERS): boolean {
    const identity = bindingIdentity(key, args)
    const kept = this.#byTarget.get(target)
    const binding = found(kept, identity)
    if (binding === undefined) return false
    if (kept instanceof Map) kept.delete(identity)
    if (!(kept instanceof Map) || kept.size === 0) this.#byTarget.delete(target)
    this.#bindingCount -= 1
    this.#version += 1
    this.drop(binding)
    return true
  }

  removeTarget(target: T): number {
    const all = [...each(this.#byTarget.get(target))]
    if (all.length === 0) return 0
    this.#byTarget.delete(target)
    this.#bindingCount -= all.length
    this.#version += 1
    for (const binding of all) this.drop(binding)
    return all.length
  }

  has(target: T, key: BindingKey, args: HeaderMap = NO_HEADERS): boolean {
    return found(this.#byTarget.get(target), bindingIdentity(key, args)) !== undefined
  }

  targets(): Iterable<T> {
    return this.#byTarget.keys()
  }

  countOf(target: T): number {
    const kept = this.#byTarget.get(target)
    if (kept === undefined) return 0
    return kept instanceof Map ? kept.size : 1
  }

  of(target: T): Iterable<Binding<T>> {
    return each(this.#byTarget.get(target))
  }

  *bindings(): Generator<Binding<T>> {
    for (const kept of this.#byTarget.values()) yield* each(kept)
  }

  abstract match(key: RoutingKey, headers: HeaderMap | null, into: Set<T>): void

  protected abstract insert(binding: KeptBinding<T>): void

  protected abstract drop(binding: KeptBinding<T>): void
}

function each<T>(kept: Kept<T> | undefined): Iterable<KeptBinding<T>> {
  if (kept === undefined) return []
  return kept instanceof Map ? kept.values() : [kept]
}

function found<T>(kept: Kept<T> | undefined, identity: string): KeptBinding<T> | undefined {
  if (kept instanceof Map) return kept.get(identity)
  return kept?.identity === identity ? kept : undefined
}

/** No key that stands for itself begins with it. */
const MARK = '\0'

/** The key itself where that says all, so that it is in memory once. */
function bindingIdentity(key: BindingKey, args: HeaderMap): string {
  if (args.size === 0 && typeof key === 'string' && !key.startsWith(MARK)) return key
  const text = bindingKeyText(key)
  // Segments may show the text of another key: ['a.b'] looks like 'a%2Eb', but matches not alike.
  const inSegments = typeof key !== 'string' && key.some((segment) => segment.includes('.'))
  const kind = inSegments ? 's' : 't'
  if (kind === 't' && args.size === 0 && !text.startsWith(MARK)) return text
  return `${MARK}${kind}${text.length}:${text}${headersIdentity(args)}`
}
