import type { EngineState } from '../contract.ts'

type Listener = (state: EngineState, reason: string) => void

/** The troubles a store may be in; the gravest one is its state. */
const TROUBLES = ['failed', 'full', 'low-space'] as const
export type Trouble = (typeof TROUBLES)[number]

/** Keeps what is wrong and tells the listener whenever the state that follows from it changes. */
export class StateKeeper {
  state: EngineState = 'ready'
  listener: Listener | null = null
  readonly #reasons = new Map<Trouble, string>()

  set(trouble: Trouble, reason: string): void {
    this.#reasons.set(trouble, reason)
    this.#update()
  }

  clear(trouble: Trouble): void {
    if (this.#reasons.delete(trouble)) this.#update()
  }

  has(trouble: Trouble): boolean {
    return this.#reasons.has(trouble)
  }

  #update(): void {
    const gravest = TROUBLES.find((trouble) => this.#reasons.has(trouble))
    const state = gravest ?? 'ready'
    if (state === this.state) return
    this.state = state
    const reason = gravest === undefined ? 'the disk has space again' : this.#reasons.get(gravest)!
    this.listener?.(state, reason)
  }
}
