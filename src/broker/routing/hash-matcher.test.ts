import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConsistentHashMatcher, ModulusHashMatcher } from './hash-matcher.ts'
import type { Matcher } from './matcher.ts'
import { RoutingKey } from './routing-key.ts'

interface Target {
  readonly name: string
}

const KEY_COUNT = 4000
const nameOf = (target: Target): string => target.name
const targetOf = (index: number): Target => ({ name: `queue-${index}` })

function placed(matcher: Matcher<Target>): string[] {
  const key = new RoutingKey()
  const into = new Set<Target>()
  return Array.from({ length: KEY_COUNT }, (_, index) => {
    into.clear()
    matcher.match(key.setText(`order.${index}`), null, into)
    assert.equal(into.size, 1)
    return [...into][0]!.name
  })
}

function share(places: readonly string[], name: string): number {
  return places.filter((place) => place === name).length / places.length
}

test('equal weights share evenly, others in proportion', () => {
  const even = new ConsistentHashMatcher(nameOf)
  for (let index = 0; index < 8; index++) even.add(targetOf(index), '10')
  const evenPlaces = placed(even)
  for (let index = 0; index < 8; index++) {
    assert.ok(Math.abs(share(evenPlaces, `queue-${index}`) - 1 / 8) < 0.02)
  }
  const weighted = new ConsistentHashMatcher(nameOf)
  for (const [index, weight] of [1, 2, 5].entries()) weighted.add(targetOf(index), `${weight}`)
  const places = placed(weighted)
  assert.ok(Math.abs(share(places, 'queue-0') - 1 / 8) < 0.02)
  assert.ok(Math.abs(share(places, 'queue-1') - 2 / 8) < 0.03)
  assert.ok(Math.abs(share(places, 'queue-2') - 5 / 8) < 0.03)
})

// Consumers keep state by key: what moves needlessly is work done twice.
test('a bucket that comes or goes moves only the keys it gains or loses', () => {
  const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 })
  fc.assert(
    fc.property(weights, fc.boolean(), (drawn, equal) => {
      const matcher = new ConsistentHashMatcher(nameOf)
      const targets = drawn.map((_, index) => targetOf(index))
      for (const [index, weight] of drawn.entries()) {
        matcher.add(targets[index]!, equal ? '3' : `${weight}`)
      }
      const before = placed(matcher)
      const late = targetOf(99)
      matcher.add(late, equal ? '3' : '7')
      const during = placed(matcher)
      for (const [index, place] of during.entries()) {
        if (place !== late.name) assert.equal(place, before[index])
      }
      matcher.removeTarget(late)
      assert.deepEqual(placed(matcher), before)
    }),
    { numRuns: 15 },
  )
})

test('placement depends on names, not on the order of binding or on the process', () => {
  const forward = new ConsistentHashMatcher(nameOf)
  const backward = new ConsistentHashMatcher(nameOf)
  for (let index = 0; index < 5; index++) forward.add(targetOf(index), '1')
  for (let index = 4; index >= 0; index--) backward.add(targetOf(index), '1')
  const places = placed(forward)
  assert.deepEqual(places, placed(backward))
  // Written down once: a release that places keys elsewhere splits the state of consumers.
  assert.equal(places.slice(0, 6).join(' '), 'queue-1 queue-0 queue-1 queue-4 queue-1 queue-4')
})

test('weights of one target add up, and go with their binding', () => {
  const matcher = new ConsistentHashMatcher(nameOf)
  const heavy = targetOf(0)
  matcher.add(heavy, '4')
  matcher.add(heavy, '5')
  matcher.add(targetOf(1), '1')
  assert.ok(Math.abs(share(placed(matcher), heavy.name) - 0.9) < 0.03)
  matcher.remove(heavy, '4')
  matcher.remove(heavy, '5')
  assert.equal(share(placed(matcher), 'queue-1'), 1)
})

// The words of RabbitMQ 4.0.5.
test('a weight that is not a positive integer is refused', () => {
  const matcher = new ConsistentHashMatcher(nameOf)
  const refused = (key: string, message: string): void => {
    assert.throws(() => matcher.add(targetOf(0), key), { code: 'PRECONDITION_FAILED', message })
  }
  refused('', 'The binding key must be an integer: <<>>')
  refused('abc', 'The binding key must be an integer: <<"abc">>')
  refused('1.5', 'The binding key must be an integer: <<"1.5">>')
  refused(' 3', 'The binding key must be an integer: <<" 3">>')
  refused('0', 'The binding key must be greater than 0')
  refused('-1', 'The binding key must be greater than 0')
  refused(
    '9'.repeat(200),
    `The binding key must not be greater than 4294967295: '${'9'.repeat(200)}'`,
  )
  assert.ok(matcher.isEmpty)
  assert.ok(matcher.add(targetOf(0), '100000000'))
})

test('modulus-hash shares evenly and gives one key to one target', () => {
  const matcher = new ModulusHashMatcher(nameOf)
  for (let index = 0; index < 4; index++) matcher.add(targetOf(index), 'any')
  const places = placed(matcher)
  assert.deepEqual(places, placed(matcher))
  for (let index = 0; index < 4; index++) {
    assert.ok(Math.abs(share(places, `queue-${index}`) - 1 / 4) < 0.03)
  }
})
