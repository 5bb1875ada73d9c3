import type { HeaderMap } from '../../model/header-value.ts'
import type { BindingKey, RoutingKey } from './routing-key.ts'

export type MatcherKind =
  | 'direct'
  | 'fanout'
  | 'topic'
  | 'headers'
  | 'consistent-hash'
  | 'modulus-hash'
  | 'random'
  | 'local-random'

/**
 * What a match looks at. A result that depends on `nothing` or on the `key` alone may be kept and
 * used again until `version` moves.
 */
export type MatchInput = 'nothing' | 'key' | 'headers' | 'chance'

export interface Binding<T> {
  readonly target: T
  readonly key: string
  readonly args: HeaderMap
}

/**
 * Decides which targets a message goes to. A binding is known by target, key and arguments
 * together; a target appears once in a result however many of its bindings match.
 */
export interface Matcher<T extends object> {
  readonly kind: MatcherKind
  readonly dependsOn: MatchInput
  /** Grows with every change of the bindings. */
  readonly version: number
  readonly isEmpty: boolean
  readonly bindingCount: number

  /** Throws `PRECONDITION_FAILED` for a key or arguments that this kind does not take. */
  validate(key: BindingKey, args?: HeaderMap): void
  /** False when that very binding was there already. Validates. */
  add(target: T, key: BindingKey, args?: HeaderMap): boolean
  /** False when there was no such binding. */
  remove(target: T, key: BindingKey, args?: HeaderMap): boolean
  /** Removes every binding to a target that goes away; returns how many there were. */
  removeTarget(target: T): number
  has(target: T, key: BindingKey, args?: HeaderMap): boolean
  /** Each target once, in the order of its first binding. */
  targets(): Iterable<T>
  /** How many lead to it. */
  countOf(target: T): number
  /** Those that lead to it; may be looked through while bindings come and go. */
  of(target: T): Iterable<Binding<T>>
  /** All of them, in the same way. */
  bindings(): Iterable<Binding<T>>

  /** Adds every matching target to `into`, which may hold targets of other matchers already. */
  match(key: RoutingKey, headers: HeaderMap | null, into: Set<T>): void
}
