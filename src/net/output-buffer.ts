import { FLUSH_BYTES, SLAB_BYTES_MIN } from './limits.ts'
import type { SlabPool } from './slab-pool.ts'
import type { Transport } from './transport.ts'

const NONE: Buffer = Buffer.alloc(0)

/**
 * What one connection has to say in this turn, gathered in one buffer and written once.
 *
 * Use: `at = output.reserve(size)`, write into `output.buffer` from `at`, then `output.at = end`.
 * Once `FLUSH_BYTES` have gathered they are written without waiting for the end of the turn, so
 * the buffer stays small; what the socket does not take is counted in `transport.pendingBytes`.
 */
export class OutputBuffer {
  buffer: Buffer = NONE
  /** End of what was written into `buffer`. */
  at = 0
  /** Bytes handed to the transport since the connection began. */
  writtenBytes = 0
  /** The socket did not take all of the last write; until `drained`, whoever can should wait. */
  blocked = false
  readonly #transport: Transport
  readonly #pool: SlabPool
  /** Buffers that the socket has not taken yet. */
  readonly #inFlight: Buffer[] = []

  constructor(transport: Transport, pool: SlabPool) {
    this.#transport = transport
    this.#pool = pool
  }

  /** Bytes that gathered here or wait in the socket. */
  get pendingBytes(): number {
    return this.at + this.#transport.pendingBytes
  }

  /** Makes room for `size` bytes and says where it starts. */
  reserve(size: number): number {
    if (this.at + size > this.buffer.length) this.#makeRoom(size)
    return this.at
  }

  /** Copies whole bytes, such as a constant frame. */
  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.buffer.set(bytes, at)
    this.at = at + bytes.length
  }

  /** Hands on the first `size` bytes of a buffer of the pool, after all before; it is gone then. */
  pass(slab: Buffer, size: number): void {
    this.flush()
    this.#write(slab, size)
  }

  /** Gives everything to the transport. */
  flush(): void {
    const { buffer, at } = this
    if (at === 0) return
    this.buffer = NONE
    this.at = 0
    this.#write(buffer, at)
  }

  /** The transport says that everything was taken. */
  drained(): void {
    this.blocked = false
    for (const buffer of this.#inFlight) this.#pool.give(buffer)
    this.#inFlight.length = 0
  }

  /** Lets the buffer go with whatever is in it; for a connection that is over. */
  discard(): void {
    if (this.buffer.length > 0) this.#pool.give(this.buffer)
    this.buffer = NONE
    this.at = 0
  }

  #write(slab: Buffer, size: number): void {
    this.writtenBytes += size
    const taken = this.#transport.write(size === slab.length ? slab : slab.subarray(0, size))
    if (taken) {
      this.#pool.give(slab)
      return
    }
    this.blocked = true
    this.#inFlight.push(slab)
  }

  #makeRoom(size: number): void {
    if (this.at >= FLUSH_BYTES / 2) this.flush()
    const { buffer, at } = this
    if (at + size <= buffer.length) return
    // Whoever needs more than the smallest one fills up to the mark mostly.
    const bytes = at + size <= SLAB_BYTES_MIN ? SLAB_BYTES_MIN : Math.max(at + size, FLUSH_BYTES)
    const larger = this.#pool.take(bytes)
    larger.set(buffer.subarray(0, at), 0)
    if (buffer.length > 0) this.#pool.give(buffer)
    this.buffer = larger
  }
}
