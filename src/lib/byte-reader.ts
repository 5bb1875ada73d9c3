import { isUtf8 } from 'node:buffer'

/** `OUT_OF_BOUNDS`: the window ends before the field does. `MALFORMED_UTF8`: text that is none. */
export type ByteReadCode = 'OUT_OF_BOUNDS' | 'MALFORMED_UTF8'

/** Bytes that do not hold what was asked of them; a codec turns it into its own frame error. */
export class ByteReadError extends Error {
  override readonly name = 'ByteReadError'
  readonly code: ByteReadCode

  constructor(code: ByteReadCode, message: string) {
    super(message)
    this.code = code
  }
}

/**
 * Reads big-endian fields from a window of bytes it does not own.
 *
 * Every read checks its bounds, because the bytes come from the network. The cursor never moves
 * past the window: a short read throws `ByteReadError` and leaves the cursor where it was.
 */
export class ByteReader {
  #bytes: Uint8Array
  #offset: number
  #end: number
  #view: DataView | null = null

  /** `start` and `end` are indexes in `bytes`; the window is `[start, end)`. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
    checkWindow(bytes, start, end)
  }

  /** Points the same reader at another window, so that a hot path needs no new object. */
  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    checkWindow(bytes, start, end)
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
    this.#view = null
    return this
  }

  /** The index in `bytes` of the next octet to be read. */
  get offset(): number {
    return this.#offset
  }

  get end(): number {
    return this.#end
  }

  /** Octets left in the window. */
  get remaining(): number {
    return this.#end - this.#offset
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }

  i8(): number {
    return (this.u8() << 24) >> 24
  }

  u16(): number {
    const at = this.#take(2)
    const bytes = this.#bytes
    return (bytes[at]! << 8) | bytes[at + 1]!
  }

  i16(): number {
    return (this.u16() << 16) >> 16
  }

  u32(): number {
    return this.i32() >>> 0
  }

  i32(): number {
    const at = this.#take(4)
    const bytes = this.#bytes
    return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }

  u64(): bigint {
    return this.#dataView().getBigUint64(this.#take(8))
  }

  i64(): bigint {
    return this.#dataView().getBigInt64(this.#take(8))
  }

  /** An unsigned 64-bit field as a number; above 2^53 it is the nearest one. */
  u64Number(): number {
    const at = this.#take(8)
    const bytes = this.#bytes
    const high =
      (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
    const low =
      (bytes[at + 4]! << 24) | (bytes[at + 5]! << 16) | (bytes[at + 6]! << 8) | bytes[at + 7]!
    return (high >>> 0) * 0x1_0000_0000 + (low >>> 0)
  }

  f32(): number {
    return this.#dataView().getFloat32(this.#take(4))
  }

  f64(): number {
    return this.#dataView().getFloat64(this.#take(8))
  }

  /** A view of the next `size` octets; it shares memory with the window. */
  bytes(size: number): Uint8Array {
    const at = this.#take(size)
    return this.#bytes.subarray(at, at + size)
  }

  /** The next `size` octets as UTF-8 text; throws `MALFORMED_UTF8` rather than replace octets. */
  text(size: number): string {
    const at = this.#take(size)
    const bytes = this.#bytes
    const octets = Buffer.from(bytes.buffer, bytes.byteOffset + at, size)
    if (!isUtf8(octets)) {
      this.#offset = at
      throw new ByteReadError('MALFORMED_UTF8', `text of ${size} octets is not UTF-8`)
    }
    return octets.toString('utf8')
  }

  skip(size: number): void {
    this.#take(size)
  }

  #take(size: number): number {
    const at = this.#offset
    // The sum, not the rest of the window, would let a NaN or a negative size pass.
    if (!(size >= 0 && size <= this.#end - at)) {
      const left = this.#end - at
      throw new ByteReadError('OUT_OF_BOUNDS', `a field of ${size} octets, ${left} are left`)
    }
    this.#offset = at + size
    return at
  }

  #dataView(): DataView {
    // A pooled Buffer starts at a non-zero byteOffset, so the offset must be passed on.
    const bytes = this.#bytes
    this.#view ??= new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    return this.#view
  }
}

function checkWindow(bytes: Uint8Array, start: number, end: number): void {
  if (!(start >= 0 && start <= end && end <= bytes.length)) {
    throw new RangeError(`window ${start}..${end} is not inside ${bytes.length} octets`)
  }
}
