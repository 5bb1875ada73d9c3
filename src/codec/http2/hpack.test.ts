import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HpackDecoder } from './hpack-decoder.ts'
import { HpackEncoder } from './hpack-encoder.ts'
import { Http2Error } from './http2-error.ts'
import { decodeHuffman, huffmanSize, writeHuffman } from './huffman.ts'
import { HEADER_LIST_BYTES_MAX, HEADER_TABLE_BYTES_MAX } from './limits.ts'

function fieldsOf(decoder: HpackDecoder, block: Buffer): readonly string[] {
  return decoder.decode(block, 0, block.length).fields
}

test('the requests of RFC 7541, appendix C, are read', () => {
  const plain = new HpackDecoder()
  const coded = new HpackDecoder()
  const first = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'www.example.com']
  // C.3.1 to C.3.3, and C.4.1 to C.4.3 with Huffman's code.
  const c31 = Buffer.from('828684410f7777772e6578616d706c652e636f6d', 'hex')
  const c41 = Buffer.from('828684418cf1e3c2e5f23a6ba0ab90f4ff', 'hex')
  assert.deepEqual(fieldsOf(plain, c31), first)
  assert.deepEqual(fieldsOf(coded, c41), first)
  assert.equal(plain.tableBytes, 57)
  const second = [...first, 'cache-control', 'no-cache']
  assert.deepEqual(fieldsOf(plain, Buffer.from('828684be58086e6f2d6361636865', 'hex')), second)
  assert.deepEqual(fieldsOf(coded, Buffer.from('828684be5886a8eb10649cbf', 'hex')), second)
  const third = [':method', 'GET', ':scheme', 'https', ':path', '/index.html']
  third.push(':authority', 'www.example.com', 'custom-key', 'custom-value')
  const c33 = '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565'
  assert.deepEqual(fieldsOf(plain, Buffer.from(c33, 'hex')), third)
  const c43 = '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf'
  assert.deepEqual(fieldsOf(coded, Buffer.from(c43, 'hex')), third)
  assert.equal(plain.tableBytes, 164)
})

const octets = fc.uint8Array({ maxLength: 300 })

test('any octets come back from the Huffman code', () => {
  fc.assert(
    fc.property(octets, (bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      const coded = Buffer.alloc(huffmanSize(text) + 3, 0x11)
      const end = writeHuffman(text, coded, 1)
      assert.equal(end, huffmanSize(text) + 1)
      const back = Buffer.alloc(bytes.length + 1)
      assert.equal(decodeHuffman(coded, 1, end, back), bytes.length)
      assert.equal(back.toString('latin1', 0, bytes.length), text)
    }),
  )
})

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/)
const value = fc.stringMatching(/^[!-~]([ -~]{0,60}[!-~])?$/)
const list = fc
  .array(fc.tuple(name, value), { maxLength: 12 })
  .map((fields) => fields.filter(([field]) => field !== 'te').flat())

test('lists come back, from any table the peer allows and whatever was said before', () => {
  const step = fc.record({
    fixed: fc.nat(4),
    extra: fc.option(list),
    tableBytes: fc.option(fc.integer({ min: 0, max: 8000 }), { freq: 3 }),
  })
  fc.assert(
    fc.property(fc.array(list, { minLength: 5, maxLength: 5 }), fc.array(step), (lists, steps) => {
      const encoder = new HpackEncoder()
      const decoder = new HpackDecoder()
      for (const { fixed, extra, tableBytes } of steps) {
        if (tableBytes !== null) encoder.setTableBytesMax(tableBytes)
        const block = Buffer.from(encoder.encode(lists[fixed]!, extra))
        assert.deepEqual(fieldsOf(decoder, block), [...lists[fixed]!, ...(extra ?? [])])
        assert.ok(decoder.tableBytes <= Math.min(tableBytes ?? 4096, HEADER_TABLE_BYTES_MAX))
      }
    }),
  )
})

test('a list that came again is the same object, and in one octet a field', () => {
  const encoder = new HpackEncoder()
  const decoder = new HpackDecoder()
  const fields = [':status', '200', 'content-type', 'application/grpc']
  const first = Buffer.from(encoder.encode(fields, null))
  const second = Buffer.from(encoder.encode(fields, null))
  assert.ok(first.length > second.length)
  assert.equal(second.length, 2)
  assert.deepEqual(fieldsOf(decoder, first), fields)
  const known = decoder.decode(second, 0, 2)
  assert.equal(decoder.decode(second, 0, 2), known)
  assert.deepEqual(known.fields, fields)
})

test('no octets do more than end the connection, nor make the table larger', () => {
  fc.assert(
    fc.property(fc.array(octets), (blocks) => {
      const decoder = new HpackDecoder()
      try {
        for (const block of blocks) {
          const read = decoder.decode(Buffer.from(block), 0, block.length)
          assert.ok(read.sizeBytes > HEADER_LIST_BYTES_MAX || read.fields.length <= 600)
          assert.ok(decoder.tableBytes <= HEADER_TABLE_BYTES_MAX)
        }
      } catch (error) {
        assert.ok(error instanceof Http2Error, String(error))
      }
    }),
    { numRuns: 500 },
  )
})

test('a block that means far more than it holds is counted and not kept', () => {
  const encoder = new HpackEncoder()
  const decoder = new HpackDecoder()
  const fields = ['bomb', 'x'.repeat(3900)]
  const first = Buffer.from(encoder.encode(fields, null))
  decoder.decode(first, 0, first.length)
  const bomb = Buffer.alloc(60_000, 0x80 | 62)
  const read = decoder.decode(bomb, 0, bomb.length)
  assert.ok(read.sizeBytes > 200_000_000)
  assert.ok(read.fields.length / 2 <= HEADER_LIST_BYTES_MAX / 3900)
})
