import { SLABS_POOLED_BYTES_MAX, SLAB_BYTES_MAX, SLAB_BYTES_MIN } from './limits.ts'

const SMALLEST_EXPONENT = Math.log2(SLAB_BYTES_MIN)

/**
 * Buffers that connections write their output into, shared by all connections of a protocol: an
 * idle connection holds none. They are reused because what is left to the collector makes it run
 * every few megabytes. Sizes are powers of two; of the free ones `SLABS_POOLED_BYTES_MAX` are kept.
 */
export class SlabPool {
  /** Free buffers, by the exponent of their size. */
  readonly #free: Buffer[][] = []
  #freeBytes = 0

  /** A buffer with at least `bytes` of room, whose content is of no use. */
  take(bytes: number): Buffer {
    if (bytes > SLAB_BYTES_MAX) return Buffer.allocUnsafeSlow(bytes)
    const exponent = bytes <= SLAB_BYTES_MIN ? SMALLEST_EXPONENT : 32 - Math.clz32(bytes - 1)
    const slab = this.#free[exponent]?.pop()
    if (slab === undefined) return Buffer.allocUnsafeSlow(2 ** exponent)
    this.#freeBytes -= slab.length
    return slab
  }

  /** The caller must not touch the buffer afterwards. One that `take` did not make is let go. */
  give(slab: Buffer): void {
    const { length } = slab
    if (length < SLAB_BYTES_MIN || length > SLAB_BYTES_MAX || (length & (length - 1)) !== 0) return
    if (this.#freeBytes + length > SLABS_POOLED_BYTES_MAX) return
    this.#freeBytes += length
    const exponent = 31 - Math.clz32(length)
    const list = this.#free[exponent]
    if (list === undefined) this.#free[exponent] = [slab]
    else list.push(slab)
  }
}
