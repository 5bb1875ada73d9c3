import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FieldValue } from '../../codec/amqp091/index.ts'
import { requireEquivalentExchange, requireEquivalentQueue } from './equivalence.ts'
import { exchangeSpecOf } from './exchange-arguments.ts'
import {
  ageMsOf,
  destinationSpecOf,
  type QueueRequest,
  unknownArguments,
} from './queue-arguments.ts'

type Args = Readonly<Record<string, FieldValue>>

function request(args: Args, more: Partial<QueueRequest> = {}): QueueRequest {
  return {
    name: 'q',
    vhost: '/',
    durable: true,
    autoDelete: false,
    exclusiveOwner: null,
    arguments: new Map(Object.entries(args)),
    ...more,
  }
}

const byte = (value: number): FieldValue => ({ type: 'byte', value })
const place = "for queue 'q' in vhost '/'"
const ofType = (type: string): string => `of queue type rabbit_${type}_queue`

/** What RabbitMQ 4.0.5 answers, word for word, but where the comment says otherwise. */
const REFUSED: readonly (readonly [args: Args, text: string])[] = [
  [
    { 'x-message-ttl': 'abc' },
    `invalid arg 'x-message-ttl' ${place}: "expected integer, got longstr"`,
  ],
  [{ 'x-message-ttl': -1 }, `invalid arg 'x-message-ttl' ${place}: {value_negative,-1}`],
  [{ 'x-message-ttl': true }, `invalid arg 'x-message-ttl' ${place}: "expected integer, got bool"`],
  [{ 'x-expires': 0 }, `invalid arg 'x-expires' ${place}: {value_zero,0}`],
  [{ 'x-max-priority': 256 }, `invalid arg 'x-max-priority' ${place}: {max_value_exceeded,256}`],
  [
    { 'x-dead-letter-exchange': byte(1) },
    "invalid type 'byte' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'",
  ],
  [
    { 'x-dead-letter-routing-key': 'k' },
    `invalid arg 'x-dead-letter-routing-key' ${place}: routing_key_but_no_dlx_defined`,
  ],
  [{ 'x-overflow': 'abc' }, `invalid arg 'x-overflow' ${place}: invalid_overflow`],
  [{ 'x-overflow': byte(1) }, `invalid arg 'x-overflow' ${place}: {unacceptable_type,byte}`],
  [
    { 'x-queue-mode': 'abc' },
    `invalid arg 'x-queue-mode' ${place}: "unsupported queue mode 'abc'"`,
  ],
  [
    { 'x-queue-version': 3 },
    `invalid arg 'x-queue-version' ${place}: "unsupported queue version '3'"`,
  ],
  [
    { 'x-single-active-consumer': 'abc' },
    `invalid arg 'x-single-active-consumer' ${place}: {unacceptable_type,longstr}`,
  ],
  [
    { 'x-queue-type': 'abc' },
    `invalid arg 'x-queue-type' ${place}: "unsupported queue type 'abc'"`,
  ],
  [
    { 'x-queue-leader-locator': 'abc' },
    `invalid arg 'x-queue-leader-locator' ${place}: invalid_queue_locator_arg`,
  ],
  [{ 'x-delivery-limit': 3 }, `invalid arg 'x-delivery-limit' ${place} ${ofType('classic')}`],
  [{ 'x-max-age': '7D' }, `invalid arg 'x-max-age' ${place} ${ofType('classic')}`],
  [
    { 'x-queue-type': 'quorum', 'x-max-priority': 5 },
    `invalid arg 'x-max-priority' ${place} ${ofType('quorum')}`,
  ],
  [
    { 'x-queue-type': 'quorum', 'x-queue-mode': 'lazy' },
    `invalid arg 'x-queue-mode' ${place} ${ofType('quorum')}`,
  ],
  // RabbitMQ takes any delivery limit and then ignores what is no number.
  [
    { 'x-queue-type': 'quorum', 'x-delivery-limit': 'a' },
    `invalid arg 'x-delivery-limit' ${place}: "expected integer, got longstr"`,
  ],
  [
    { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'foo' },
    `invalid arg 'x-dead-letter-strategy' ${place}: invalid_dlx_strategy`,
  ],
  [
    { 'x-queue-type': 'stream', 'x-message-ttl': 5 },
    `invalid arg 'x-message-ttl' ${place} ${ofType('stream')}`,
  ],
  [
    { 'x-queue-type': 'stream', 'x-overflow': 'drop-head' },
    `invalid arg 'x-overflow' ${place} ${ofType('stream')}`,
  ],
  [
    { 'x-queue-type': 'stream', 'x-max-age': '7 D' },
    `invalid arg 'x-max-age' ${place}: invalid_max_age`,
  ],
  [
    { 'x-queue-type': 'stream', 'x-stream-max-segment-size-bytes': 4e9 },
    'Exceeded max value for x-stream-max-segment-size-bytes',
  ],
  [
    { 'x-queue-type': 'stream', 'x-stream-filter-size-bytes': 15 },
    'Invalid value for  x-stream-filter-size-bytes',
  ],
]

for (const [args, message] of REFUSED) {
  test(`refused: ${JSON.stringify(args)}`, () => {
    assert.throws(() => destinationSpecOf(request(args)), { message, reply: 'PRECONDITION_FAILED' })
  })
}

test('quorum queues and streams are neither transient, nor exclusive, nor auto-delete', () => {
  for (const type of ['quorum', 'stream']) {
    const args = { 'x-queue-type': type }
    const wrong: readonly (readonly [Partial<QueueRequest>, string])[] = [
      [{ durable: false }, 'non-durable'],
      [{ exclusiveOwner: {} }, 'exclusive-owner'],
      [{ autoDelete: true, durable: false }, 'auto-delete'],
    ]
    for (const [more, property] of wrong) {
      const message = `invalid property '${property}' ${place}`
      assert.throws(() => destinationSpecOf(request(args, more)), { message })
    }
  }
})

test('arguments become settings of the destination', () => {
  const classic = destinationSpecOf(
    request({
      'x-message-ttl': { type: 'long', value: 5000 },
      'x-expires': 60_000,
      'x-max-length': byte(10),
      'x-max-length-bytes': { type: 'long', value: 2n ** 62n },
      'x-overflow': 'reject-publish-dlx',
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'dead',
      'x-max-priority': 9,
      'x-single-active-consumer': true,
    }),
  )
  assert.deepEqual(classic.settings, {
    messageTtlMs: 5000,
    expiresMs: 60_000,
    messagesMax: 10,
    bytesMax: Number.MAX_SAFE_INTEGER,
    overflow: 'reject-dead-letter',
    deadLetterExchange: '',
    deadLetterRoutingKey: 'dead',
  })
  assert.deepEqual([classic.prioritiesMax, classic.singleActive], [9, true])
  assert.equal(classic.countsAttempts, false)
  const quorum = destinationSpecOf(request({ 'x-queue-type': 'quorum' }))
  assert.equal(quorum.settings.attemptsMax, 20)
  assert.equal(quorum.countsAttempts, true)
  const unlimited = { 'x-queue-type': 'quorum', 'x-delivery-limit': -1 }
  assert.equal(destinationSpecOf(request(unlimited)).settings.attemptsMax, -1)
  const stream = destinationSpecOf(request({ 'x-queue-type': 'stream', 'x-max-age': '7D' }))
  assert.equal(stream.profile, 'topic')
  assert.equal(stream.settings.ageMsMax, 7 * 86_400_000)
})

test('an exclusive queue is never durable: it dies with its connection', () => {
  assert.equal(destinationSpecOf(request({}, { exclusiveOwner: {} })).durable, false)
})

test('ages have one number and one unit', () => {
  assert.equal(ageMsOf('5s'), 5000)
  assert.equal(ageMsOf('1Y'), 365 * 86_400_000)
  for (const age of ['', '5', 'h', '7 D', '-1D', '1W', '1h1m'])
    assert.equal(ageMsOf(age), null, age)
})

test('unknown x- arguments are named, others are the application’s own', () => {
  const args = new Map<string, FieldValue>([
    ['x-foo', 1],
    ['foo', 1],
    ['x-message-ttl', 1],
  ])
  assert.deepEqual(unknownArguments(args), ['x-foo'])
})

const INEQUIVALENT: readonly (readonly [now: Args, then: Args, text: string])[] = [
  [
    {},
    { 'x-message-ttl': byte(100) },
    "arg 'x-message-ttl' PLACE: received the value '100' of type 'byte' but current is none",
  ],
  [
    { 'x-message-ttl': 100 },
    {},
    "arg 'x-message-ttl' PLACE: received none but current is the value '100' of type 'signedint'",
  ],
  [
    { 'x-message-ttl': 100 },
    { 'x-message-ttl': 200 },
    "arg 'x-message-ttl' PLACE: received '200' but current is '100'",
  ],
  [
    { 'x-dead-letter-exchange': 'a' },
    { 'x-dead-letter-exchange': 'b' },
    "arg 'x-dead-letter-exchange' PLACE: received 'b' but current is 'a'",
  ],
  [
    { 'x-single-active-consumer': true },
    {},
    "arg 'x-single-active-consumer' PLACE: received none but current is the value 'true' of type 'bool'",
  ],
  [
    {},
    { 'x-queue-type': 'quorum' },
    "arg 'x-queue-type' PLACE: received 'quorum' but current is 'classic'",
  ],
]

for (const [now, then, text] of INEQUIVALENT) {
  test(`declared as ${JSON.stringify(now)}, again as ${JSON.stringify(then)}: 406`, () => {
    const current = destinationSpecOf(request(now))
    const message = `inequivalent ${text.replace('PLACE', place)}`
    assert.throws(() => requireEquivalentQueue(current, request(then)), { message })
  })
}

test('the same queue in other words is the same queue', () => {
  const same: readonly (readonly [Args, Args])[] = [
    [{ 'x-message-ttl': 100 }, { 'x-message-ttl': { type: 'long', value: 100 } }],
    [{}, { 'x-foo': 'a' }],
    [{ 'x-foo': 'a' }, { 'x-foo': 1 }],
    [{}, { 'x-queue-type': 'classic' }],
    [{ 'x-consumer-timeout': 60_000 }, {}],
  ]
  for (const [now, then] of same) {
    requireEquivalentQueue(destinationSpecOf(request(now)), request(then))
  }
})

test('properties are compared before arguments', () => {
  const current = destinationSpecOf(request({}, { durable: false }))
  assert.throws(() => requireEquivalentQueue(current, request({ 'x-expires': 1 })), {
    message: `inequivalent arg 'durable' ${place}: received 'true' but current is 'false'`,
  })
})

test('exchanges: what types take, and what may not differ', () => {
  const base = { name: 'x', vhost: '/', durable: true, autoDelete: false, internal: false }
  const declare = (type: string, args: Args = {}): ReturnType<typeof exchangeSpecOf> =>
    exchangeSpecOf({ ...base, type, arguments: new Map(Object.entries(args)) })
  assert.equal(declare('x-consistent-hash', { 'hash-header': 'id' }).hashHeader, 'id')
  assert.equal(
    declare('x-consistent-hash', { 'hash-property': 'message_id' }).hashProperty,
    'message-id',
  )
  const delayed = declare('x-delayed-message', { 'x-delayed-type': 'topic' })
  assert.deepEqual([delayed.delayed, delayed.type], [true, 'topic'])
  const refused: readonly (readonly [string, Args, string])[] = [
    ['foo', {}, "invalid exchange type 'foo'"],
    [
      'x-delayed-message',
      {},
      "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    ],
    [
      'direct',
      { 'alternate-exchange': byte(5) },
      "invalid type 'byte' for arg 'alternate-exchange' in exchange 'x' in vhost '/'",
    ],
    [
      'x-consistent-hash',
      { 'hash-header': 'a', 'hash-property': 'message_id' },
      'hash-header and hash-property are mutually exclusive',
    ],
    ['x-consistent-hash', { 'hash-property': 'foo' }, 'Unsupported property: foo'],
  ]
  for (const [type, args, message] of refused) {
    assert.throws(() => declare(type, args), { message })
  }
  const again = { ...base, type: 'fanout', arguments: new Map() }
  assert.throws(() => requireEquivalentExchange(declare('direct'), again), {
    message:
      "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'fanout' but current is 'direct'",
  })
  const internal = { ...base, type: 'direct', internal: true, arguments: new Map() }
  assert.throws(() => requireEquivalentExchange(declare('direct'), internal), {
    message:
      "inequivalent arg 'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
  })
})
