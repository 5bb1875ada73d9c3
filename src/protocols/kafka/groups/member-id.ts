import type { RandomSource } from '../../../lib/random.ts'

/** 128 random bits in the form of a UUID of version 4, as Kafka writes them into member ids. */
export function randomUuid(random: RandomSource): string {
  const bytes = random.bytes(16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20),
  ].join('-')
}
