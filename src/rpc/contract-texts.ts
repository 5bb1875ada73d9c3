import { CONTRACT_LENGTH_MAX, CONTRACTS_LENGTH_MAX } from './limits.ts'

/**
 * What providers say of their contracts, each text once however many instances say the same. One
 * for which there is no room is not kept: its provider is none the worse, only nobody can look.
 */
export class ContractTexts {
  readonly #held = new Map<string, { readonly text: string; users: number }>()
  #length = 0

  /** Null: nothing is said, or it is not kept. */
  hold(text: string | undefined): string | null {
    if (text === undefined || text === '' || text.length > CONTRACT_LENGTH_MAX) return null
    const known = this.#held.get(text)
    if (known !== undefined) {
      known.users += 1
      return known.text
    }
    if (this.#length + text.length > CONTRACTS_LENGTH_MAX) return null
    this.#length += text.length
    this.#held.set(text, { text, users: 1 })
    return text
  }

  /** Once for each `hold`, with what it gave. */
  release(text: string | null): void {
    const held = text === null ? undefined : this.#held.get(text)
    if (held === undefined) return
    held.users -= 1
    if (held.users > 0) return
    this.#held.delete(held.text)
    this.#length -= held.text.length
  }
}
