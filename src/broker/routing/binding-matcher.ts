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
  readonly key: string
  readonly args: HeaderMap
  readonly #source: BindingKey

  constructor(target: T, source: BindingKey, args: HeaderMap) {
    this.target = target
    this.key = bindingKeyText(source)
    this.args = args
    this.#source = source
  }

  get segments(): readonly string[] {
    return bindingKeySegments(this.#source)
  }
}

/**
 * Keeps the list of bindings, which is the same for every kind of matcher; what extends it keeps
 * whatever makes its matching fast, told by `insert` and `drop`.
 */
export abstract class BindingMatcher<T extends object> implements Matcher<T> {
  abstract readonly kind: MatcherKind
  abstract readonly dependsOn: MatchInput
  readonly #byTarget = new Map<T, Map<string, KeptBinding<T>>>()
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
    let ofTarget = this.#byTarget.get(target)
    const identity = bindingIdentity(key, args)
    if (ofTarget?.has(identity) === true) return false
    if (ofTarget === undefined) {
      ofTarget = new Map()
      this.#byTarget.set(target, ofTarget)
    }
    const binding = new KeptBinding(target, typeof key === 'string' ? key : [...key], args)
    ofTarget.set(identity, binding)
    this.#bindingCount += 1
    this.#version += 1
    this.insert(binding)
    return true
  }

  remove(target: T, key: BindingKey, args: HeaderMap = NO_HEADERS): boolean {
    const ofTarget = this.#byTarget.get(target)
    const identity = bindingIdentity(key, args)
    const binding = ofTarget?.get(identity)
    if (ofTarget === undefined || binding === undefined) return false
    ofTarget.delete(identity)
    if (ofTarget.size === 0) this.#byTarget.delete(target)
    this.#bindingCount -= 1
    this.#version += 1
    this.drop(binding)
    return true
  }

  removeTarget(target: T): number {
    const ofTarget = this.#byTarget.get(target)
    if (ofTarget === undefined) return 0
    this.#byTarget.delete(target)
    this.#bindingCount -= ofTarget.size
    this.#version += 1
    for (const binding of ofTarget.values()) this.drop(binding)
    return ofTarget.size
  }

  has(target: T, key: BindingKey, args: HeaderMap = NO_HEADERS): boolean {
    return this.#byTarget.get(target)?.has(bindingIdentity(key, args)) === true
  }

  targets(): Iterable<T> {
    return this.#byTarget.keys()
  }

  *bindings(): Generator<Binding<T>> {
    for (const ofTarget of this.#byTarget.values()) yield* ofTarget.values()
  }

  abstract match(key: RoutingKey, headers: HeaderMap | null, into: Set<T>): void

  protected abstract insert(binding: KeptBinding<T>): void

  protected abstract drop(binding: KeptBinding<T>): void
}

function bindingIdentity(key: BindingKey, args: HeaderMap): string {
  const text = bindingKeyText(key)
  // Segments may show the text of another key: ['a.b'] looks like 'a%2Eb', but matches not alike.
  const inSegments = typeof key !== 'string' && key.some((segment) => segment.includes('.'))
  return `${inSegments ? 's' : 't'}${text.length}:${text}${headersIdentity(args)}`
}
