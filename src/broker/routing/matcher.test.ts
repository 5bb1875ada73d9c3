import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { SeededRandom } from '../../lib/random.ts'
import { equalHeaderMaps, type HeaderMap, type HeaderValue } from '../../model/header-value.ts'
import { createMatcher, RoutingKey } from './index.ts'
import type { Matcher, MatcherKind } from './index.ts'
import { splitKey } from './routing-key.ts'

interface Target {
  readonly name: string
}

const TARGETS: readonly Target[] = ['q0', 'q1', 'q2', 'q3'].map((name) => ({ name }))
const KINDS: readonly MatcherKind[] = [
  'direct',
  'fanout',
  'topic',
  'headers',
  'consistent-hash',
  'modulus-hash',
  'random',
  'local-random',
]

function newMatcher(kind: MatcherKind): Matcher<Target> {
  return createMatcher(kind, { idOf: (target: Target) => target.name, random: new SeededRandom(1) })
}

function matched(
  matcher: Matcher<Target>,
  key: string,
  headers: HeaderMap | null = null,
): string[] {
  const into = new Set<Target>()
  matcher.match(new RoutingKey().setText(key), headers, into)
  return [...into].map((target) => target.name).toSorted()
}

interface ModelBinding {
  readonly target: Target
  readonly key: string
  readonly args: HeaderMap
}

/** Which bindings fit, by the plainest reading of the rules. */
const MODELS: Partial<
  Record<MatcherKind, (binding: ModelBinding, key: string, headers: HeaderMap) => boolean>
> = {
  direct: (binding, key) => binding.key === key,
  fanout: () => true,
  topic: (binding, key) => topicFits(splitKey(binding.key), splitKey(key)),
  headers: (binding, _key, headers) => headersFit(binding.args, headers),
}

function topicFits(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return words.length === 0
  if (first === '#') {
    return topicFits(rest, words) || (words.length > 0 && topicFits(pattern, words.slice(1)))
  }
  return (
    words.length > 0 && (first === '*' || first === words[0]) && topicFits(rest, words.slice(1))
  )
}

function headersFit(args: HeaderMap, headers: HeaderMap): boolean {
  const mode = (args.get('x-match') as string | undefined) ?? 'all'
  const checked = [...args.keys()].filter(
    (key) => key !== 'x-match' && (mode.endsWith('x') || !key.startsWith('x-')),
  )
  const fits = (key: string): boolean =>
    headers.has(key) && (args.get(key) === null || args.get(key) === headers.get(key))
  return mode.startsWith('any') ? checked.some(fits) : checked.every(fits)
}

const topicKey = fc
  .array(fc.constantFrom('a', 'b', '', '*', '#'), { maxLength: 5 })
  .map((words) => words.join('.'))
const messageKey = fc
  .array(fc.constantFrom('a', 'b', '', 'c'), { maxLength: 6 })
  .map((words) => words.join('.'))
const headerEntry = fc.tuple(
  fc.constantFrom('h', 'i', 'x-j'),
  fc.constantFrom<HeaderValue>(null, 1, 2, 'v'),
)
const headerMap = fc.array(headerEntry, { maxLength: 3 }).map((entries) => new Map(entries))
const argsMap = fc
  .tuple(headerMap, fc.constantFrom('', 'all', 'any', 'all-with-x', 'any-with-x'))
  .map(([map, mode]): HeaderMap => (mode === '' ? map : new Map([...map, ['x-match', mode]])))
const step = fc.record({
  action: fc.constantFrom('add', 'add', 'add', 'remove', 'remove-target'),
  target: fc.constantFrom(...TARGETS),
  key: topicKey,
  args: argsMap,
})

for (const kind of ['direct', 'fanout', 'topic', 'headers'] as const) {
  // Whatever was added and removed before, the result is that of the bindings left.
  test(`${kind} routes like its model after any changes`, () => {
    const fits = MODELS[kind]!
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 30 }),
        messageKey,
        headerMap,
        (steps, key, headers) => {
          const matcher = newMatcher(kind)
          let model: ModelBinding[] = []
          for (const { action, target, key: bindingKey, args } of steps) {
            const isSame = (other: ModelBinding): boolean =>
              other.target === target &&
              other.key === bindingKey &&
              equalHeaderMaps(other.args, args)
            const there = model.some(isSame)
            assert.equal(matcher.has(target, bindingKey, args), there)
            if (action === 'add') {
              assert.equal(matcher.add(target, bindingKey, args), !there)
              if (!there) model.push({ target, key: bindingKey, args })
            } else if (action === 'remove') {
              assert.equal(matcher.remove(target, bindingKey, args), there)
              model = model.filter((other) => !isSame(other))
            } else {
              const count = model.filter((other) => other.target === target).length
              assert.equal(matcher.removeTarget(target), count)
              model = model.filter((other) => other.target !== target)
            }
            const names = model
              .filter((other) => fits(other, key, headers))
              .map((b) => b.target.name)
            assert.deepEqual(matched(matcher, key, headers), [...new Set(names)].toSorted())
          }
          assert.equal(matcher.bindingCount, model.length)
          assert.equal(matcher.isEmpty, model.length === 0)
          assert.deepEqual(new Set(matcher.targets()), new Set(model.map((other) => other.target)))
          const kept = [...matcher.bindings()].map(({ target, key: k }) => `${target.name} ${k}`)
          const expected = model.map((other) => `${other.target.name} ${other.key}`)
          assert.deepEqual(kept.toSorted(), expected.toSorted())
        },
      ),
      { numRuns: 300 },
    )
  })
}

test('every kind keeps bindings by target, key and arguments, and counts versions', () => {
  for (const kind of KINDS) {
    const matcher = newMatcher(kind)
    const key = kind === 'consistent-hash' ? '5' : ''
    const other: HeaderMap = new Map([['a', 1]])
    assert.equal(matcher.kind, kind)
    assert.ok(matcher.isEmpty)
    assert.deepEqual(matched(matcher, ''), [])
    assert.equal(matcher.add(TARGETS[0]!, key), true)
    assert.equal(matcher.add(TARGETS[0]!, key), false)
    assert.equal(matcher.add(TARGETS[0]!, key, other), true)
    assert.equal(matcher.bindingCount, 2)
    const version = matcher.version
    assert.equal(matcher.remove(TARGETS[0]!, key), true)
    assert.ok(matcher.version > version)
    assert.equal(matcher.remove(TARGETS[0]!, key), false)
    assert.equal(matcher.isEmpty, false)
    assert.deepEqual(matched(matcher, '', other), ['q0'], kind)
    assert.equal(matcher.removeTarget(TARGETS[0]!), 1)
    assert.ok(matcher.isEmpty)
    assert.deepEqual(matched(matcher, '', other), [])
  }
})

test('a match adds to what the caller has already', () => {
  for (const kind of KINDS) {
    const matcher = newMatcher(kind)
    matcher.add(TARGETS[1]!, kind === 'consistent-hash' ? '1' : '')
    const into = new Set([TARGETS[0]!])
    matcher.match(new RoutingKey(), null, into)
    assert.deepEqual([...into], [TARGETS[0], TARGETS[1]])
  }
})

// What RabbitMQ 4.0.5 does with the same bindings and keys.
test('topic words: the empty key has none, and # stands for none too', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', '', false],
    ['', '', true],
    ['#', '', true],
    ['#.#', '', true],
    ['*.#', '', false],
    ['*.*', '.', true],
    ['*', '.', false],
    ['a.*', 'a.', true],
    ['a.#', 'a', true],
    ['#.', 'a.', true],
    ['a.*.b', 'a..b', true],
    ['#.x.#', 'x', true],
    ['#.x.#', 'a.b.x.c', true],
    ['#.x.#', 'a.b', false],
    ['*.x.*', 'a.x.b', true],
    ['#.x.#.y.#', 'y.x', false],
  ]
  for (const [pattern, key, fits] of cases) {
    const matcher = newMatcher('topic')
    matcher.add(TARGETS[0]!, pattern)
    assert.deepEqual(matched(matcher, key), fits ? ['q0'] : [], `'${pattern}' for '${key}'`)
  }
})

test('segments with a dot inside match by segment, not by text', () => {
  const matcher = newMatcher('topic')
  matcher.add(TARGETS[0]!, ['a.b', '*'])
  assert.equal(matcher.add(TARGETS[0]!, 'a%2Eb.*'), true, 'it looks the same, but is another')
  matcher.remove(TARGETS[0]!, 'a%2Eb.*')
  assert.deepEqual(matched(matcher, 'a.b.c'), [])
  const into = new Set<Target>()
  matcher.match(new RoutingKey().setSegments(['a.b', 'c']), null, into)
  assert.equal(into.size, 1)
})

// With backtracking this would take 2^60 steps.
test('many # in a binding do not make matching slow', () => {
  const matcher = newMatcher('topic')
  matcher.add(TARGETS[0]!, `${'#.a.'.repeat(60)}end`)
  for (let index = 0; index < 60; index++) matcher.add(TARGETS[1]!, `${'#.*.'.repeat(index)}end`)
  const started = performance.now()
  assert.deepEqual(matched(matcher, 'a.'.repeat(127)), [])
  assert.ok(performance.now() - started < 500)
})

test('a headers binding with a wrong x-match is refused, whole', () => {
  const matcher = newMatcher('headers')
  const refused = (value: HeaderValue, message: RegExp): void => {
    const args: HeaderMap = new Map([['x-match', value]])
    assert.throws(() => matcher.add(TARGETS[0]!, '', args), {
      code: 'PRECONDITION_FAILED',
      message,
    })
  }
  refused('most', /x-match field value <<"most">>; expected all, any, all-with-x, or any-with-x/)
  refused(5, /x-match field type number/)
  refused(null, /x-match field type void/)
  refused([], /x-match field type array/)
  refused(new Map(), /x-match field type table/)
  refused(Buffer.alloc(0), /x-match field type binary/)
  assert.ok(matcher.isEmpty)
})

test('random picks every target, and each only as a target, not as often as it is bound', () => {
  for (const kind of ['random', 'local-random'] as const) {
    const matcher = newMatcher(kind)
    for (let count = 0; count < 9; count++) matcher.add(TARGETS[0]!, '', new Map([['n', count]]))
    matcher.add(TARGETS[1]!, '')
    let first = 0
    for (let count = 0; count < 1000; count++) if (matched(matcher, 'k')[0] === 'q0') first += 1
    assert.ok(first > 400 && first < 600, `${first} of 1000`)
  }
  assert.throws(() => newMatcher('local-random').add(TARGETS[0]!, 'k'), {
    message: "Non empty binding 'k' key not permitted",
  })
})
