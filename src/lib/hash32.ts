/**
 * 32-bit hashes for spreading, not for secrets: stable across processes, machines and releases,
 * because what was spread by them (partitions, hash rings) must stay where it is.
 */

/** Spreads the bits of a 32-bit value over all 32 (the finalizer of MurmurHash3). */
export function mix32(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85eb_ca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

const FNV_OFFSET = 0x811c_9dc5
const FNV_PRIME = 0x0100_0193

/**
 * Hashes the UTF-16 units of a text (FNV-1a over units, then mixed), as an unsigned number. The
 * `seed` lets a text hashed in pieces go on where the piece before it ended.
 */
export function hashText32(text: string, seed: number = FNV_OFFSET): number {
  let hash = seed
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), FNV_PRIME)
  }
  return mix32(hash)
}

/** A prime of another family, so that the two halves of a long hash know nothing of each other. */
const OTHER_PRIME = 0x5bd1_e995

/** Hashes octets to a safe integer from 0 to 2^53-1, of two independent hashes. */
export function hashBytes53(bytes: Uint8Array, start: number, end: number): number {
  let one = FNV_OFFSET
  let two = end - start
  for (let index = start; index < end; index++) {
    const byte = bytes[index]!
    one = Math.imul(one ^ byte, FNV_PRIME)
    two = Math.imul(two ^ byte, OTHER_PRIME)
    two ^= two >>> 15
  }
  return mix32(one) * 0x20_0000 + (mix32(two) >>> 11)
}
