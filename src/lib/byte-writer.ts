/**
 * Writes big-endian fields into a window of bytes it does not own.
 *
 * The caller works out the size first and brings the room. Running out of it is a mistake of the
 * program, not of a peer: it throws `RangeError`, and the cursor stays where it was.
 */
export class ByteWriter {
  #bytes: Uint8Array
  #offset: number
  #end: number
  #view: DataView | null = null

  /** `start` and `end` are indexes in `bytes`; nothing outside `[start, end)` is touched. */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
    checkWindow(bytes, start, end)
  }

  /** Points the same writer at another window, so that a hot path needs no new object. */
  reset(bytes: Uint8Array, start = 0, end: number = bytes.length): this {
    checkWindow(bytes, start, end)
    this.#bytes = bytes
    this.#offset = start
    this.#end = end
    this.#view = null
    return this
  }

  /** The index in `bytes` of the next octet to be written. */
  get offset(): number {
    return this.#offset
  }

  /** Octets of room left in the window. */
  get remaining(): number {
    return this.#end - this.#offset
  }

  u8(value: number): void {
    this.#bytes[this.#take(1)] = value
  }

  /** The low 16 bits of `value`: signed and unsigned are written alike. */
  u16(value: number): void {
    const at = this.#take(2)
    this.#bytes[at] = value >>> 8
    this.#bytes[at + 1] = value
  }

  /** The low 32 bits of `value`: signed and unsigned are written alike. */
  u32(value: number): void {
    const at = this.#take(4)
    const bytes = this.#bytes
    bytes[at] = value >>> 24
    bytes[at + 1] = value >>> 16
    bytes[at + 2] = value >>> 8
    bytes[at + 3] = value
  }

  u64(value: bigint): void {
    this.#dataView().setBigUint64(this.#take(8), value)
  }

  i64(value: bigint): void {
    this.#dataView().setBigInt64(this.#take(8), value)
  }

  /** A whole number from 0 to 2^53 - 1 as an unsigned 64-bit field. */
  u64Number(value: number): void {
    if (!(Number.isSafeInteger(value) && value >= 0)) {
      throw new RangeError(`${value} is not a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`)
    }
    const at = this.#take(8)
    this.#dataView().setUint32(at, Math.floor(value / 0x1_0000_0000))
    this.#dataView().setUint32(at + 4, value >>> 0)
  }

  f32(value: number): void {
    this.#dataView().setFloat32(this.#take(4), value)
  }

  f64(value: number): void {
    this.#dataView().setFloat64(this.#take(8), value)
  }

  bytes(source: Uint8Array): void {
    this.#bytes.set(source, this.#take(source.length))
  }

  /** Writes `text` as UTF-8, without a length; returns the octets it took. */
  text(text: string): number {
    const bytes = this.#bytes
    const size = Buffer.byteLength(text)
    const at = this.#take(size)
    Buffer.from(bytes.buffer, bytes.byteOffset + at, size).write(text, 'utf8')
    return size
  }

  /** Moves on over octets that somebody else has written. */
  skip(size: number): void {
    this.#take(size)
  }

  #take(size: number): number {
    const at = this.#offset
    if (size > this.#end - at) {
      throw new RangeError(`a field of ${size} octets, room for ${this.#end - at}`)
    }
    this.#offset = at + size
    return at
  }

  #dataView(): DataView {
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
