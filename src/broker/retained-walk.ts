import { type IndexWalker, type RetainedIndex, ROOT } from './retained-index.ts'
import type { PatternState, RetainedPattern } from './retained-pattern.ts'

/**
 * Finds the nodes of an index that a pattern matches, a few steps at a time. Keys that are there
 * from the first step to the last are found once each, whatever comes and goes in between.
 */
export class RetainedWalk implements IndexWalker {
  readonly #index: RetainedIndex
  readonly #pattern: RetainedPattern
  /** The child to look at next, for each node that is being walked, and its state. */
  readonly #children: number[] = []
  readonly #states: PatternState[] = []
  #started = false
  #stepsLeft = 0

  constructor(index: RetainedIndex, pattern: RetainedPattern) {
    this.#index = index
    this.#pattern = pattern
    index.addWalker(this)
  }

  /** Looks at some `stepsMax` nodes; true when all were. `found` is given nodes with a message. */
  run(stepsMax: number, found: (node: number) => void): boolean {
    this.#stepsLeft = stepsMax
    if (!this.#started) {
      this.#started = true
      this.#enter(ROOT, this.#pattern.start, found)
    }
    while (this.#children.length > 0 && this.#stepsLeft > 0) {
      const top = this.#children.length - 1
      const child = this.#children[top]!
      const state = this.#states[top]!
      if (child === 0) {
        this.#children.pop()
        this.#states.pop()
        continue
      }
      this.#children[top] = this.#index.nextOf(child)
      this.#enter(child, this.#stateFor(child, state), found)
    }
    return this.#children.length === 0
  }

  /** Must be called when the walk is over or given up. */
  end(): void {
    this.#children.length = 0
    this.#states.length = 0
    this.#index.removeWalker(this)
  }

  nodeGoes(node: number): void {
    for (let at = 0; at < this.#children.length; at++) {
      if (this.#children[at] === node) this.#children[at] = this.#index.nextOf(node)
    }
  }

  #stateFor(child: number, state: PatternState): PatternState {
    for (const { bytes, state: next } of state.words) {
      if (this.#index.hasSegment(child, bytes)) return next
    }
    return state.others!
  }

  #enter(node: number, state: PatternState, found: (node: number) => void): void {
    this.#stepsLeft--
    const index = this.#index
    if (state.accepts && index.offsetOf(node) >= 0) found(node)
    if (state.others === null) {
      for (const { bytes, state: next } of state.words) {
        const child = index.childOf(node, bytes)
        if (child !== 0) this.#enter(child, next, found)
      }
      return
    }
    const child = index.firstChildOf(node)
    if (child === 0) return
    this.#children.push(child)
    this.#states.push(state)
  }
}
