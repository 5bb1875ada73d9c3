import type { Turn, TurnTask } from '../lib/turn.ts'
import type { Queue } from './queue.ts'

/**
 * Tells that consumers of queues came or went: once for each queue and turn, when all that the
 * turn changed is done, so that whoever is told may publish and look around.
 */
export class ConsumerWatch implements TurnTask {
  turnQueued = false
  /** Null: nobody wants to know. */
  #tell: ((queue: Queue) => void) | null = null
  readonly #changed: Set<Queue> = new Set()
  readonly #turn: Turn

  constructor(turn: Turn) {
    this.#turn = turn
  }

  /** From now on `tell` is told, and not whoever was before. */
  watch(tell: (queue: Queue) => void): void {
    this.#tell = tell
  }

  changed(queue: Queue): void {
    if (this.#tell === null) return
    this.#changed.add(queue)
    this.#turn.dispatch(this)
  }

  runTurn(): void {
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const queue of changed) this.#tell?.(queue)
  }
}
