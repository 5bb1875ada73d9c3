/** A field of a message: its number, and a varint or octets. */
export type ProtobufField = readonly [number, number | string | Uint8Array]

const VARINT = 0
const BYTES = 2
const FIXED_SIZES: Readonly<Record<number, number>> = { 1: 8, 5: 4 }

/** Encodes the few small messages that are the broker's own; numbers are whole and not negative. */
export function encodeFields(fields: readonly ProtobufField[]): Buffer {
  const parts: Uint8Array[] = []
  for (const [number, value] of fields) {
    if (typeof value === 'number') {
      parts.push(varint(number * 8 + VARINT), varint(value))
      continue
    }
    const bytes = typeof value === 'string' ? Buffer.from(value, 'utf8') : value
    parts.push(varint(number * 8 + BYTES), varint(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

/** Fields in their order, fixed ones left out; null when it is no message. */
export function decodeFields(bytes: Uint8Array): ProtobufField[] | null {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const fields: ProtobufField[] = []
  let at = 0
  const next = (): number => {
    let value = 0
    for (let scale = 1; at < view.length && scale < 2 ** 63; scale *= 128) {
      const octet = view[at++]!
      value += (octet & 0x7f) * scale
      if (octet < 0x80) return value
    }
    return -1
  }
  while (at < view.length) {
    const tag = next()
    const kind = tag % 8
    const number = Math.floor(tag / 8)
    if (number < 1) return null
    const size = kind === VARINT ? 0 : kind === BYTES ? next() : (FIXED_SIZES[kind] ?? -1)
    if (size < 0 || size > view.length - at) return null
    if (kind === VARINT) {
      const value = next()
      if (value < 0) return null
      fields.push([number, value])
    } else if (kind === BYTES) fields.push([number, view.subarray(at, at + size)])
    at += size
  }
  return fields
}

/** The last value of a field as text; empty when there is none. */
export function textOf(fields: readonly ProtobufField[], number: number): string {
  const value = fields.findLast(([known]) => known === number)?.[1]
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : ''
}

function varint(value: number): Uint8Array {
  const octets: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 0x80)
  octets.push(rest)
  return Uint8Array.from(octets)
}
