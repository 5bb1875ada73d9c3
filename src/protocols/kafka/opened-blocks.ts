/** A compressed block that cannot be opened, or would be too large. */
export class PackedError extends Error {
  override readonly name = 'PackedError'
  readonly reason: 'broken' | 'too-large'

  constructor(reason: 'broken' | 'too-large', message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

export const TOO_LARGE = 'more octets than may be opened'

/** Gathers what comes out of blocks that are opened one by one, up to a size. */
export class OpenedBlocks {
  readonly #blocks: Buffer[] = []
  #left: number

  constructor(sizeMax: number) {
    this.#left = sizeMax
  }

  /** How much more may come. */
  get left(): number {
    return this.#left
  }

  /** Refuses a block of this size, before it is opened. */
  reserve(size: number): void {
    if (size > this.#left) throw new PackedError('too-large', TOO_LARGE)
  }

  add(block: Buffer): void {
    this.reserve(block.length)
    this.#left -= block.length
    this.#blocks.push(block)
  }

  bytes(): Buffer {
    return this.#blocks.length === 1 ? this.#blocks[0]! : Buffer.concat(this.#blocks)
  }
}
