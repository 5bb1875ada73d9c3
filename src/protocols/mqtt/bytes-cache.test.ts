import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BytesCache } from './bytes-cache.ts'

const SIZE_MAX = 40

test('what is remembered is what was set, whatever else was', () => {
  // Bytes from a small alphabet: many are alike, begin alike, end alike.
  const bytes = fc.array(fc.constantFrom(0, 47, 97, 255), { maxLength: 6 })
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 200 }), (list) => {
      const cache = new BytesCache<string>(SIZE_MAX)
      for (const octets of list) {
        const padded = Buffer.from([1, ...octets, 2])
        const end = padded.length - 1
        const found = cache.get(padded, 1, end)
        const text = octets.join()
        if (found === undefined) cache.set(padded, 1, end, text)
        else assert.equal(found, text)
        padded.fill(9)
        const again = Buffer.from(octets)
        assert.equal(cache.get(again, 0, again.length), text)
      }
    }),
  )
})

test('all of as many as there may be are found', () => {
  const cache = new BytesCache<number>(2_048)
  const topics = Array.from({ length: 2_048 }, (_, index) => Buffer.from(`fleet/7/dev-${index}/up`))
  for (const [index, topic] of topics.entries()) cache.set(topic, 0, topic.length, index)
  for (const [index, topic] of topics.entries()) {
    assert.equal(cache.get(topic, 0, topic.length), index)
  }
  const more = Buffer.from('one more')
  cache.set(more, 0, more.length, -1)
  assert.equal(cache.get(topics[0]!, 0, topics[0]!.length), undefined)
  assert.equal(cache.get(more, 0, more.length), -1)
})

test('nothing is known after a clear', () => {
  const cache = new BytesCache<number>(4)
  const topic = Buffer.from('a/b')
  cache.set(topic, 0, 3, 1)
  cache.clear()
  assert.equal(cache.get(topic, 0, 3), undefined)
})
