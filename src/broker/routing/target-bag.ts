/**
 * Targets with the number of bindings that lead to each. Most places in an exchange hold one
 * target, which so is kept as it is: see `withTarget`. The first of a bag lives in a field, and a
 * map is made for the second.
 */
export class TargetBag<T extends object> {
  #first: T | null = null
  #firstCount = 0
  #others: Map<T, number> | null = null

  get isEmpty(): boolean {
    return this.#first === null && this.#others === null
  }

  add(target: T): void {
    if (this.#first === target || (this.#first === null && this.#others?.has(target) !== true)) {
      this.#first = target
      this.#firstCount += 1
      return
    }
    this.#others ??= new Map()
    this.#others.set(target, (this.#others.get(target) ?? 0) + 1)
  }

  /** Takes away what one `add` gave; the target must be in. */
  remove(target: T): void {
    if (this.#first === target) {
      this.#firstCount -= 1
      if (this.#firstCount === 0) this.#first = null
      return
    }
    const count = this.#others?.get(target) ?? 0
    if (count > 1) this.#others?.set(target, count - 1)
    else this.#others?.delete(target)
    if (this.#others?.size === 0) this.#others = null
  }

  collect(into: Set<T>): void {
    if (this.#first !== null) into.add(this.#first)
    if (this.#others === null) return
    for (const target of this.#others.keys()) into.add(target)
  }
}

/** What a place in an exchange leads to: a target with one binding needs no bag. */
export type Targets<T extends object> = T | TargetBag<T>

/** `held` with one more binding to `target`. */
export function withTarget<T extends object>(
  held: Targets<T> | null | undefined,
  target: T,
): Targets<T> {
  if (held === null || held === undefined) return target
  if (held instanceof TargetBag) {
    held.add(target)
    return held
  }
  const bag = new TargetBag<T>()
  bag.add(held)
  bag.add(target)
  return bag
}

/** `held` without one binding to `target`, which must be in; null when that was the last. */
export function withoutTarget<T extends object>(held: Targets<T>, target: T): Targets<T> | null {
  if (!(held instanceof TargetBag)) return null
  held.remove(target)
  return held.isEmpty ? null : held
}

export function collectTargets<T extends object>(held: Targets<T>, into: Set<T>): void {
  if (held instanceof TargetBag) held.collect(into)
  else into.add(held)
}
