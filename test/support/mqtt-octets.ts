/** The smallest parts of MQTT packets by hand, apart from the broker's codec. */

/** A whole packet: its first octet, its length, its parts. */
export function packetOf(first: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(first), varint(body.length), body])
}

export function varint(value: number): Buffer {
  const octets: number[] = []
  let rest = value
  do {
    octets.push(rest < 0x80 ? rest : (rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  } while (rest > 0)
  return Buffer.from(octets)
}

/** A string or octets behind their length. */
export function text(value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([uint16(bytes.length), bytes])
}

export function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 255)
}

export function uint32(value: number): Buffer {
  return Buffer.of(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255)
}

/** Octets of the packet in front, 0 while its length is not there. */
export function packetSize(bytes: Uint8Array): number {
  let size = 0
  for (let index = 1; index <= 4; index++) {
    if (index >= bytes.length) return 0
    size |= (bytes[index]! & 0x7f) << (7 * (index - 1))
    if (bytes[index]! < 0x80) return index + 1 + size
  }
  return 0
}
