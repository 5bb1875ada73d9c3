/** Writes safe non-negative integers in seven-bit groups, smallest first (LEB128). */
export class VarintWriter {
  #buffer: Buffer = Buffer.allocUnsafe(4096)
  #at = 0

  write(value: number): void {
    if (this.#at + 8 > this.#buffer.length) {
      const wider = Buffer.allocUnsafe(this.#buffer.length * 2)
      this.#buffer.copy(wider, 0, 0, this.#at)
      this.#buffer = wider
    }
    let rest = value
    // Not by shifts: they cut to 32 bits, and offsets need up to 53.
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#at++] = rest
  }

  /** What was written so far; valid until the next write. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}

/** Reads what `VarintWriter` wrote; a value cut short throws a RangeError. */
export class VarintReader {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  read(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const octet = this.#bytes[this.at++]
      if (octet === undefined) throw new RangeError('a variable-length integer is cut short')
      value += (octet & 0x7f) * scale
      if (octet < 0x80) return value
      scale *= 0x80
    }
  }
}
