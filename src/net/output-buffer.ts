import { FLUSH_BYTES, SLABS_POOLED_BYTES_MAX, SLAB_BYTES_MIN } from './limits.ts'
import type { Transport } from './transport.ts'

const NONE: Buffer = Buffer.alloc(0)

/**
 * Buffers that connections write their output into, shared by all connections of a protocol: an
 * idle connection holds none. Of the free ones `SLABS_POOLED_BYTES_MAX` are kept.
 */
export class SlabPool {
  readonly #small: Buffer[] = []
  readonly #large: Buffer[] = []

  /** A buffer with at least `bytes` of room. */
  take(bytes: number): Buffer {
    if (bytes <= SLAB_BYTES_MIN) {
      return this.#small.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES_MIN)
    }
    if (bytes <= FLUSH_BYTES) return this.#large.pop() ?? Buffer.allocUnsafeSlow(FLUSH_BYTES)
    return Buffer.allocUnsafeSlow(bytes)
  }

  /** The caller must not touch the buffer afterwards. */
  give(slab: Buffer): void {
    const list =
      slab.length === SLAB_BYTES_MIN
        ? this.#small
        : slab.length === FLUSH_BYTES
          ? this.#large
          : null
    if (list === null || list.length * slab.length >= SLABS_POOLED_BYTES_MAX) return
    list.push(slab)
  }
}

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

  /** Hands on a large buffer as it is, after all before it; it is the transport's from now on. */
  pass(bytes: Buffer): void {
    this.flush()
    this.writtenBytes += bytes.length
    if (!this.#transport.write(bytes)) this.blocked = true
  }

  /** Gives everything to the transport. */
  flush(): void {
    const { buffer, at } = this
    if (at === 0) return
    this.writtenBytes += at
    this.buffer = NONE
    this.at = 0
    const taken = this.#transport.write(at === buffer.length ? buffer : buffer.subarray(0, at))
    if (taken) {
      this.#pool.give(buffer)
      return
    }
    this.blocked = true
    this.#inFlight.push(buffer)
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

  #makeRoom(size: number): void {
    if (this.at >= FLUSH_BYTES / 2) this.flush()
    const { buffer, at } = this
    if (at + size <= buffer.length) return
    const larger = this.#pool.take(at + size)
    larger.set(buffer.subarray(0, at), 0)
    if (buffer.length > 0) this.#pool.give(buffer)
    this.buffer = larger
  }
}
