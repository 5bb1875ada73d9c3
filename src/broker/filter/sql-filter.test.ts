import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BrokerError } from '../../model/errors.ts'
import { encodeAddress } from '../../model/address.ts'
import { NO_PROPERTIES } from '../../model/canonical-properties.ts'
import type { HeaderMap, HeaderValue } from '../../model/header-value.ts'
import type { NativeForm } from '../../model/native-form.ts'
import { MessageFilter } from './filter.ts'
import type { FilteredMessage } from './filter-fields.ts'
import { LikePattern } from './like-pattern.ts'

const NOTHING = Buffer.alloc(0)
const ADDRESS = encodeAddress('orders', 'eu.new')

function message(headers: Readonly<Record<string, HeaderValue>>): FilteredMessage {
  const form = {
    headers: () => new Map(Object.entries(headers)),
    canonical: () => ({
      ...NO_PROPERTIES,
      messageId: 'm-1',
      correlationId: Buffer.from('c-1'),
      timestampMs: 1_700_000_000_000,
      contentType: 'text/plain',
      type: 'order',
    }),
  } as unknown as NativeForm
  return {
    ...{ form, address: ADDRESS, addressStart: 0, addressEnd: ADDRESS.length },
    ...{ header: NOTHING, headerStart: 0, headerEnd: 0, priority: 7, persistent: true },
  }
}

function filter(sql: string): MessageFilter {
  return MessageFilter.of(new Map([['x-filter-sql', sql]]))!
}

function takes(sql: string, headers: Readonly<Record<string, HeaderValue>> = {}): boolean {
  return filter(sql).takes(message(headers))
}

test('the examples of the specification', () => {
  const headers = { weight: 3000, color: 'blue', country: 'UK', phone: '12993', word: 'lose' }
  for (const [sql, expected] of [
    ["color = 'blue' AND weight > 2500", true],
    ['weight BETWEEN 2500 AND 3000', true],
    ['weight NOT BETWEEN 2500 AND 2999', true],
    ["Country IN ('UK', 'US', 'France')", false],
    ["country IN ('UK', 'US', 'France')", true],
    ["country NOT IN ('UK')", false],
    ["phone LIKE '12%3'", true],
    ["word LIKE 'l_se'", true],
    ["word LIKE 'loose'", false],
    ["word NOT LIKE 'l__se'", true],
    ['missing IS NULL', true],
    ['weight IS NOT NULL', true],
    ["JMSType = 'order' AND JMSPriority >= 7", true],
    ["JMSDeliveryMode = 'PERSISTENT' AND header.durable", true],
    ["p.message_id = 'm-1' AND properties.correlation_id = 'c-1'", true],
    ["p.content_type = 'text/plain' AND p.creation_time > 1600000000000", true],
    ["p.subject LIKE 'eu.%' AND p.to = 'orders'", true],
    ["a.color = 'blue' AND application_properties.weight = 3E3", true],
  ] as const) {
    assert.equal(takes(sql, headers), expected, sql)
  }
})

test('arithmetic, precedence, constants, quotes and brackets', () => {
  const headers = { n: 7, big: 2n ** 60n, 'x-tenant': "O'Neill", 'a]b': 1, text: '7', yes: true }
  for (const [sql, expected] of [
    ['n + 1 * 2 = 9', true],
    ['(n + 1) * 2 = 16', true],
    ['-n = -7 AND +n = 7 AND - -n = 7', true],
    ['n / 2 = 3.5 AND n % 4 = 3', true],
    ['n = 7L AND n = 7.0 AND n = 70e-1 AND n > .5', true],
    ['n / 0 IS NULL', true],
    ["[x-tenant] = 'O''Neill'", true],
    ['[x-tenant] = "O\'Neill"', true],
    ['[a]]b] = 1', true],
    ['big > 1000000000000', true],
    ["text = '7' AND NOT text = 7 AND NOT text <> 7", true],
    ['yes', true],
    ['yes AND NOT FALSE', true],
    ['yes = TRUE', true],
    ['n = 8 OR n = 7 AND yes', true],
    ['not (n = 8 or n = 9)', true],
    ["text > '6' AND text < '70'", true],
  ] as const) {
    assert.equal(takes(sql, headers), expected, sql)
  }
})

test('what is absent is neither equal nor different, and a message that is unknown stays out', () => {
  for (const sql of [
    'x = 1',
    'x <> 1',
    'NOT x = 1',
    'NOT x <> 1',
    'x > 0 AND TRUE',
    "x LIKE '%'",
    "x NOT LIKE '%'",
    'x IN (1, 2)',
    'x NOT IN (1, 2)',
    'x BETWEEN 1 AND 2',
    'x',
    'NOT x',
    'x + 1 = 1',
  ]) {
    assert.equal(takes(sql), false, sql)
  }
  assert.equal(takes('x = 1 OR TRUE'), true)
  assert.equal(takes('NOT (x = 1 AND FALSE)'), true)
  assert.equal(takes("n LIKE '7'", { n: 7 }), false)
  assert.equal(takes("n NOT LIKE '7'", { n: 7 }), false)
})

test('a fault is named with its place', () => {
  for (const [sql, expected] of [
    ['a = ', 'filter, character 5: a name, a constant or a bracket is expected, not the end'],
    ['a = 1 b', 'filter, character 7: AND, OR or the end is expected, not b'],
    ["a = 'open", "filter, character 5: ' is never closed"],
    ['a # 1', 'filter, character 3: # means nothing'],
    ['(a = 1', 'filter, character 7: ) is expected, not the end'],
    ['a NOT = 1', 'filter, character 7: BETWEEN, IN or LIKE is expected, not ='],
    ['a LIKE b', 'filter, character 8: a text in quotes is expected, not b'],
    ["a LIKE 'x' ESCAPE 'ab'", 'filter, character 19: ESCAPE takes one character'],
    ['5', 'filter, character 1: a condition is expected, not a value'],
    ['a + 1', 'filter, character 1: a condition is expected, not a value'],
    ['p.nothing = 1', 'filter, character 1: p.nothing is no field of a message'],
    ['', 'filter, character 1: a name, a constant or a bracket is expected, not the end'],
    ['a = 1e999', 'filter, character 5: the number is too large'],
    ['x'.repeat(4097), 'the filter has 4097 characters, the limit is 4096'],
    [`${'('.repeat(201)}a`, 'the filter has more than 200 words and signs'],
    [
      `a LIKE '${'x'.repeat(257)}'`,
      'filter, character 8: the pattern has 257 characters, the limit is 256',
    ],
  ] as const) {
    assert.throws(() => filter(sql), { code: 'PRECONDITION_FAILED', message: expected }, sql)
  }
})

test('LIKE never looks twice', () => {
  const pattern = new LikePattern(`${'%a'.repeat(100)}%b`, null)
  assert.equal(pattern.matches('a'.repeat(100_000)), false)
  assert.ok(new LikePattern('_', null).matches('\u{1F600}'))
  assert.ok(!new LikePattern('__', null).matches('\u{1F600}'))
  assert.ok(new LikePattern('%_', null).matches('a\u{1F600}'))
})

// Any pattern on any text of few characters, so that much of it matches.
test('LIKE finds what a regular expression of the same meaning finds', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '%', '_', '\\', '.'), maxLength: 12 })
  fc.assert(
    fc.property(text, text, fc.constantFrom(null, '\\', 'a'), (pattern, subject, escape) => {
      let source = ''
      for (let at = 0; at < pattern.length; at++) {
        const unit = pattern[at]!
        if (unit === escape && at + 1 < pattern.length) source += quoted(pattern[++at]!)
        else if (unit === '%') source += '.*'
        else source += unit === '_' ? '.' : quoted(unit)
      }
      const expected = new RegExp(`^${source}$`, 'su').test(subject)
      assert.equal(new LikePattern(pattern, escape).matches(subject), expected)
    }),
    { numRuns: 2000 },
  )
})

function quoted(unit: string): string {
  return unit.replace(/[\\.%_]/, (found) => (found === '%' || found === '_' ? found : `\\${found}`))
}

/** true, false and null for unknown: the tables of SQL-92, written out. */
const AND = new Map<string, boolean | null>([
  ['true true', true],
  ['true null', null],
  ['null true', null],
  ['null null', null],
])
const OR = new Map<string, boolean | null>([
  ['false false', false],
  ['false null', null],
  ['null false', null],
  ['null null', null],
])

interface Case {
  readonly sql: string
  readonly truth: boolean | null
}

const VALUES: Readonly<Record<string, HeaderValue>> = {
  one: 1,
  two: 2,
  t: 'b',
  yes: true,
  no: false,
}
const NUMBERS = ['one', 'two', 'gone', '1', '2', '3.5'] as const

function numberOf(name: string): number | null {
  if (name === 'gone') return null
  return name in VALUES ? (VALUES[name] as number) : Number(name)
}

const comparison: fc.Arbitrary<Case> = fc
  .tuple(
    fc.constantFrom(...NUMBERS),
    fc.constantFrom('=', '<>', '<', '<=', '>', '>='),
    fc.constantFrom(...NUMBERS),
  )
  .map(([left, sign, right]) => {
    const a = numberOf(left)
    const b = numberOf(right)
    const sql = `${left} ${sign} ${right}`
    if (a === null || b === null) return { sql, truth: null }
    const order = Math.sign(a - b)
    const signs = { '=': [0], '<>': [-1, 1], '<': [-1], '<=': [-1, 0], '>': [1], '>=': [0, 1] }
    return { sql, truth: signs[sign as keyof typeof signs].includes(order) }
  })

const between: fc.Arbitrary<Case> = fc
  .tuple(fc.constantFrom(...NUMBERS), fc.constantFrom(...NUMBERS), fc.constantFrom(...NUMBERS))
  .map(([value, low, high]) => {
    const [v, l, h] = [numberOf(value), numberOf(low), numberOf(high)]
    const above = v === null || l === null ? null : v >= l
    const below = v === null || h === null ? null : v <= h
    return { sql: `${value} BETWEEN ${low} AND ${high}`, truth: and(above, below) }
  })

const simple = fc.oneof(
  comparison,
  between,
  fc.constantFrom<Case>(
    { sql: 'yes', truth: true },
    { sql: 'no', truth: false },
    { sql: 'gone', truth: null },
    { sql: 'gone IS NULL', truth: true },
    { sql: 't IS NULL', truth: false },
    { sql: "t IN ('a', 'b')", truth: true },
    { sql: "t NOT IN ('a', 'b')", truth: false },
    { sql: "gone IN ('a')", truth: null },
    { sql: 't = 1', truth: false },
  ),
)

function and(a: boolean | null, b: boolean | null): boolean | null {
  return AND.has(`${a} ${b}`) ? AND.get(`${a} ${b}`)! : false
}

function or(a: boolean | null, b: boolean | null): boolean | null {
  return OR.has(`${a} ${b}`) ? OR.get(`${a} ${b}`)! : true
}

const { tree } = fc.letrec<{ tree: Case }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    simple,
    tie('tree').map(({ sql, truth }) => ({
      sql: `NOT (${sql})`,
      truth: truth === null ? null : !truth,
    })),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => ({
      sql: `(${a.sql}) AND (${b.sql})`,
      truth: and(a.truth, b.truth),
    })),
    fc.tuple(tie('tree'), tie('tree')).map(([a, b]) => ({
      sql: `(${a.sql}) OR (${b.sql})`,
      truth: or(a.truth, b.truth),
    })),
  ),
}))

// Expressions of any shape, whose truth is worked out beside them by the tables above.
test('a condition is as true, false or unknown as the tables of SQL-92 say', () => {
  const seen = { true: 0, false: 0, null: 0 }
  fc.assert(
    fc.property(
      tree.filter(({ sql }) => sql.split(/[ ()]/).length < 150),
      ({ sql, truth }) => {
        seen[`${truth}`]++
        assert.equal(takes(sql, VALUES), truth === true, sql)
        // Unknown is what neither it nor its opposite is.
        assert.equal(takes(`NOT (${sql})`, VALUES), truth === false, sql)
      },
    ),
    { numRuns: 2000 },
  )
  assert.ok(
    Object.values(seen).every((count) => count > 50),
    JSON.stringify(seen),
  )
})

const SOUP = [
  ...['a', 'p.to', '[x-y]', "'t'", '1', '2.5', 'AND', 'OR', 'NOT', 'BETWEEN', 'IN', 'LIKE', 'IS'],
  ...[
    'NULL',
    'ESCAPE',
    'TRUE',
    '(',
    ')',
    ',',
    '=',
    '<>',
    '<',
    '+',
    '-',
    '*',
    '/',
    '%',
    "'",
    '[',
    '#',
  ],
]

// Whatever comes is read or refused, and what was read can be asked of any message.
test('a soup of words and signs is refused with its place, or answers', () => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.bigInt())
  let read = 0
  fc.assert(
    fc.property(
      fc.oneof(
        fc.array(fc.constantFrom(...SOUP), { maxLength: 12 }).map((words) => words.join(' ')),
        fc.string({ maxLength: 60, unit: 'binary' }),
      ),
      value,
      (sql, a) => {
        try {
          assert.equal(typeof takes(sql, { a, 'x-y': a } as never), 'boolean')
          read++
        } catch (error) {
          assert.ok(error instanceof BrokerError, String(error))
          assert.match(error.message, /^filter, character \d+: /)
        }
      },
    ),
    { numRuns: 1500 },
  )
  assert.ok(read > 10, `${read} were read`)
})

test('tags and headers, alone and together', () => {
  const of = (args: HeaderMap): MessageFilter => MessageFilter.of(args)!
  const tags = of(new Map([['x-filter-tags', ' paid || sent']]))
  assert.equal(tags.takes(message({ tag: 'paid' })), true)
  assert.equal(tags.takes(message({ TAGS: 'sent', tag: 'other' })), true)
  assert.equal(tags.takes(message({ tag: 'pai' })), false)
  assert.equal(tags.takes(message({})), false)
  assert.equal(of(new Map([['x-filter-tags', '*']])).takes(message({})), true)
  const table = new Map<string, HeaderValue>([
    ['x-match', 'any'],
    ['a', 1],
    ['b', null],
  ])
  const headers = of(new Map<string, HeaderValue>([['x-filter-headers', table]]))
  assert.equal(headers.takes(message({ a: 1 })), true)
  assert.equal(headers.takes(message({ b: 'whatever' })), true)
  assert.equal(headers.takes(message({ a: 2 })), false)
  const all = of(
    new Map<string, HeaderValue>([
      ['x-filter-tags', 'paid'],
      ['x-filter-sql', 'a > 1'],
    ]),
  )
  assert.equal(all.takes(message({ tag: 'paid', a: 2 })), true)
  assert.equal(all.takes(message({ tag: 'paid', a: 1 })), false)
  assert.equal(MessageFilter.of(new Map([['x-other', 1]])), null)
  for (const args of [
    new Map<string, HeaderValue>([['x-filter-tags', 'a || ']]),
    new Map<string, HeaderValue>([['x-filter-tags', 5]]),
    new Map<string, HeaderValue>([['x-filter-headers', 'a=1']]),
    new Map<string, HeaderValue>([['x-filter-tags', Array(65).fill('a').join('||')]]),
  ]) {
    assert.throws(() => MessageFilter.of(args), { code: 'PRECONDITION_FAILED' })
  }
})
