import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeAddress } from '../../model/address.ts'
import { RouteCache } from './route-cache.ts'

function slotFor(cache: RouteCache, exchange: string, key: string): ReturnType<RouteCache['find']> {
  const padded = Buffer.concat([Buffer.from('??'), encodeAddress(exchange, key), Buffer.of(9)])
  return cache.find(padded, 2, padded.length - 1)
}

test('the same address gives the same slot, with its names decoded once', () => {
  const cache = new RouteCache(64)
  const slot = slotFor(cache, 'logs', 'a.b')
  assert.equal(slot.exchangeName, 'logs')
  assert.equal(slot.routingKey, 'a.b')
  assert.deepEqual(slot.address, encodeAddress('logs', 'a.b'))
  assert.equal(slotFor(cache, 'logs', 'a.b'), slot)
  slotFor(cache, 'logs', 'a.c')
  assert.equal(slotFor(cache, 'logs', 'a.b'), slot)
})

// Names of one length, or that move a character from exchange to key, must not be taken for others.
test('no address is ever answered with the slot of another', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'b', 'é'), maxLength: 3 })
  fc.assert(
    fc.property(fc.array(fc.tuple(name, name), { maxLength: 200 }), (addresses) => {
      const cache = new RouteCache(8)
      for (const [exchange, key] of addresses) {
        const slot = slotFor(cache, exchange, key)
        assert.equal(slot.exchangeName, exchange)
        assert.equal(slot.routingKey, key)
      }
    }),
  )
})

test('it grows for a publisher to many queues, and no further than its limit', () => {
  const cache = new RouteCache(2048)
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 1000; i++) slotFor(cache, '', `queue-${i}`)
  }
  let kept = 0
  const before = new Map<string, unknown>()
  for (let i = 0; i < 1000; i++) before.set(`queue-${i}`, slotFor(cache, '', `queue-${i}`))
  for (const [key, slot] of before) if (slotFor(cache, '', key) === slot) kept++
  assert.ok(kept > 500, `only ${kept} of 1000 addresses are remembered`)
  const small = new RouteCache(16)
  for (let i = 0; i < 10_000; i++) assert.equal(slotFor(small, '', `q${i}`).routingKey, `q${i}`)
})

test('after clear everything is looked up again', () => {
  const cache = new RouteCache(64)
  const slot = slotFor(cache, '', 'q')
  cache.clear()
  assert.notEqual(slotFor(cache, '', 'q'), slot)
})
