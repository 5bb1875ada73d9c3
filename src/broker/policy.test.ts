import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  appliesToFromRabbit,
  effectiveSettings,
  parseAgeMs,
  parseOverflow,
  parsePolicyDefinition,
  policyDefinition,
  PolicySet,
  type Policy,
  type PolicySettings,
  type PolicySubject,
} from './policy.ts'

function policy(changes: Partial<Policy>): Policy {
  const settings: PolicySettings = { messagesMax: 10 }
  return { name: 'p', pattern: '', appliesTo: 'all', priority: 0, settings, ...changes }
}

test('the highest priority that fits is used, alone', () => {
  const policies = new PolicySet()
  policies.set(policy({ name: 'low', pattern: '^orders', settings: { messageTtlMs: 5 } }))
  policies.set(policy({ name: 'high', pattern: '^orders\\.eu', priority: 7 }))
  policies.set(policy({ name: 'other', pattern: '^bills', priority: 9 }))
  const { policy: found, settings } = policies.match({ name: 'orders.eu.1', kind: 'queue' })
  assert.equal(found?.name, 'high')
  assert.deepEqual(settings, { messagesMax: 10 }, 'nothing is merged in from the lower one')
  assert.equal(policies.match({ name: 'orders.us', kind: 'queue' }).policy?.name, 'low')
  assert.deepEqual(policies.match({ name: 'x', kind: 'queue' }), {
    policy: null,
    operator: null,
    settings: {},
  })
})

test('of two policies with one priority the choice does not depend on their order', () => {
  for (const names of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    const policies = new PolicySet()
    for (const name of names) policies.set(policy({ name }))
    assert.equal(policies.match({ name: 'q', kind: 'queue' }).policy?.name, 'a')
  }
})

test('a policy applies to what it says', () => {
  const subjects: Readonly<Record<string, PolicySubject>> = {
    exchange: { name: 'n', kind: 'exchange' },
    classic: { name: 'n', kind: 'queue', queueType: 'classic' },
    plain: { name: 'n', kind: 'queue' },
    quorum: { name: 'n', kind: 'queue', queueType: 'quorum' },
    topic: { name: 'n', kind: 'topic' },
  }
  const expected: Readonly<Record<Policy['appliesTo'], readonly string[]>> = {
    all: ['exchange', 'classic', 'plain', 'quorum', 'topic'],
    exchanges: ['exchange'],
    destinations: ['classic', 'plain', 'quorum', 'topic'],
    queues: ['classic', 'plain', 'quorum'],
    topics: ['topic'],
    'classic-queues': ['classic', 'plain'],
    'quorum-queues': ['quorum'],
  }
  for (const [appliesTo, names] of Object.entries(expected)) {
    const policies = new PolicySet()
    policies.set(policy({ appliesTo: appliesTo as Policy['appliesTo'] }))
    const fitting = Object.keys(subjects).filter(
      (name) => policies.match(subjects[name]!).policy !== null,
    )
    assert.deepEqual(fitting, names, appliesTo)
  }
})

test('policies are replaced and removed by name, and every change is seen', () => {
  const policies = new PolicySet()
  const version = policies.version
  policies.set(policy({ name: 'a' }))
  policies.set(policy({ name: 'a', settings: { messagesMax: 5 } }))
  policies.setOperator(policy({ name: 'a', settings: { messagesMax: 7 } }))
  assert.deepEqual(policies.list(), [policy({ name: 'a', settings: { messagesMax: 5 } })])
  assert.equal(policies.listOperator().length, 1)
  assert.ok(policies.version > version)
  assert.equal(policies.remove('a'), true)
  assert.equal(policies.remove('a'), false)
  assert.equal(policies.removeOperator('a'), true)
  assert.equal(policies.removeOperator('a'), false)
  assert.deepEqual([...policies.list(), ...policies.listOperator()], [])
})

test('operator policies cap numbers, and only numbers', () => {
  const policies = new PolicySet()
  policies.set(policy({ settings: { messagesMax: 100, overflow: 'reject' } }))
  policies.setOperator(policy({ settings: { messagesMax: 50, bytesMax: 1000 } }))
  const { settings } = policies.match({ name: 'q', kind: 'queue' })
  assert.deepEqual(settings, { messagesMax: 50, bytesMax: 1000, overflow: 'reject' })
  assert.equal(effectiveSettings({ messagesMax: 70 }, settings).messagesMax, 50)
  assert.throws(() => policies.setOperator(policy({ settings: { overflow: 'reject' } })), {
    code: 'PRECONDITION_FAILED',
  })
})

test('with argument and policy the smaller number holds, otherwise the argument', () => {
  assert.deepEqual(
    effectiveSettings(
      { messageTtlMs: 10, messagesMax: 5, deadLetterExchange: 'mine', overflow: 'reject' },
      { messageTtlMs: 3, bytesMax: 9, deadLetterExchange: 'theirs', deadLetterRoutingKey: 'k' },
    ),
    {
      messageTtlMs: 3,
      messagesMax: 5,
      bytesMax: 9,
      deadLetterExchange: 'mine',
      deadLetterRoutingKey: 'k',
      overflow: 'reject',
    },
  )
  assert.equal(effectiveSettings({ attemptsMax: -1 }, { attemptsMax: 4 }).attemptsMax, 4)
  assert.equal(effectiveSettings({ attemptsMax: 4 }, { attemptsMax: -1 }).attemptsMax, 4)
  assert.equal(effectiveSettings({ attemptsMax: -1 }, { attemptsMax: -1 }).attemptsMax, -1)
  assert.equal(effectiveSettings({ messageTtlMs: 0 }, { messageTtlMs: 4 }).messageTtlMs, 0)
})

const definition = fc.record(
  {
    'message-ttl': fc.nat(),
    expires: fc.integer({ min: 1, max: 2 ** 40 }),
    'max-length': fc.nat(),
    'max-length-bytes': fc.nat(),
    'delivery-limit': fc.integer({ min: -1, max: 100 }),
    'consumer-timeout': fc.nat(),
    'max-age': fc.integer({ min: 1, max: 1e6 }).map((seconds) => `${seconds}s`),
    'stream-max-segment-size-bytes': fc.integer({ min: 1 }),
    overflow: fc.constantFrom('drop-head', 'reject-publish', 'reject-publish-dlx', 'block'),
    'dead-letter-exchange': fc.string(),
    'dead-letter-routing-key': fc.string(),
    'dead-letter-strategy': fc.constantFrom('at-most-once', 'at-least-once'),
    'alternate-exchange': fc.string(),
    'key-shared': fc.boolean(),
    'key-header': fc.string(),
  },
  { requiredKeys: [] },
)

test("RabbitMQ's definitions are read and shown again unchanged", () => {
  fc.assert(
    fc.property(definition, (given) => {
      const settings = parsePolicyDefinition(given)
      assert.deepEqual({ ...policyDefinition(settings) }, { ...given })
      if (Object.keys(given).length > 0) new PolicySet().set(policy({ settings }))
    }),
  )
})

test('what RabbitMQ refuses is refused, what only its cluster needs is named', () => {
  const refused = (given: Record<string, unknown>, message: RegExp): void => {
    assert.throws(() => parsePolicyDefinition(given), { code: 'PRECONDITION_FAILED', message })
  }
  refused({ 'max-lengthx': 5 }, /max-lengthx is not recognised/)
  refused({ 'max-length': -5 }, /^-5 is not a valid maximum length$/)
  refused({ 'max-length': 1.5 }, /^1.5 is not a valid maximum length$/)
  refused({ 'message-ttl': 'a' }, /^<<"a">> is not a valid message TTL$/)
  refused({ expires: 0 }, /^0 is not a valid queue expiry$/)
  refused({ 'delivery-limit': -2 }, /delivery limit/)
  refused({ overflow: 'toString' }, /overflow/)
  refused({ 'dead-letter-exchange': 5 }, /^5 is not a valid dead letter exchange$/)
  refused({ 'dead-letter-strategy': null }, /^null is not a valid dead letter strategy$/)
  refused({ 'key-shared': 'yes' }, /^<<"yes">> is not a valid key-shared/)
  refused({ 'max-age': '7 days' }, /max age/)
  refused({ constructor: 1 }, /constructor is not recognised/)
  const ignored: string[] = []
  const given = { 'ha-mode': 'all', 'queue-mode': 'lazy', 'target-group-size': 3, 'max-length': 1 }
  assert.deepEqual(parsePolicyDefinition(given, ignored), { messagesMax: 1 })
  assert.deepEqual(ignored, ['ha-mode', 'queue-mode', 'target-group-size'])
})

test('a policy that makes no sense is refused and changes nothing', () => {
  const policies = new PolicySet()
  const bad: readonly Partial<Policy>[] = [
    { pattern: '[' },
    { pattern: 'x'.repeat(2000) },
    { name: '' },
    { priority: Number.NaN },
    { settings: {} },
    { settings: { messagesMax: -1 } },
    { settings: { overflow: 'explode' } as unknown as PolicySettings },
    { settings: { unheardOf: 1 } as PolicySettings },
  ]
  for (const changes of bad) {
    assert.throws(() => policies.set(policy(changes)), { code: 'PRECONDITION_FAILED' })
  }
  assert.deepEqual(policies.list(), [])
})

test('ages and names of RabbitMQ', () => {
  assert.equal(parseAgeMs('7D'), 7 * 86_400_000)
  assert.equal(parseAgeMs('1Y'), 365 * 86_400_000)
  assert.equal(parseAgeMs('2M'), 60 * 86_400_000)
  assert.equal(parseAgeMs('3h') + parseAgeMs('3m') + parseAgeMs('3s'), 10_983_000)
  for (const value of ['0s', '7', 'D', '7d', '', 7, null, '9999999999s']) {
    assert.throws(() => parseAgeMs(value), /is not a valid max age/)
  }
  assert.equal(parseOverflow('reject-publish-dlx'), 'reject-dead-letter')
  assert.equal(appliesToFromRabbit('queues'), 'destinations')
  assert.equal(appliesToFromRabbit('streams'), 'topics')
  assert.throws(() => appliesToFromRabbit('bogus'), /apply-to 'bogus' unrecognised/)
  assert.throws(() => appliesToFromRabbit('constructor'), /unrecognised/)
})
