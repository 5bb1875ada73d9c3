const M = 0x5bd1e995
const SEED = 0x9747b28c

/**
 * Murmur2 of 32 bits as Kafka's producers spread keys with it, so that equal keys meet in the same
 * partition whoever published them.
 */
export function partitionOfKey(
  bytes: Buffer,
  range: { readonly start: number; readonly end: number },
  partitionCount: number,
): number {
  return (murmur2(bytes, range.start, range.end) & 0x7fff_ffff) % partitionCount
}

function murmur2(bytes: Buffer, start: number, end: number): number {
  const size = end - start
  let hash = SEED ^ size
  let at = start
  for (; at + 4 <= end; at += 4) {
    let word = Math.imul(bytes.readInt32LE(at), M)
    word ^= word >>> 24
    hash = Math.imul(hash, M) ^ Math.imul(word, M)
  }
  const rest = end - at
  if (rest === 3) hash ^= bytes[at + 2]! << 16
  if (rest >= 2) hash ^= bytes[at + 1]! << 8
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, M)
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}
