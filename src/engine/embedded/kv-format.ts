/**
 * One entry of the kv's log: `u32 items`, then each item as `u64 revision, u32 key bytes,
 * u32 value bytes (all ones: deleted), key, value`. All numbers are little-endian.
 */
import { readU64, writeU64 } from '../../storage/entry-format.ts'

const HEADER_BYTES = 4
const ITEM_BYTES = 16
const DELETED = 0xffff_ffff

export interface KvItem {
  readonly key: string
  /** null: deleted. */
  readonly value: Buffer | null
  readonly revision: number
}

export function encodeItems(items: readonly KvItem[]): Buffer {
  let size = HEADER_BYTES
  for (const { key, value } of items) {
    size += ITEM_BYTES + Buffer.byteLength(key) + (value?.length ?? 0)
  }
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeUInt32LE(items.length, 0)
  let at = HEADER_BYTES
  for (const { key, value, revision } of items) {
    const keyBytes = Buffer.byteLength(key)
    writeU64(bytes, revision, at)
    bytes.writeUInt32LE(keyBytes, at + 8)
    bytes.writeUInt32LE(value === null ? DELETED : value.length, at + 12)
    at += ITEM_BYTES
    bytes.write(key, at)
    value?.copy(bytes, at + keyBytes)
    at += keyBytes + (value?.length ?? 0)
  }
  return bytes
}

/** The entry carries a checksum of its own, so its fields are taken at their word. */
export function decodeItems(bytes: Buffer): KvItem[] {
  const items: KvItem[] = []
  const count = bytes.readUInt32LE(0)
  let at = HEADER_BYTES
  for (let index = 0; index < count; index++) {
    const revision = readU64(bytes, at)
    const keyBytes = bytes.readUInt32LE(at + 8)
    const valueBytes = bytes.readUInt32LE(at + 12)
    at += ITEM_BYTES
    const key = bytes.toString('utf8', at, at + keyBytes)
    at += keyBytes
    if (valueBytes === DELETED) {
      items.push({ key, value: null, revision })
      continue
    }
    // A copy: a view would keep the whole block of the read in memory as long as the key lives.
    items.push({ key, value: Buffer.from(bytes.subarray(at, at + valueBytes)), revision })
    at += valueBytes
  }
  return items
}
