import { uncompressSync } from 'lz4-napi'
import { OpenedBlocks, PackedError } from './opened-blocks.ts'

/**
 * Opens one LZ4 frame (LZ4 Frame Format 1.6). The library opens the blocks; the frame is read here,
 * because a block's room must be known before it is taken:
 *
 *     magic 04 22 4D 18, FLG, BD, [content size int64], header checksum
 *     blocks: size uint32 little-endian (highest bit: not compressed), octets, [checksum]
 *     end mark 0, [content checksum]
 *
 * FLG: bits 7-6 version 01, 5 blocks are independent, 4 block checksums, 3 content size,
 * 2 content checksum, 0 dictionary. BD: bits 6-4 the largest block. Like Kafka's own clients it
 * takes independent blocks only, no dictionary, and a header with the right checksum.
 */
export function openLz4Frame(bytes: Buffer, sizeMax: number): Buffer {
  const header = readHeader(bytes)
  const blocks = new OpenedBlocks(sizeMax)
  let at = header.end
  for (;;) {
    if (bytes.length - at < 4) throw new PackedError('broken', 'an LZ4 frame without an end')
    const field = bytes.readUInt32LE(at)
    at += 4
    if (field === 0) break
    const size = field & 0x7fff_ffff
    if (size > header.blockBytesMax || size > bytes.length - at) {
      throw new PackedError('broken', `an LZ4 block of ${size} octets`)
    }
    const block = bytes.subarray(at, at + size)
    blocks.add(field >= 0x8000_0000 ? block : openBlock(block, header.blockBytesMax, blocks))
    at += size + header.blockTrailerBytes
  }
  return blocks.bytes()
}

interface FrameHeader {
  readonly end: number
  readonly blockBytesMax: number
  readonly blockTrailerBytes: number
}

const FLAG = { BLOCK_CHECKSUM: 0x10, CONTENT_SIZE: 0x08, DICTIONARY: 0x01 } as const

function readHeader(bytes: Buffer): FrameHeader {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== 0x184d_2204) {
    throw new PackedError('broken', 'no LZ4 frame')
  }
  const flags = bytes[4]!
  const sizeId = bytes[5]! >> 4
  if (flags >> 6 !== 1 || sizeId < 4 || sizeId > 7) {
    throw new PackedError('broken', 'an LZ4 frame of another version')
  }
  const isIndependent = (flags & 0x20) !== 0
  if (!isIndependent || (flags & FLAG.DICTIONARY) !== 0) {
    throw new PackedError('broken', 'an LZ4 frame of blocks that depend on others')
  }
  const end = 7 + ((flags & FLAG.CONTENT_SIZE) === 0 ? 0 : 8)
  if (bytes.length < end) throw new PackedError('broken', 'no LZ4 frame')
  if (bytes[end - 1] !== headerChecksum(bytes.subarray(4, end - 1))) {
    throw new PackedError('broken', 'an LZ4 frame whose header has another checksum')
  }
  return {
    end,
    blockBytesMax: 1 << (8 + 2 * sizeId),
    blockTrailerBytes: (flags & FLAG.BLOCK_CHECKSUM) === 0 ? 0 : 4,
  }
}

/** The library wants the room it may take in front; an octet of LZ4 opens to 255 at most. */
function openBlock(block: Buffer, blockBytesMax: number, { left }: OpenedBlocks): Buffer {
  const room = Math.min(blockBytesMax, block.length * 255, left)
  const sized = Buffer.allocUnsafe(4 + block.length)
  sized.writeUInt32LE(room)
  block.copy(sized, 4)
  try {
    return uncompressSync(sized)
  } catch (error) {
    const reason = room === left ? 'too-large' : 'broken'
    throw new PackedError(reason, 'an LZ4 block that does not open', { cause: error })
  }
}

const PRIME_2 = 0x85eb_ca77
const PRIME_3 = 0xc2b2_ae3d
const PRIME_4 = 0x27d4_eb2f
const PRIME_5 = 0x1656_67b1
const PRIME_1 = 0x9e37_79b1

/** The second octet of xxHash-32, of fewer than 16 octets. */
function headerChecksum(bytes: Buffer): number {
  let hash = (PRIME_5 + bytes.length) | 0
  let at = 0
  for (; at + 4 <= bytes.length; at += 4) {
    hash = (hash + Math.imul(bytes.readInt32LE(at), PRIME_3)) | 0
    hash = Math.imul(rotated(hash, 17), PRIME_4)
  }
  for (; at < bytes.length; at += 1) {
    hash = (hash + Math.imul(bytes[at]!, PRIME_5)) | 0
    hash = Math.imul(rotated(hash, 11), PRIME_1)
  }
  hash = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  hash = Math.imul(hash ^ (hash >>> 13), PRIME_3)
  hash ^= hash >>> 16
  return (hash >>> 8) & 0xff
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}
