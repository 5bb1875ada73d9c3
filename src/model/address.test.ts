import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  encodeAddress,
  exchangeOf,
  ROUTING_KEY_BYTES_MAX,
  routingKeyOf,
  shortAddressEnd,
  SHORTENED_MARK,
} from './address.ts'

/** What a reader sees that knows two short texts and nothing else. */
function shortOf(address: Buffer, start: number): [string, string] {
  const keyAt = start + 1 + address[start]!
  const end = keyAt + 1 + address[keyAt]!
  assert.equal(shortAddressEnd(address, start), end)
  return [address.toString('utf8', start + 1, keyAt), address.toString('utf8', keyAt + 1, end)]
}

// An address may lie anywhere in a record, and its key may have any length and any characters.
test('exchange and key come back whole, and a short key where there is room for no other', () => {
  const texts = fc.string({ unit: fc.constantFrom('a', '.', 'é', '€', '😀'), maxLength: 600 })
  const exchanges = fc.string({ maxLength: 60 })
  fc.assert(
    fc.property(exchanges, texts, fc.nat(9), (exchange, key, offset) => {
      const address = encodeAddress(exchange, key)
      const record = Buffer.concat([Buffer.alloc(offset, 7), address, Buffer.from('behind')])
      const end = offset + address.length
      assert.equal(exchangeOf(record, offset), exchange)
      assert.equal(routingKeyOf(record, offset, end), key)
      const [shortExchange, shortKey] = shortOf(record, offset)
      assert.equal(shortExchange, exchange)
      if (Buffer.byteLength(key) <= 255) {
        assert.equal(shortKey, key)
        assert.equal(shortAddressEnd(record, offset), end)
        return
      }
      assert.ok(shortKey.endsWith(SHORTENED_MARK))
      assert.ok(key.startsWith(shortKey.slice(0, -SHORTENED_MARK.length)), 'whole characters')
      assert.ok(Buffer.byteLength(shortKey) > 248, 'as much as there is room for')
    }),
  )
})

test('an address has 16 bits for its length, and takes the longest key', () => {
  const longest = encodeAddress('x'.repeat(255), 'k'.repeat(ROUTING_KEY_BYTES_MAX))
  assert.ok(longest.length < 65_536)
  assert.equal(routingKeyOf(longest, 0, longest.length).length, ROUTING_KEY_BYTES_MAX)
  assert.throws(() => encodeAddress('', 'é'.repeat(ROUTING_KEY_BYTES_MAX / 2 + 1)), RangeError)
  assert.throws(() => encodeAddress('x'.repeat(256), ''), RangeError)
})
