import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fieldTables } from '../../../test/support/amqp-field-arbitraries.ts'
import type { Annotations } from '../../broker/index.ts'
import {
  decodeContentHeader,
  encodeContentHeader,
  type FieldValue,
} from '../../codec/amqp091/index.ts'
import { headersIdentity } from '../../model/header-value.ts'
import { AMQP091_FORM, decoratedHeader, headerMapOf, keysOf } from './mapping.ts'

test('field values lose their wire type and keep their worth', () => {
  const table = new Map<string, FieldValue>([
    ['byte', { type: 'byte', value: -1 }],
    ['long', { type: 'long', value: 2n ** 60n }],
    ['decimal', { type: 'decimal', scale: 2, value: 314 }],
    ['time', { type: 'timestamp', value: 17 }],
    ['raw', { type: 'longstr', value: Uint8Array.of(0xff) }],
    ['list', [1, 'a', null, new Map([['k', true]])]],
  ])
  assert.deepEqual(
    headerMapOf(table),
    new Map<string, unknown>([
      ['byte', -1],
      ['long', 2n ** 60n],
      ['decimal', 3.14],
      ['time', 17],
      ['raw', Uint8Array.of(0xff)],
      ['list', [1, 'a', null, new Map([['k', true]])]],
    ]),
  )
})

// Publishers send any table; what the broker compares and stores must take all of them.
test('any table has an identity', () => {
  fc.assert(
    fc.property(fieldTables, (table) => {
      assert.equal(typeof headersIdentity(headerMapOf(table)), 'string')
    }),
  )
})

test('only strings in a list are routing keys', () => {
  assert.deepEqual(keysOf(['a', 1, 'b', null]), ['a', 'b'])
  assert.equal(keysOf('a'), null)
})

test('the broker sees headers, properties, extra keys and expiration of a stored header', () => {
  const header = encodeContentHeader(0, {
    headers: new Map<string, FieldValue>([
      ['CC', ['x', 'y']],
      ['n', { type: 'short', value: 5 }],
    ]),
    messageId: 'm',
    expiration: '60000',
    timestamp: 1_700_000_000,
  })
  const padded = Buffer.concat([Buffer.alloc(3, 0xaa), header, Buffer.alloc(3, 0xaa)])
  const range = [padded, 3, 3 + header.length] as const
  assert.equal(AMQP091_FORM.headers(...range)?.get('n'), 5)
  assert.equal(AMQP091_FORM.property(...range, 'message-id'), 'm')
  assert.equal(AMQP091_FORM.property(...range, 'correlation-id'), null)
  assert.equal(AMQP091_FORM.property(...range, 'timestamp'), '1700000000')
  assert.deepEqual(AMQP091_FORM.extraKeys(...range), ['x', 'y'])
  assert.equal(AMQP091_FORM.expiration(...range), '60000')
  const plain = encodeContentHeader(0)
  assert.equal(AMQP091_FORM.headers(plain, 0, plain.length), null)
  assert.equal(AMQP091_FORM.extraKeys(plain, 0, plain.length), null)
})

test('a time is exact to the millisecond where a header says so of the same second', () => {
  const timeOf = (value: FieldValue): [number | null, number] => {
    const headers = new Map([['timestamp_in_ms', value]])
    const header = encodeContentHeader(0, { headers, timestamp: 1_700_000_000 })
    const canonical = AMQP091_FORM.canonical(header, 0, header.length)
    return [canonical.timestampMs, canonical.headers.length]
  }
  assert.deepEqual(timeOf({ type: 'long', value: 1_700_000_000_123 }), [1_700_000_000_123, 0])
  assert.deepEqual(timeOf({ type: 'long', value: 1_700_000_001_000 }), [1_700_000_000_000, 1])
  assert.deepEqual(timeOf('1700000000123'), [1_700_000_000_000, 1])
})

test('a dead letter tells its story as RabbitMQ does, and does not expire again', () => {
  const payload = encodeContentHeader(4, {
    expiration: '20',
    correlationId: 'c',
    headers: new Map<string, FieldValue>([
      ['h', 1],
      ['x-death', 'forged by the publisher'],
    ]),
  })
  const origin = { queue: 'q', reason: 'expired', exchange: '' } as const
  const annotations: Annotations = {
    deaths: [
      {
        ...origin,
        count: 2,
        timeMs: 1_700_000_000_999,
        routingKeys: ['q', 'cc'],
        originalExpiration: '20',
      },
    ],
    firstDeath: origin,
    lastDeath: origin,
    delayedMs: 0,
  }
  const decoration = { annotations, attempts: 0, streamOffset: -1 }
  const { bodySize, properties } = decodeContentHeader(decoratedHeader(payload, decoration))
  assert.equal(bodySize, 4)
  assert.equal(properties.expiration, undefined)
  assert.equal(properties.correlationId, 'c')
  const headers = properties.headers!
  assert.equal(headers.get('h'), 1)
  const [death] = headers.get('x-death') as Map<string, FieldValue>[]
  assert.deepEqual(
    [...death!],
    [
      ['original-expiration', '20'],
      ['count', { type: 'long', value: 2 }],
      ['reason', 'expired'],
      ['queue', 'q'],
      ['time', { type: 'timestamp', value: 1_700_000_000 }],
      ['exchange', ''],
      ['routing-keys', ['q', 'cc']],
    ],
  )
  assert.equal(headers.get('x-first-death-reason'), 'expired')
  assert.equal(headers.get('x-last-death-queue'), 'q')
})

test('attempts, offsets and waited delays are shown; everything else stays', () => {
  const payload = encodeContentHeader(0, {
    headers: new Map<string, FieldValue>([['x-delay', '250']]),
    type: 't',
  })
  const waited: Annotations = { deaths: [], firstDeath: null, lastDeath: null, delayedMs: 249 }
  const decoration = { annotations: waited, attempts: 3, streamOffset: 2 ** 40 }
  const { properties } = decodeContentHeader(decoratedHeader(payload, decoration))
  assert.equal(properties.type, 't')
  assert.deepEqual(
    [...properties.headers!],
    [
      ['x-delay', { type: 'long', value: -250 }],
      ['x-delivery-count', { type: 'long', value: 3 }],
      ['x-stream-offset', { type: 'long', value: 2 ** 40 }],
    ],
  )
})
