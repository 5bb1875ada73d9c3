import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bindingKeySegments, keyText, RoutingKey, splitKey } from './routing-key.ts'

const segment = fc.string({ unit: fc.constantFrom('a', '.', '%', '2', 'E', '5', ''), maxLength: 6 })

test('text splits at dots as in RabbitMQ: the empty key has no words', () => {
  assert.deepEqual(splitKey(''), [])
  assert.deepEqual(splitKey('.'), ['', ''])
  assert.deepEqual(splitKey('a..b'), ['a', '', 'b'])
  assert.deepEqual(bindingKeySegments('a.*'), ['a', '*'])
  assert.deepEqual(bindingKeySegments(['a.*']), ['a.*'])
})

test('text without a dot or escape in its segments goes there and back', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('a', '.', '*', 'б') }), (text) => {
      assert.equal(keyText(splitKey(text)), text)
    }),
  )
})

// Two MQTT topics that look the same to an AMQP client would be one binding to it.
test('different lists of segments never show the same text', () => {
  const lists = fc.array(segment, { minLength: 1, maxLength: 3 })
  fc.assert(
    fc.property(lists, (segments) => {
      const shown = keyText(segments)
      const read = shown
        .split('.')
        .map((part) => part.replaceAll(/%2E|%25/g, (found) => (found === '%2E' ? '.' : '%')))
      assert.deepEqual(read, segments)
    }),
    { numRuns: 2000 },
  )
  assert.equal(keyText(['100%', 'a.b']), '100%.a%2Eb')
})

test('a routing key shows what it was last set to, both ways', () => {
  const key = new RoutingKey()
  assert.equal(key.text, '')
  assert.deepEqual(key.segments, [])
  assert.deepEqual(key.setText('a.b').segments, ['a', 'b'])
  assert.equal(key.setSegments(['x.y', 'z']).text, 'x%2Ey.z')
  assert.deepEqual(key.segments, ['x.y', 'z'])
  assert.equal(key.setText('c').text, 'c')
  assert.deepEqual(key.segments, ['c'])
})
