import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom, systemRandom } from './random.ts'

const SOURCES = [systemRandom, new SeededRandom(42)]

test('an integer stays below its bound, whatever the bound', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), (bound) => {
      for (const source of SOURCES) {
        const value = source.integer(bound)
        assert.ok(Number.isInteger(value) && value >= 0 && value < bound)
      }
    }),
  )
  for (const source of SOURCES) {
    assert.equal(source.integer(1), 0)
    assert.ok(source.integer(2 ** 32) < 2 ** 32)
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) {
      assert.throws(() => source.integer(bound), RangeError)
    }
  }
})

test('every integer comes about as often as every other', () => {
  for (const source of SOURCES) {
    const counts = Array.from({ length: 7 }, () => 0)
    for (let draw = 0; draw < 14_000; draw++) counts[source.integer(7)]! += 1
    for (const count of counts) assert.ok(count > 1700 && count < 2300, `counts: ${counts.join()}`)
  }
})

test('a seed gives the same numbers again, another seed others', () => {
  const draw = (seed: number): string => {
    const source = new SeededRandom(seed)
    return `${source.id()} ${source.integer(1e9)} ${source.bytes(5).toString('hex')}`
  }
  assert.equal(draw(7), draw(7))
  assert.notEqual(draw(7), draw(8))
})

test('ids are 22 characters that need no escaping and do not repeat', () => {
  const ids = new Set(Array.from({ length: 1000 }, () => systemRandom.id()))
  assert.equal(ids.size, 1000)
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{22}$/)
  assert.equal(systemRandom.bytes(33).byteLength, 33)
  assert.equal(systemRandom.bytes(0).byteLength, 0)
})
