import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { compressFrameSync } from 'lz4-napi'
import { compressSync as snappyCompress, uncompressSync as snappyUncompress } from 'snappy'
import { CODEC } from '../../codec/kafka/record-batch.ts'
import { openLz4Frame } from './lz4-frame.ts'
import { OpenedBlocks, PackedError, TOO_LARGE } from './opened-blocks.ts'

/**
 * Opens a compressed block of records. No more than `sizeMax` octets come out, and that is known
 * before memory is taken for them: what says it is more, or turns out to be, throws `PackedError`,
 * as does what is broken.
 */
export function decompress(codec: number, bytes: Buffer, sizeMax: number): Buffer {
  switch (codec) {
    case CODEC.NONE:
      return bytes
    case CODEC.GZIP:
      return opened(() => gunzipSync(bytes, { maxOutputLength: sizeMax }))
    case CODEC.SNAPPY:
      return opened(() => openSnappy(bytes, sizeMax))
    case CODEC.LZ4:
      return opened(() => openLz4Frame(bytes, sizeMax))
    case CODEC.ZSTD:
      return opened(() => zstdDecompressSync(bytes, { maxOutputLength: sizeMax }))
    default:
      throw new PackedError('broken', `codec ${codec} is not known`)
  }
}

/** Compresses a block of records as Kafka's own client does. */
export function compress(codec: number, block: Buffer): Buffer {
  switch (codec) {
    case CODEC.GZIP:
      return gzipSync(block)
    case CODEC.SNAPPY:
      return packSnappy(block)
    case CODEC.LZ4:
      return compressFrameSync(block)
    case CODEC.ZSTD:
      return zstdCompressSync(block, {
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
      })
    default:
      return block
  }
}

/** The default of Kafka's client. */
const ZSTD_LEVEL = 3

/** The framing of snappy-java: this magic, version and lowest version, then blocks behind sizes. */
const XERIAL_MAGIC = Buffer.from('82534e41505059000000000100000001', 'hex')
const XERIAL_MAGIC_BYTES = 8
const XERIAL_BLOCK_BYTES = 32 * 1024

/** The JVM clients, sarama and kafka-python frame it; librdkafka, franz-go and others do not. */
function openSnappy(bytes: Buffer, sizeMax: number): Buffer {
  const isFramed =
    bytes.length >= XERIAL_MAGIC.length &&
    XERIAL_MAGIC.compare(bytes, 0, XERIAL_MAGIC_BYTES, 0, XERIAL_MAGIC_BYTES) === 0
  const blocks = new OpenedBlocks(sizeMax)
  if (!isFramed) {
    addSnappyBlock(blocks, bytes)
    return blocks.bytes()
  }
  for (let at = XERIAL_MAGIC.length; at < bytes.length;) {
    if (bytes.length - at < 4) throw new PackedError('broken', 'a snappy block without its size')
    const size = bytes.readInt32BE(at)
    const start = at + 4
    if (size < 0 || size > bytes.length - start) {
      throw new PackedError('broken', `a snappy block of ${size} octets`)
    }
    at = start + size
    addSnappyBlock(blocks, bytes.subarray(start, at))
  }
  return blocks.bytes()
}

/** A block says in front, as a varint of 32 bits, how much comes out of it. */
function addSnappyBlock(blocks: OpenedBlocks, block: Buffer): void {
  let size = 0
  for (let at = 0, scale = 1; ; at += 1, scale *= 128) {
    const octet = block[at]
    if (octet === undefined || at > 4) throw new PackedError('broken', 'no snappy block')
    size += (octet & 0x7f) * scale
    if (octet < 0x80) break
  }
  blocks.reserve(size)
  blocks.add(snappyUncompress(block, { asBuffer: true }) as Buffer)
}

function packSnappy(block: Buffer): Buffer {
  const parts: Buffer[] = [XERIAL_MAGIC]
  for (let at = 0; at < block.length; at += XERIAL_BLOCK_BYTES) {
    const packed = snappyCompress(block.subarray(at, at + XERIAL_BLOCK_BYTES))
    const size = Buffer.alloc(4)
    size.writeInt32BE(packed.length)
    parts.push(size, packed)
  }
  return Buffer.concat(parts)
}

/** Whatever a library says of bad input is a `PackedError`. */
function opened(open: () => Buffer): Buffer {
  try {
    return open()
  } catch (error) {
    if (error instanceof PackedError) throw error
    const isTooLarge = (error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE'
    if (isTooLarge) throw new PackedError('too-large', TOO_LARGE, { cause: error })
    throw new PackedError('broken', 'octets the codec cannot open', { cause: error })
  }
}
