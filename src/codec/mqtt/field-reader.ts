import { isUtf8 } from 'node:buffer'
import { malformed } from './packet-error.ts'

/**
 * Reads the fields of one packet (section 1.5) from bytes it does not own.
 *
 * Every read checks the end, because lengths come from the network; one that does not fit is a
 * Malformed Packet. One reader serves a connection: `open` sets it on the next packet.
 */
export class FieldReader {
  bytes: Buffer = NOTHING
  at = 0
  end = 0

  open(bytes: Buffer, at: number, end: number): void {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  uint8(): number {
    if (this.at >= this.end) throw tooShort()
    return this.bytes[this.at++]!
  }

  uint16(): number {
    const { at } = this
    if (this.end - at < 2) throw tooShort()
    this.at = at + 2
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  uint32(): number {
    return this.uint16() * 65_536 + this.uint16()
  }

  /** A variable byte integer; it must take as few octets as it can (section 1.5.5). */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.uint8()
      value |= (octet & 0x7f) << shift
      if (octet < 0x80) {
        if (octet === 0 && shift > 0) throw malformed('a variable byte integer longer than needed')
        return value
      }
    }
    throw malformed('a variable byte integer of more than 4 octets')
  }

  /** Skips a string or binary field behind its length; returns where its octets start. */
  span(): number {
    const size = this.uint16()
    const start = this.at
    if (this.end - start < size) throw tooShort()
    this.at = start + size
    return start
  }

  /** Skips a checked UTF-8 string; returns where its octets start. */
  utf8Span(): number {
    const start = this.span()
    checkUtf8(this.bytes, start, this.at)
    return start
  }

  /** A string that names something. */
  name(): string {
    const start = this.span()
    checkName(this.bytes, start, this.at)
    return this.bytes.toString('utf8', start, this.at)
  }

  utf8(): string {
    const start = this.utf8Span()
    return this.bytes.toString('utf8', start, this.at)
  }

  /** A copy: what it is kept in may outlive the socket's read. */
  binary(): Buffer {
    const start = this.span()
    return Buffer.from(this.bytes.subarray(start, this.at))
  }
}

const NOTHING = Buffer.alloc(0)

/** Section 1.5.4: well-formed, no surrogates, no U+0000. Returns whether all of it is ASCII. */
function checkUtf8(bytes: Buffer, start: number, end: number): boolean {
  let all = 0
  for (let at = start; at < end; at += 1) {
    const octet = bytes[at]!
    if (octet === 0) throw malformed('a string that holds U+0000')
    all |= octet
  }
  if (all < 0x80) return true
  if (!isUtf8(bytes.subarray(start, end))) throw malformed('a string that is not UTF-8')
  return false
}

/**
 * Topics, filters and names: what section 1.5.4 lets a server refuse, control characters, is
 * refused as mosquitto does. Returns whether all of it is ASCII.
 */
export function checkName(bytes: Buffer, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) {
    const octet = bytes[at]!
    const isControl = octet < 0x20 || octet === 0x7f
    // U+0080 to U+009F are C2 80 to C2 9F.
    if (isControl || (octet === 0xc2 && at + 1 < end && bytes[at + 1]! < 0xa0)) {
      throw malformed('a name that holds a control character')
    }
  }
  return checkUtf8(bytes, start, end)
}

function tooShort(): Error {
  return malformed('a field that goes beyond the end of its packet')
}
