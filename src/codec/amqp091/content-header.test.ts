import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fieldTables } from '../../../test/support/amqp-field-arbitraries.ts'
import { editContentHeader } from './content-header-edit.ts'
import { ContentHeaderView, decodeContentHeader, encodeContentHeader } from './content-header.ts'
import type { PropertyPlace } from './content-header.ts'
import { AmqpFrameError } from './frame-error.ts'
import { PROPERTIES, PROPERTY } from './spec.gen.ts'
import type { BasicProperties } from './spec.gen.ts'

const text = fc.string({ unit: 'binary', maxLength: 30 })
const properties = fc.record(
  {
    contentType: text,
    contentEncoding: text,
    headers: fieldTables,
    deliveryMode: fc.nat(255),
    priority: fc.nat(255),
    correlationId: text,
    replyTo: text,
    expiration: text,
    messageId: text,
    timestamp: fc.oneof(fc.maxSafeNat(), fc.constant(2n ** 64n - 1n)),
    type: text,
    userId: text,
    appId: text,
    clusterId: text,
  },
  { requiredKeys: [], noNullPrototype: true },
) as fc.Arbitrary<BasicProperties>

test('a content header is the same after the wire, at any byteOffset', () => {
  fc.assert(
    fc.property(properties, fc.maxSafeNat(), fc.nat(40), (given, bodySize, offset) => {
      const payload = encodeContentHeader(bodySize, given)
      const pool = Buffer.alloc(offset + payload.length + 3, 0xaa)
      pool.set(payload, offset)
      const decoded = decodeContentHeader(pool, offset, offset + payload.length)
      pool.fill(0)
      assert.deepEqual(decoded, { bodySize, properties: given })
    }),
    { numRuns: 300 },
  )
})

// By hand from the grammar: bit 15 is content-type, bit 12 delivery-mode, bit 8 expiration.
test('the octets are those of the grammar', () => {
  const payload = encodeContentHeader(258, {
    contentType: 'a',
    deliveryMode: 2,
    expiration: '60',
    headers: new Map([['k', null]]),
  })
  assert.equal(
    payload.toString('hex'),
    `003c0000${'0000000000000102'}${'b100'}${'0161'}${'00000003016b56'}${'02'}${'023630'}`,
  )
})

test('the view tells what a full decode tells, without decoding', () => {
  const view = new ContentHeaderView()
  fc.assert(
    fc.property(properties, fc.nat(20), (given, offset) => {
      const payload = encodeContentHeader(77, given)
      const pool = Buffer.concat([Buffer.alloc(offset, 1), payload, Buffer.of(1)])
      view.read(pool, offset, offset + payload.length)
      assert.equal(view.bodySize, 77)
      assert.equal(view.deliveryMode, given.deliveryMode ?? 0)
      assert.equal(view.priority, given.priority ?? -1)
      assert.equal(view.text(PROPERTY.EXPIRATION), given.expiration ?? null)
      assert.equal(view.text(PROPERTY.USER_ID), given.userId ?? null)
      assert.equal(view.text(PROPERTY.REPLY_TO), given.replyTo ?? null)
      assert.equal(view.timestamp(), given.timestamp ?? null)
      assert.deepEqual(view.headers(), given.headers ?? null)
      assert.equal(view.header('not there'), undefined)
      for (const [key, value] of given.headers ?? []) assert.deepEqual(view.header(key), value)
      let at = offset + 14
      for (const [index, { name }] of PROPERTIES.entries()) {
        const place = index as PropertyPlace
        assert.equal(view.has(place), given[name] !== undefined)
        if (!view.has(place)) continue
        assert.equal(view.valueStart(place), at)
        at = view.valueEnd(place)
      }
      assert.equal(at, offset + payload.length)
    }),
    { numRuns: 200 },
  )
})

test('what is absent is -1 or null, and only text is text', () => {
  const view = new ContentHeaderView()
  view.read(encodeContentHeader(0, { deliveryMode: 1 }), 0, 15)
  assert.equal(view.textStart(PROPERTY.REPLY_TO), -1)
  assert.equal(view.textEnd(PROPERTY.REPLY_TO), -1)
  assert.equal(view.valueStart(PROPERTY.HEADERS), -1)
  assert.equal(view.valueEnd(PROPERTY.HEADERS), -1)
  assert.equal(view.headersStart, -1)
  assert.equal(view.header('x'), undefined)
  assert.equal(view.text(PROPERTY.DELIVERY_MODE), null)
  assert.equal(view.deliveryMode, 1)
})

const REFUSED = [
  ['of another class', '000a0000 0000000000000000 0000', 'UNEXPECTED_FRAME'],
  ['of another weight', '003c0001 0000000000000000 0000', 'UNEXPECTED_FRAME'],
  ['cut in its fixed part', '003c0000 00000000000000', 'FRAME_ERROR'],
  ['with a second flag word', '003c0000 0000000000000000 0001', 'SYNTAX_ERROR'],
  ['with a flag of no property', '003c0000 0000000000000000 0002', 'SYNTAX_ERROR'],
  ['with a text beyond its end', '003c0000 0000000000000000 8000 0561', 'SYNTAX_ERROR'],
  ['with a text one octet too long', '003c0000 0000000000000000 8000 0261', 'SYNTAX_ERROR'],
  ['with no text', '003c0000 0000000000000000 8000', 'SYNTAX_ERROR'],
  ['with a table beyond its end', '003c0000 0000000000000000 2000 000000ff', 'SYNTAX_ERROR'],
  ['with a broken table', '003c0000 0000000000000000 2000 00000003016b7a', 'SYNTAX_ERROR'],
  ['with a timestamp cut short', '003c0000 0000000000000000 0040 00000000', 'SYNTAX_ERROR'],
  ['with octets left over', '003c0000 0000000000000000 1000 0200', 'SYNTAX_ERROR'],
] as const

for (const [what, hex, code] of REFUSED) {
  test(`a content header ${what} is refused`, () => {
    const payload = Buffer.from(hex.replaceAll(' ', ''), 'hex')
    assert.throws(() => decodeContentHeader(payload), { name: 'AmqpFrameError', code })
    const followed = Buffer.concat([payload, Buffer.alloc(9, 1)])
    const read = (): unknown => decodeContentHeader(followed, 0, payload.length)
    assert.throws(read, { name: 'AmqpFrameError', code })
  })
}

test('a body size beyond 2^53 is read as a number far above any limit', () => {
  const payload = Buffer.from('003c0000ffffffffffffffff0000', 'hex')
  assert.equal(decodeContentHeader(payload).bodySize, 2 ** 64)
})

test('cut or flipped anywhere, a header is read or refused with AmqpFrameError', () => {
  fc.assert(
    fc.property(properties, fc.nat(), fc.nat(255), fc.nat(), (given, place, octet, cut) => {
      const payload = encodeContentHeader(5, given)
      payload[place % payload.length] = octet
      const end = payload.length - (cut % 3 === 0 ? cut % payload.length : 0)
      try {
        decodeContentHeader(payload, 0, end)
      } catch (error) {
        assert.ok(error instanceof AmqpFrameError, String(error))
      }
    }),
    { numRuns: 1000 },
  )
})

test('text too long and numbers too large are refused when written', () => {
  assert.throws(() => encodeContentHeader(0, { replyTo: 'x'.repeat(256) }), RangeError)
  assert.throws(() => encodeContentHeader(0, { priority: 256 }), RangeError)
})

test('an edit that changes nothing gives the same octets', () => {
  fc.assert(
    fc.property(properties, (given) => {
      const payload = encodeContentHeader(9, given)
      assert.deepEqual(editContentHeader(payload, {}), payload)
      const nothing = { remove: [], setHeaders: new Map(), set: {} }
      assert.deepEqual(editContentHeader(payload, nothing), payload)
      assert.deepEqual(editContentHeader(payload, { removeHeaders: ['not there'] }), payload)
    }),
    { numRuns: 200 },
  )
})

test('an edit does what a decode, a change and an encode would do', () => {
  fc.assert(
    fc.property(properties, fieldTables, fc.nat(), (given, added, pick) => {
      const payload = encodeContentHeader(9, given)
      const gone = [...(given.headers?.keys() ?? [])].filter((_, index) => (pick >> index) & 1)
      const edited = editContentHeader(payload, {
        bodySize: 10,
        set: { replyTo: 'there' },
        remove: ['expiration', 'timestamp'],
        setHeaders: added,
        removeHeaders: gone,
      })
      const headers = new Map(given.headers ?? [])
      for (const key of gone) headers.delete(key)
      for (const [key, value] of added) headers.set(key, value)
      const table = given.headers !== undefined || added.size > 0 ? { headers } : {}
      const { expiration: _, timestamp: __, ...kept } = given
      assert.deepEqual(decodeContentHeader(edited), {
        bodySize: 10,
        properties: { ...kept, ...table, replyTo: 'there' },
      })
    }),
    { numRuns: 300 },
  )
})

test('an edit keeps untouched headers octet for octet, duplicates and odd booleans included', () => {
  // k: true written as 2, twice; then BCC
  const table = Buffer.from('016b7402016b7403034243434100000000', 'hex')
  const size = Buffer.alloc(4)
  size.writeUInt32BE(table.length)
  const front = Buffer.from('003c000000000000000000002000', 'hex')
  const payload = Buffer.concat([front, size, table])
  const edited = editContentHeader(payload, { removeHeaders: ['BCC'] })
  assert.equal(edited.toString('hex', 14), '00000008016b7402016b7403')
  const once = editContentHeader(payload, { setHeaders: new Map([['k', null]]) })
  assert.equal(once.toString('hex', 14), '0000000c016b56034243434100000000')
  const emptied = editContentHeader(payload, { removeHeaders: ['BCC', 'k'] })
  assert.equal(emptied.toString('hex', 12), '200000000000')
})

test('a whole table is replaced or removed, and made where there was none', () => {
  const payload = encodeContentHeader(0, { headers: new Map([['a', 1]]), replyTo: 'r' })
  const setHeaders = new Map([['b', 2]])
  const replaced = editContentHeader(payload, { set: { headers: new Map([['c', 3]]) }, setHeaders })
  const headersOf = (bytes: Buffer): unknown => decodeContentHeader(bytes).properties.headers
  assert.deepEqual(
    headersOf(replaced),
    new Map([
      ['c', 3],
      ['b', 2],
    ]),
  )
  const removed = editContentHeader(payload, { remove: ['headers'] })
  assert.deepEqual(decodeContentHeader(removed).properties, { replyTo: 'r' })
  const removedMore = editContentHeader(payload, { remove: ['headers'], removeHeaders: ['a'] })
  assert.deepEqual(removedMore, removed)
  assert.deepEqual(headersOf(editContentHeader(removed, { setHeaders })), setHeaders)
  assert.deepEqual(editContentHeader(removed, { removeHeaders: ['a'] }), removed)
  assert.throws(() => editContentHeader(payload.subarray(0, 20), {}), AmqpFrameError)
})
