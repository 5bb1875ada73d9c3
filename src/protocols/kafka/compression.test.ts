import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deflateRawSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { compressFrameSync } from 'lz4-napi'
import { compressSync as snappyBlock } from 'snappy'
import { CODEC } from '../../codec/kafka/record-batch.ts'
import { compress, decompress } from './compression.ts'
import { crc32c } from './crc32c.ts'
import { OPENED_BYTES_MAX } from './limits.ts'
import { PackedError } from './opened-blocks.ts'

const CODECS = [CODEC.GZIP, CODEC.SNAPPY, CODEC.LZ4, CODEC.ZSTD]
const MIB = 1024 * 1024

const blocks = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.nat(200_000).map((size) => new Uint8Array(size).fill(size)),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(5_000))
    .map(([part, times]) => Buffer.concat(Array.from({ length: times }, () => part))),
)

function refusal(codec: number, bytes: Buffer, sizeMax: number): string {
  try {
    decompress(codec, bytes, sizeMax)
  } catch (error) {
    assert.ok(error instanceof PackedError, String(error))
    return error.reason
  }
  return 'opened'
}

// A producer may send any records, and a pooled buffer may start anywhere.
test('what is compressed opens to the same, at exactly its size', () => {
  for (const codec of [CODEC.NONE, ...CODECS]) {
    fc.assert(
      fc.property(blocks, fc.nat(9), (octets, offset) => {
        const block = Buffer.from(octets)
        const packed = compress(codec, block)
        const pool = Buffer.alloc(offset + packed.length + 5, 0xaa)
        packed.copy(pool, offset)
        const window = pool.subarray(offset, offset + packed.length)
        assert.ok(decompress(codec, window, Math.max(block.length, 1)).equals(block))
      }),
      { numRuns: 50 },
    )
  }
})

// A bomb is a few octets that open to many.
test('what opens to one octet more than allowed is refused as too large', () => {
  for (const codec of CODECS) {
    for (const size of [100, 70_000, MIB]) {
      const packed = compress(codec, Buffer.alloc(size, 7))
      assert.equal(refusal(codec, packed, size - 1), 'too-large', `${codec} ${size}`)
      assert.equal(refusal(codec, packed, size), 'opened')
    }
  }
})

test('a bomb does not take the memory it asks for', () => {
  const zeros = Buffer.alloc(OPENED_BYTES_MAX / 4)
  const bombs = CODECS.map((codec) => [codec, compress(codec, zeros)] as const)
  const xerial = Buffer.from('82534e41505059000000000100000001', 'hex')
  const claim = Buffer.from('00000006ffffffff0f00', 'hex')
  const before = process.memoryUsage.rss()
  for (const [codec, packed] of bombs) assert.equal(refusal(codec, packed, MIB), 'too-large')
  // Four gigabytes, says the block; and again behind the frame of snappy-java.
  assert.equal(refusal(CODEC.SNAPPY, claim.subarray(4), MIB), 'too-large')
  assert.equal(refusal(CODEC.SNAPPY, Buffer.concat([xerial, claim]), MIB), 'too-large')
  assert.ok(process.memoryUsage.rss() - before < 12 * MIB)
})

// A peer may cut, change or make up the octets.
test('octets that were changed open to something or are refused, and nothing else happens', () => {
  for (const codec of CODECS) {
    const packed = compress(codec, Buffer.from('a record, and again a record. '.repeat(200)))
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.nat(255), fc.boolean(), (at, octet, cut) => {
        const changed = cut ? packed.subarray(0, at) : Buffer.from(packed)
        if (!cut) changed[at] = octet
        refusal(codec, changed, MIB)
      }),
      { numRuns: 100 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (octets) => {
        refusal(codec, Buffer.from(octets), MIB)
      }),
      { numRuns: 100 },
    )
  }
})

test('a compressed block that is cut off is broken', () => {
  for (const codec of CODECS) {
    const packed = compress(codec, Buffer.from('a record, and again a record. '.repeat(200)))
    assert.equal(refusal(codec, packed.subarray(0, packed.length - 5), MIB), 'broken')
    assert.equal(refusal(codec, Buffer.alloc(0), MIB), 'broken')
  }
  assert.equal(refusal(7, Buffer.alloc(9), MIB), 'broken')
})

test('snappy opens with and without the frame of snappy-java', () => {
  const block = Buffer.from('order '.repeat(20_000))
  const packed = compress(CODEC.SNAPPY, block)
  assert.equal(packed.toString('hex', 0, 8), '82534e4150505900')
  assert.ok(decompress(CODEC.SNAPPY, packed, block.length).equals(block))
  assert.ok(decompress(CODEC.SNAPPY, snappyBlock(block), block.length).equals(block))
})

test('lz4 opens frames of every block size, with and without checksums', () => {
  for (const size of [10, 60_000, 200_000, 900_000, 5_000_000]) {
    const block = Buffer.alloc(size, 'order 4711 ')
    for (const blockChecksums of [false, true]) {
      for (const contentChecksum of [false, true]) {
        const frame = compressFrameSync(block, { blockChecksums, contentChecksum })
        assert.ok(decompress(CODEC.LZ4, frame, size).equals(block), `${size}`)
      }
    }
  }
})

test('lz4 refuses blocks that depend on others, and a header that was changed', () => {
  const frame = compressFrameSync(Buffer.alloc(1_000, 'order'))
  for (const [at, value] of [
    [0, 5],
    [4, 0x40],
    [4, 0x61],
    [4, 0xa0],
    [5, 0x30],
    [6, frame[6]! ^ 1],
  ] as const) {
    const changed = Buffer.from(frame)
    changed[at] = value
    assert.equal(refusal(CODEC.LZ4, changed, MIB), 'broken', `octet ${at}`)
  }
})

test('gzip opens a member with a name in its header', () => {
  const block = Buffer.from('order '.repeat(1_000))
  const head = Buffer.from('1f8b0808000000000003', 'hex')
  const tail = gzipSync(block).subarray(-8)
  const named = Buffer.concat([head, Buffer.from('batch\0'), deflateRawSync(block), tail])
  assert.ok(decompress(CODEC.GZIP, named, MIB).equals(block))
})

test('the checksum is CRC-32C', () => {
  // RFC 3720, appendix B.4.
  assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283)
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a91_36aa)
  assert.equal(crc32c(Buffer.alloc(40).subarray(8)), 0x8a91_36aa)
})
