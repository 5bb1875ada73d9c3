import { hash } from 'node:crypto'

/** 104 bits of SHA-256 in two safe integers: two texts that share it were never seen, nor made. */
export interface Digest {
  high: number
  low: number
}

const HIGH_HEX = 13
const LOW_HEX = 26

/** Writes the digest of a text into `into`, stable across processes, machines and releases. */
export function digestText(text: string, into: Digest): void {
  const hex = hash('sha256', text)
  into.high = Number.parseInt(hex.slice(0, HIGH_HEX), 16)
  into.low = Number.parseInt(hex.slice(HIGH_HEX, LOW_HEX), 16)
}
