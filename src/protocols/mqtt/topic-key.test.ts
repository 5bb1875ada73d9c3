import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keyOfTopic, keyTextOfTopic, patternOfFilter, topicOfKey } from './topic-key.ts'

/** What the mapping treats in a way of its own, and pieces that together read like codes. */
const PIECES = [
  '/',
  '.',
  '*',
  '%',
  '25',
  '2E',
  '2F',
  '2A',
  '23',
  '2B',
  '00',
  '2e',
  '$',
  'é',
  '😀',
  'a',
]
const topics = fc
  .oneof(
    fc
      .array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 12 })
      .map((parts) => parts.join('')),
    fc.string({ unit: 'grapheme', minLength: 1 }),
  )
  .map((text) => text.replaceAll(/[+#\0]/g, 'x'))
const keys = fc.oneof(
  fc
    .array(fc.constantFrom(...PIECES, '+', '#', '\0'), { minLength: 1, maxLength: 12 })
    .map((parts) => parts.join('')),
  fc.string({ unit: 'grapheme', minLength: 1 }),
)

const isPlain = (key: string): boolean =>
  key.split('.').every((word) => word !== '*' && word !== '#')

test('every topic comes back from its key', () => {
  fc.assert(
    fc.property(topics, (topic) => assert.equal(topicOfKey(keyTextOfTopic(topic)), topic)),
    { numRuns: 2000 },
  )
})

test('every key without a lone wildcard comes back from its topic', () => {
  fc.assert(
    fc.property(keys.filter(isPlain), (key) => {
      const topic = topicOfKey(key)
      assert.ok(!/[+#\0]/.test(topic) && topic !== '', `${key} is shown as ${topic}`)
      assert.equal(keyTextOfTopic(topic), key)
    }),
    { numRuns: 2000 },
  )
})

test('the table of the module, and the names that people use', () => {
  const rows: readonly (readonly [string, string])[] = [
    ['a/b/c', 'a.b.c'],
    ['a', 'a'],
    ['/', '.'],
    ['//', '..'],
    ['/a/', '.a.'],
    ['a//b', 'a..b'],
    ['$SYS/broker', '$SYS.broker'],
    ['spBv1.0/plant', 'spBv1%2E0.plant'],
    ['a/*/b', 'a.%2A.b'],
    ['a/b*', 'a.b*'],
    ['50%/x', '50%.x'],
    ['%2E', '%252E'],
    ['%252E', '%25252E'],
    ['%2A/a%2A', '%252A.a%2A'],
    ['%2e', '%2e'],
    ['a%2Fb', 'a/b'],
    ['a%252Fb', 'a%2Fb'],
    ['%2B%23', '+#'],
    ['%23', '%23'],
    ['a%23', 'a#'],
    ['%00', '\0'],
    ['größe/😀', 'größe.😀'],
  ]
  for (const [topic, key] of rows) {
    assert.equal(keyOfTopic(topic), key)
    assert.equal(topicOfKey(key), topic)
  }
})

test('keys that no topic stands for are shown as valid topics', () => {
  assert.equal(topicOfKey(''), '%')
  assert.equal(topicOfKey('a.*'), 'a/*')
  assert.equal(topicOfKey('#'), '%23')
})

// The limit counts octets of UTF-8, not characters, and of the key, not of the topic.
test('a topic whose key has more than 65,000 octets has none', () => {
  for (const topic of ['a'.repeat(65_001), 'é'.repeat(32_501), '.'.repeat(21_667)]) {
    assert.throws(() => keyOfTopic(topic), { code: 'LIMIT_EXCEEDED', message: /65000 octets/ })
    assert.ok(Buffer.byteLength(keyTextOfTopic(topic)) > 65_000)
  }
  assert.equal(keyOfTopic('a'.repeat(65_000)), 'a'.repeat(65_000))
  assert.equal(keyOfTopic('é'.repeat(32_500)), 'é'.repeat(32_500))
  assert.equal(keyOfTopic('.'.repeat(21_666)), '%2E'.repeat(21_666))
})

const levels = fc.constantFrom('', 'a', 'b', '*', '.', 'a.b', '%2A', '%2E', '%23', '$x')
const filters = fc
  .tuple(fc.array(fc.oneof(levels, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([words, many]) => (many ? [...words, '#'] : words).join('/'))
  .filter((filter) => filter !== '')

// Section 4.7: the plainest reading of MQTT's and of the topic exchange's rules must agree.
test('a pattern matches the keys of the topics that its filter matches', () => {
  assert.equal(patternOfFilter('a/+/c/#'), 'a.*.c.#')
  assert.equal(patternOfFilter('#'), '#')
  assert.equal(patternOfFilter('+'), '*')
  assert.equal(patternOfFilter('*/%23/x.y'), '%2A.%23.x%2Ey')
  const names = fc.array(levels, { minLength: 1, maxLength: 5 }).map((words) => words.join('/'))
  fc.assert(
    fc.property(
      filters,
      names.filter((name) => name !== ''),
      (filter, topic) => {
        const pattern = patternOfFilter(filter).split('.')
        const key = keyOfTopic(topic).split('.')
        assert.equal(keyFits(pattern, key), topicFits(filter.split('/'), topic.split('/')))
      },
    ),
    { numRuns: 3000 },
  )
})

/** `a/#` matches `a` too. */
function topicFits(filter: readonly string[], topic: readonly string[]): boolean {
  const [first, ...rest] = filter
  if (first === '#') return true
  if (first === undefined || topic.length === 0) return first === undefined && topic.length === 0
  return (first === '+' || first === topic[0]) && topicFits(rest, topic.slice(1))
}

function keyFits(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return words.length === 0
  if (first === '#')
    return keyFits(rest, words) || (words.length > 0 && keyFits(pattern, words.slice(1)))
  return words.length > 0 && (first === '*' || first === words[0]) && keyFits(rest, words.slice(1))
}
