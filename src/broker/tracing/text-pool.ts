/** Texts that are remembered; beyond, they are forgotten and gathered anew. */
const TEXTS_MAX = 512

/**
 * Gives one and the same string for texts that are alike. Most steps say what others said; kept as
 * one string, a hundred thousand of them cost the garbage collector nothing.
 */
export class TextPool {
  readonly #texts: Map<string, string> = new Map()

  get(text: string): string {
    if (text === '') return text
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    if (this.#texts.size >= TEXTS_MAX) this.#texts.clear()
    this.#texts.set(text, text)
    return text
  }
}
