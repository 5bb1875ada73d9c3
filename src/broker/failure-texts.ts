import { FAILURE_TEXT_BYTES_MAX } from './limits.ts'

/** What consumers said when a message failed for the first time, and when for the last. */
export interface FailureText {
  readonly first: string
  readonly last: string
}

const CUT_MARK = '…'

/**
 * Why messages of a queue failed, by offset, where their consumers said so. Bounded: beyond
 * `countMax` messages that failed and are still here, what is said of further ones is not kept.
 */
export class FailureTexts {
  readonly #countMax: number
  readonly #texts: Map<number, FailureText> = new Map()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get size(): number {
    return this.#texts.size
  }

  get(offset: number): FailureText | null {
    return this.#texts.get(offset) ?? null
  }

  /** What is known of the message now; null where there is no room for it. */
  add(offset: number, text: string): FailureText | null {
    const known = this.#texts.get(offset)
    if (known === undefined && this.#texts.size >= this.#countMax) return null
    const last = shortened(text)
    const both = { first: known?.first ?? last, last }
    this.#texts.set(offset, both)
    return both
  }

  /** As a record or a snapshot has it. */
  recover(offset: number, text: FailureText): void {
    this.#texts.set(offset, text)
  }

  delete(offset: number): void {
    this.#texts.delete(offset)
  }

  deleteWhere(wanted: (offset: number) => boolean): void {
    for (const offset of this.#texts.keys()) if (wanted(offset)) this.#texts.delete(offset)
  }

  entries(): Iterable<readonly [offset: number, text: FailureText]> {
    return this.#texts.entries()
  }
}

/** Whole characters, and a mark where there were more. */
function shortened(text: string): string {
  const bytes = Buffer.from(text, 'utf8')
  if (bytes.length <= FAILURE_TEXT_BYTES_MAX) return text
  let end = FAILURE_TEXT_BYTES_MAX - Buffer.byteLength(CUT_MARK)
  // A continuation octet of UTF-8 begins with the bits 10.
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end) + CUT_MARK
}
