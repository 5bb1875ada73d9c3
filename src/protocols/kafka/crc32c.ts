import { crc32c as nativeCrc32c } from '@node-rs/crc32'

/** CRC-32C (Castagnoli), the checksum of record batches. Native, with the processor's instruction. */
export function crc32c(bytes: Uint8Array): number {
  return nativeCrc32c(bytes)
}
