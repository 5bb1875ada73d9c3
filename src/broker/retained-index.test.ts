import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RetainedIndex } from './retained-index.ts'
import { RetainedPattern } from './retained-pattern.ts'
import { RetainedWalk } from './retained-walk.ts'
import { createMatcher, RoutingKey } from './routing/index.ts'
import { SeededRandom } from '../lib/random.ts'

/** Few words, so that keys share them; the empty one and one that is not ASCII among them. */
const word = fc.constantFrom('a', 'b', 'cc', '', 'é')
const key = fc.array(word, { maxLength: 4 }).map((words) => words.join('.'))
const pattern = fc
  .array(fc.oneof(word, fc.constantFrom('*', '#')), { maxLength: 5 })
  .map((words) => words.join('.'))
const change = fc.record({ sets: fc.boolean(), key, bytes: fc.nat(9) })

/** What the broker's own topic exchange says. */
function fits(patternText: string, keyText: string): boolean {
  const matcher = createMatcher<object>('topic', {
    idOf: () => '',
    random: new SeededRandom(1),
  })
  matcher.add({}, patternText, new Map())
  const found = new Set<object>()
  matcher.match(new RoutingKey().setText(keyText), null, found)
  return found.size > 0
}

function walkAll(index: RetainedIndex, patternText: string): number[] {
  const walk = new RetainedWalk(index, new RetainedPattern(patternText))
  const found: number[] = []
  while (!walk.run(1, (node) => found.push(index.offsetOf(node))));
  walk.end()
  return found.toSorted((a, b) => a - b)
}

test('an index says what a map says', () => {
  // Any order of setting and removing.
  fc.assert(
    fc.property(fc.array(change, { maxLength: 60 }), pattern, (changes, patternText) => {
      const index = new RetainedIndex()
      const model = new Map<string, { offset: number; bytes: number }>()
      for (const [offset, { sets, key: keyText, bytes }] of changes.entries()) {
        if (sets) {
          index.set(keyText, offset, bytes)
          model.set(keyText, { offset, bytes })
        } else {
          const node = index.find(keyText)
          assert.equal(node >= 0, model.delete(keyText))
          if (node >= 0) index.remove(node)
        }
      }
      assert.equal(index.count, model.size)
      let bytes = 0
      for (const [keyText, known] of model) {
        bytes += known.bytes
        assert.equal(index.offsetOf(index.find(keyText)), known.offset)
      }
      assert.equal(index.bytes, bytes)
      const expected = [...model]
        .filter(([keyText]) => fits(patternText, keyText))
        .map(([, { offset }]) => offset)
      assert.deepEqual(
        walkAll(index, patternText),
        expected.toSorted((a, b) => a - b),
      )
    }),
    { numRuns: 500 },
  )
})

test('a walk finds once what stays, whatever comes and goes meanwhile', () => {
  // Between any two steps of a walk, any key but those that stay may come or go.
  fc.assert(
    fc.property(
      fc.uniqueArray(key, { maxLength: 12 }),
      fc.array(change, { maxLength: 60 }),
      pattern,
      (staying, changes, patternText) => {
        const index = new RetainedIndex()
        for (const [offset, keyText] of staying.entries()) index.set(keyText, offset, 0)
        for (const [at, early] of changes.entries()) {
          if (at % 2 === 0 && !staying.includes(early.key)) index.set(early.key, 1000 + at, 0)
        }
        const walk = new RetainedWalk(index, new RetainedPattern(patternText))
        const found: number[] = []
        const rest = changes.filter((late) => !staying.includes(late.key))
        for (let at = 0; !walk.run(1, (node) => found.push(index.offsetOf(node))); at++) {
          const late = rest[at]
          if (late === undefined) continue
          const node = index.find(late.key)
          if (late.sets) index.set(late.key, 2000 + at, 0)
          else if (node >= 0) index.remove(node)
        }
        walk.end()
        const kept = found.filter((offset) => offset < 1000).toSorted((a, b) => a - b)
        const expected = [...staying.entries()]
          .filter(([, keyText]) => fits(patternText, keyText))
          .map(([offset]) => offset)
        assert.deepEqual(kept, expected)
      },
    ),
    { numRuns: 500 },
  )
})

test('patterns match the keys that a topic exchange matches', () => {
  fc.assert(
    fc.property(pattern, key, (patternText, keyText) => {
      const made = new RetainedPattern(patternText)
      assert.equal(made.matches(keyText), fits(patternText, keyText))
      assert.equal(made.matches(keyText), fits(patternText, keyText))
    }),
    { numRuns: 2000 },
  )
})

test('a pattern full of # is walked in time', () => {
  const index = new RetainedIndex()
  const words = Array.from({ length: 100 }, () => 'a').join('.')
  index.set(words, 1, 0)
  assert.deepEqual(walkAll(index, `${'#.a.'.repeat(30)}b`), [])
  assert.deepEqual(walkAll(index, `${'#.a.'.repeat(30)}#`), [1])
})

test('keys that come and go leave no memory behind', () => {
  const index = new RetainedIndex()
  const round = (name: string): void => {
    for (let n = 0; n < 5000; n++) index.set(`${name}.device-${n}.state`, n, 1)
    for (let n = 0; n < 5000; n++) index.remove(index.find(`${name}.device-${n}.state`))
  }
  round('first')
  const { memoryBytes } = index
  for (let n = 0; n < 20; n++) round(`round-${n}`)
  assert.equal(index.count, 0)
  assert.ok(index.memoryBytes <= memoryBytes * 1.5, `${index.memoryBytes} of ${memoryBytes}`)
})

test('a key that is too long is in no index', () => {
  const index = new RetainedIndex()
  const long = 'é'.repeat(32_501)
  assert.equal(index.find(long), -1)
  assert.equal(index.find('x'.repeat(70_000)), -1)
  assert.throws(() => index.set(long, 1, 0), /longer than 65000 bytes/)
  for (const [at, size] of [255, 256, 1024, 65_000].entries()) {
    index.set('x'.repeat(size), at, 0)
    index.set(`${'y'.repeat(size - 2)}.z`, at + 10, 0)
    assert.equal(index.offsetOf(index.find('x'.repeat(size))), at)
    assert.equal(index.offsetOf(index.find(`${'y'.repeat(size - 2)}.z`)), at + 10)
  }
  assert.equal(index.count, 8)
})
