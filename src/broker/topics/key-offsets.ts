import { createHash } from 'node:crypto'

/** Longer keys are told apart by a digest. */
const KEY_BYTES_MAX = 24

/** Where each key was last seen. Takes no more keys than it may. */
export class KeyOffsets {
  readonly #countMax: number
  readonly #offsets: Map<string, number> = new Map()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  get isFull(): boolean {
    return this.#offsets.size >= this.#countMax
  }

  set(key: Buffer, offset: number): void {
    this.#offsets.set(nameOf(key), offset)
  }

  /** Whether the key was seen again after `offset`. */
  isSuperseded(key: Buffer, offset: number): boolean {
    const last = this.#offsets.get(nameOf(key))
    return last !== undefined && last > offset
  }
}

function nameOf(key: Buffer): string {
  if (key.length <= KEY_BYTES_MAX) return key.toString('latin1')
  // One byte longer than the longest that stands for itself, so that the two never meet.
  return `#${createHash('sha256').update(key).digest().toString('latin1', 0, KEY_BYTES_MAX)}`
}
