import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeRecordHeaders } from '../../codec/kafka/record-headers.ts'
import { type CanonicalProperties, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import { KAFKA_FORM } from './mapping.ts'
import { encodeLoneRecord, readLoneRecord } from './record-header.ts'

type Headers = readonly (readonly [string, string | Buffer | null])[]

interface Given {
  readonly headers?: Headers
  readonly key?: Buffer | null
  readonly isNullValue?: boolean
  readonly timestampMs?: number
}

/** Header bytes as they are stored, somewhere in a larger buffer. */
function stored(given: Given): [Buffer, number, number] {
  const headers = (given.headers ?? []).map(([key, value]) => {
    return { key, value: typeof value === 'string' ? Buffer.from(value) : value }
  })
  const header = encodeLoneRecord({
    timestampMs: given.timestampMs ?? -1,
    key: given.key ?? null,
    isNullValue: given.isNullValue ?? false,
    headers: encodeRecordHeaders(headers),
  })
  const pad = Buffer.alloc(7, 0xaa)
  return [Buffer.concat([pad, header, pad]), 7, 7 + header.length]
}

function canonical(given: Given): Partial<CanonicalProperties> {
  const found = KAFKA_FORM.canonical(...stored(given))
  const names = Object.keys(found) as (keyof CanonicalProperties)[]
  const differs = names.filter((name) => {
    const empty = NO_PROPERTIES[name]
    return Array.isArray(empty) ? (found[name] as []).length > 0 : found[name] !== empty
  })
  return Object.fromEntries(differs.map((name) => [name, found[name]]))
}

test('the canonical view has what a record says', () => {
  const octets = Buffer.of(0, 255)
  const rows: readonly (readonly [Given, Partial<CanonicalProperties>])[] = [
    [{}, {}],
    [{ timestampMs: 1_700_000_000_123 }, { timestampMs: 1_700_000_000_123 }],
    [{ key: Buffer.from('eu.new') }, {}],
    [{ headers: [['content-type', 'a/b']] }, { contentType: 'a/b' }],
    [{ headers: [['correlation-id', octets]] }, { correlationId: octets }],
    [{ headers: [['reply-to', 'q']] }, { replyTo: 'q' }],
    [{ headers: [['x-reply-to-topic', 'to.me']] }, { replyToKey: 'to.me' }],
    [{ headers: [['x-payload-format', 'utf-8']] }, { isText: true }],
    [{ headers: [['amqp-content-encoding', 'gzip']] }, { contentEncoding: 'gzip' }],
    [{ headers: [['amqp-message-id', 'm']] }, { messageId: 'm' }],
    [{ headers: [['amqp-type', 't']] }, { type: 't' }],
    [{ headers: [['amqp-app-id', 'a']] }, { appId: 'a' }],
    [{ headers: [['amqp-priority', '9']] }, { priority: 9 }],
  ]
  for (const [given, expected] of rows) {
    assert.deepEqual(canonical(given), { persistent: true, ...expected })
  }
})

test('a header is text where it is text, and keeps its place', () => {
  const headers: Headers = [
    ['b', 'x'],
    ['a', Buffer.of(0xff)],
    ['b', null],
    ['', ''],
  ]
  assert.deepEqual(canonical({ headers }).headers, [
    { name: 'b', value: 'x' },
    { name: 'a', value: Buffer.of(0xff) },
    { name: 'b', value: null },
    { name: '', value: '' },
  ])
  const map = KAFKA_FORM.headers(...stored({ headers }))
  assert.deepEqual(
    map,
    new Map<string, unknown>([
      ['b', ['x', null]],
      ['a', Buffer.of(0xff)],
      ['', ''],
    ]),
  )
  assert.equal(KAFKA_FORM.headers(...stored({})), null)
  assert.equal(KAFKA_FORM.headers(Buffer.alloc(0), 0, 0), null)
})

test('what fits no property stays a header', () => {
  const headers: Headers = [
    ['content-type', Buffer.of(0xff)],
    ['amqp-priority', '256'],
    ['amqp-user-id', 'admin'],
    ['amqp-expiration', '5'],
    ['x-payload-format', 'utf-16'],
    ['reply-to', null],
    ['reply-to', 'second'],
  ]
  const found = canonical({ headers })
  assert.deepEqual(Object.keys(found), ['persistent', 'headers'])
  assert.equal(found.headers?.length, headers.length)
  const twice = canonical({
    headers: [
      ['reply-to', 'q'],
      ['x-reply-to-topic', 'k'],
      ['reply-to', 'r'],
    ],
  })
  assert.equal(twice.replyTo, 'q')
  assert.deepEqual(
    twice.headers?.map(({ name }) => name),
    ['x-reply-to-topic', 'reply-to'],
  )
})

test('what only Kafka has is a header of its own', () => {
  for (const key of [Buffer.of(0xff), Buffer.alloc(256, 'k')]) {
    assert.deepEqual(canonical({ key }).headers, [{ name: 'x-kafka-key', value: key }])
  }
  assert.deepEqual(canonical({ isNullValue: true }).headers, [
    { name: 'x-kafka-tombstone', value: true },
  ])
})

test('the broker asks for properties', () => {
  const headers: Headers = [
    ['correlation-id', 'c'],
    ['amqp-message-id', 'm'],
  ]
  const range = stored({ headers, timestampMs: 1_700_000_000_999 })
  assert.equal(KAFKA_FORM.property(...range, 'correlation-id'), 'c')
  assert.equal(KAFKA_FORM.property(...range, 'message-id'), 'm')
  assert.equal(KAFKA_FORM.property(...range, 'timestamp'), '1700000000')
  assert.equal(KAFKA_FORM.property(...stored({}), 'timestamp'), null)
  assert.equal(KAFKA_FORM.property(...stored({}), 'message-id'), null)
  assert.equal(KAFKA_FORM.extraKeys(...range), null)
  assert.equal(KAFKA_FORM.expiration(...range), null)
})

test('headers are set and removed, and nothing else changes', () => {
  const key = Buffer.from('k')
  const given: Given = {
    key,
    isNullValue: true,
    timestampMs: 5,
    headers: [
      ['a', '1'],
      ['b', Buffer.of(0xff)],
      ['a', '2'],
      ['c', null],
    ],
  }
  const [bytes, start, end] = stored(given)
  const edit = {
    set: new Map([
      ['b', 'x'],
      ['d', 'y'],
    ]),
    remove: ['a'],
  }
  const edited = KAFKA_FORM.edited!(bytes.subarray(start, end), edit)
  assert.deepEqual(readLoneRecord(edited, 0, edited.length), {
    timestampMs: 5,
    key,
    isNullValue: true,
    headers: [
      { key: 'c', value: null },
      { key: 'b', value: Buffer.from('x') },
      { key: 'd', value: Buffer.from('y') },
    ],
  })
  const fromNothing = KAFKA_FORM.edited!(Buffer.alloc(0), {
    set: new Map([['h', 'v']]),
    remove: [],
  })
  assert.deepEqual(KAFKA_FORM.headers(fromNothing, 0, fromNothing.length), new Map([['h', 'v']]))
})

// Stored bytes pass a checksum; still, no fault in them may read what is not theirs.
test('header bytes that are cut anywhere are refused', () => {
  const [bytes, start, end] = stored({ key: Buffer.from('key'), headers: [['a', 'value']] })
  for (let cut = start + 1; cut < end; cut += 1) {
    assert.throws(() => KAFKA_FORM.canonical(bytes, start, cut), `cut at ${cut - start}`)
  }
})
