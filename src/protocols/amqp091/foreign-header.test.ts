import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fieldTables } from '../../../test/support/amqp-field-arbitraries.ts'
import {
  type BasicProperties,
  decodeContentHeader,
  encodeContentHeader,
  type FieldValue,
} from '../../codec/amqp091/index.ts'
import { type CanonicalProperties, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { contentHeaderOf, foreignHeader } from './foreign-header.ts'
import { AMQP091_FORM } from './mapping.ts'

const OPTIONS = { bodySize: 3, payloadBytesMax: 4088 }

function written(
  given: Partial<CanonicalProperties>,
  payloadBytesMax = OPTIONS.payloadBytesMax,
): { properties: BasicProperties; lost: number } {
  const canonical = { ...NO_PROPERTIES, ...given }
  const { payload, lost } = contentHeaderOf(canonical, { bodySize: 3, payloadBytesMax })
  const { bodySize, properties } = decodeContentHeader(payload)
  assert.equal(bodySize, 3)
  assert.ok(payload.length <= payloadBytesMax)
  return { properties, lost }
}

function headersOf(entries: readonly (readonly [string, HeaderValue])[]): CanonicalProperties {
  return { ...NO_PROPERTIES, headers: entries.map(([name, value]) => ({ name, value })) }
}

test('each property has its place in a content header', () => {
  const rows: readonly (readonly [Partial<CanonicalProperties>, BasicProperties])[] = [
    [{}, {}],
    [{ persistent: true }, { deliveryMode: 2 }],
    [{ contentType: 'text/plain' }, { contentType: 'text/plain' }],
    [{ contentEncoding: 'gzip' }, { contentEncoding: 'gzip' }],
    [{ correlationId: Buffer.from('é7') }, { correlationId: 'é7' }],
    [{ correlationId: Buffer.alloc(0) }, { correlationId: '' }],
    [{ replyTo: 'answers' }, { replyTo: 'answers' }],
    [
      { replyToKey: 'to.me' },
      { replyTo: 'to.me', headers: new Map([['x-reply-to-topic', 'to.me']]) },
    ],
    [{ messageId: 'm' }, { messageId: 'm' }],
    [{ timestampMs: 1_700_000_000_000 }, { timestamp: 1_700_000_000 }],
    [
      { timestampMs: 1_700_000_000_999 },
      {
        timestamp: 1_700_000_000,
        headers: new Map([['timestamp_in_ms', { type: 'long', value: 1_700_000_000_999 }]]),
      },
    ],
    [{ type: 't' }, { type: 't' }],
    [{ userId: 'u' }, { userId: 'u' }],
    [{ appId: 'a' }, { appId: 'a' }],
    [{ expirationMs: 60_000 }, { expiration: '60000' }],
    [{ priority: 9 }, { priority: 9 }],
    [{ isText: true }, { headers: new Map([['x-payload-format', 'utf-8']]) }],
  ]
  for (const [given, expected] of rows) {
    const { properties, lost } = written(given)
    assert.deepEqual(properties, { deliveryMode: 1, ...expected })
    assert.equal(lost, 0)
  }
})

test('headers keep their types and order, and those of one name become a list', () => {
  const { properties, lost } = written(
    headersOf([
      ['b', 'x'],
      ['a', 1],
      ['b', 'y'],
      ['list', ['1', '2']],
      ['list', '3'],
      ['null', null],
      ['null', true],
      ['bytes', Buffer.from([0xff])],
      ['map', new Map<string, HeaderValue>([['k', [2 ** 40, 0.5]]])],
      ['long', 2n ** 62n],
      ['longer', 2n ** 70n],
      ['b', 'z'],
    ]),
  )
  assert.equal(lost, 0)
  assert.deepEqual(
    [...properties.headers!],
    [
      ['b', ['x', 'y', 'z']],
      ['a', 1],
      ['list', [['1', '2'], '3']],
      ['null', [null, true]],
      ['bytes', Uint8Array.of(0xff)],
      [
        'map',
        new Map([
          [
            'k',
            [
              { type: 'long', value: 2 ** 40 },
              { type: 'double', value: 0.5 },
            ],
          ],
        ]),
      ],
      ['long', { type: 'long', value: 2n ** 62n }],
      ['longer', String(2n ** 70n)],
    ],
  )
})

test('a correlation id that is no short string is octets in a header', () => {
  for (const octets of [Buffer.of(0xff), Buffer.of(0x61, 0), Buffer.alloc(256, 0x61)]) {
    const { properties, lost } = written({ correlationId: octets })
    assert.equal(properties.correlationId, undefined)
    assert.deepEqual(properties.headers?.get('x-correlation-id'), Uint8Array.from(octets))
    assert.equal(lost, 0)
  }
  assert.equal(written({ correlationId: Buffer.alloc(255, 0x61) }).properties.headers, undefined)
})

test('texts longer than a short string move into headers, and are counted', () => {
  const long = 'é'.repeat(128)
  const rows: readonly (readonly [keyof CanonicalProperties, string])[] = [
    ['contentType', 'x-content-type'],
    ['contentEncoding', 'x-content-encoding'],
    ['replyTo', 'x-reply-to'],
    ['messageId', 'x-message-id'],
    ['type', 'x-type'],
    ['userId', 'x-user-id'],
    ['appId', 'x-app-id'],
  ]
  for (const [property, header] of rows) {
    const { properties, lost } = written({ [property]: long })
    assert.deepEqual(properties, { deliveryMode: 1, headers: new Map([[header, long]]) })
    assert.equal(lost, 1)
  }
  const key = written({ replyToKey: long })
  assert.equal(key.properties.replyTo, undefined)
  assert.equal(key.properties.headers?.get('x-reply-to-topic'), long)
})

test('a header name longer than a short string is in a list of its own', () => {
  const long = 'n'.repeat(256)
  const { properties, lost } = written(
    headersOf([
      [long, 'one'],
      [`${long}!`, 'two'],
    ]),
  )
  const marked = [
    [long, 'one'],
    [`${long}!`, 'two'],
  ]
  assert.deepEqual(properties.headers, new Map([['x-long-header-names', marked]]))
  assert.equal(lost, 2)
})

test('a header of the publisher does not pass for one of the mapping', () => {
  const forged = headersOf([['x-correlation-id', 'forged']])
  const { properties, lost } = written({ ...forged, correlationId: Buffer.of(0xff) })
  assert.deepEqual(properties.headers?.get('x-correlation-id'), Uint8Array.of(0xff))
  assert.equal(lost, 1)
})

// A client that agreed on frames of 4 KiB ends the connection over a larger one.
test('headers that do not fit into the frame are left out from the end, and counted', () => {
  const entries = Array.from({ length: 40 }, (_, i) => [`h${i}`, 'v'.repeat(190)] as const)
  const { properties, lost } = written(headersOf(entries))
  const names = [...properties.headers!.keys()]
  const kept = names.length - 1
  assert.deepEqual(names, [...entries.slice(0, kept).map(([name]) => name), 'x-headers-left-out'])
  assert.equal(properties.headers?.get('x-headers-left-out'), 40 - kept)
  assert.equal(lost, 40 - kept)
  assert.ok(kept >= 18)
})

test('a form that is unknown or cannot read its bytes leaves a mark', () => {
  const message = { data: Buffer.of(1), headerStart: 0, headerEnd: 1, form: 77, persistent: true }
  const broken = {
    ...AMQP091_FORM,
    canonical: (): never => {
      throw new Error('no such bytes')
    },
  }
  for (const form of [undefined, broken]) {
    const { payload, lost } = foreignHeader(form, message, OPTIONS)
    assert.deepEqual(decodeContentHeader(payload), {
      bodySize: 3,
      properties: { deliveryMode: 2, headers: new Map([['x-unknown-form', 77]]) },
    })
    assert.equal(lost, 1)
  }
})

/** What a decoded header says, without the types of its numbers. */
function canonicalOf(properties: BasicProperties): CanonicalProperties {
  const payload = encodeContentHeader(0, properties)
  const padded = Buffer.concat([Buffer.alloc(5, 0xaa), payload, Buffer.alloc(5, 0xaa)])
  const canonical = AMQP091_FORM.canonical(padded, 5, 5 + payload.length)
  padded.fill(0)
  return canonical
}

test('every property of a content header is in the canonical view', () => {
  assert.deepEqual(canonicalOf({}), NO_PROPERTIES)
  const canonical = canonicalOf({
    contentType: 'text/plain',
    contentEncoding: 'gzip',
    deliveryMode: 2,
    priority: 0,
    correlationId: 'c',
    replyTo: 'r',
    expiration: '1500',
    messageId: 'm',
    timestamp: 1_700_000_000,
    type: 't',
    userId: 'u',
    appId: 'a',
    headers: new Map<string, FieldValue>([
      ['n', { type: 'short', value: 5 }],
      ['x-correlation-id', 'kept, as there is a correlation id'],
      ['x-reply-to-topic', 'kept, as it is another one'],
      ['x-payload-format', 'kept, as it is unknown'],
    ]),
  })
  assert.deepEqual(canonical, {
    contentType: 'text/plain',
    contentEncoding: 'gzip',
    correlationId: Buffer.from('c'),
    replyTo: 'r',
    replyToKey: null,
    messageId: 'm',
    timestampMs: 1_700_000_000_000,
    type: 't',
    userId: 'u',
    appId: 'a',
    expirationMs: 1500,
    priority: 0,
    persistent: true,
    isText: false,
    headers: [
      { name: 'n', value: 5 },
      { name: 'x-correlation-id', value: 'kept, as there is a correlation id' },
      { name: 'x-reply-to-topic', value: 'kept, as it is another one' },
      { name: 'x-payload-format', value: 'kept, as it is unknown' },
    ],
  })
})

test('what was written for another protocol is read back as it was', () => {
  const given: Partial<CanonicalProperties>[] = [
    { correlationId: Buffer.from([0, 0xff]) },
    { correlationId: Buffer.from('text') },
    { replyToKey: 'to.me' },
    { replyToKey: 'k'.repeat(300) },
    { replyTo: 'queue' },
    { isText: true, contentType: 'text/plain', persistent: true },
    { headers: [{ name: 'h', value: 'v' }] },
  ]
  for (const properties of given) {
    assert.deepEqual(canonicalOf(written(properties).properties), {
      ...NO_PROPERTIES,
      ...properties,
    })
  }
})

test('any table of headers crosses without an error', () => {
  fc.assert(
    fc.property(fieldTables, (headers) => {
      const canonical = canonicalOf({ headers })
      const { payload, lost } = contentHeaderOf(canonical, { ...OPTIONS, payloadBytesMax: 1 << 20 })
      assert.equal(lost, 0)
      const { properties } = decodeContentHeader(payload)
      const expected = canonical.headers.map(({ name, value }) => ({ name, value: shown(value) }))
      assert.deepEqual(canonicalOf(properties).headers, expected)
    }),
    { numRuns: 300 },
  )
})

/** Only a timestamp has 64 bits without a sign. */
function shown(value: HeaderValue): HeaderValue {
  if (typeof value === 'bigint') return value >= 2n ** 63n ? value.toString() : value
  if (Array.isArray(value)) return value.map(shown)
  if (!(value instanceof Map)) return value
  return new Map(Array.from(value as ReadonlyMap<string, HeaderValue>, ([k, v]) => [k, shown(v)]))
}
