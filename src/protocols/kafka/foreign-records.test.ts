import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StoredMessage } from '../../broker/index.ts'
import { encodeAnnotations } from '../../broker/annotations.ts'
import { messageRecordBytes, writeMessageRecord } from '../../broker/record.ts'
import { Piece } from '../../broker/topics/piece.ts'
import type { RecordInput } from '../../codec/kafka/record-batch-writer.ts'
import { RecordBatchView, RecordCursor } from '../../codec/kafka/record-batch.ts'
import { encodeRecordHeaders } from '../../codec/kafka/record-headers.ts'
import { encodeAddress } from '../../model/address.ts'
import { type CanonicalProperties, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { MessageDraft } from '../../model/message-draft.ts'
import { NATIVE_FORM, type NativeForm } from '../../model/native-form.ts'
import { crc32c } from './crc32c.ts'
import { type Forms, recordOf, recordsOfMessages } from './foreign-records.ts'
import { KAFKA_FORM } from './mapping.ts'
import { encodeLoneRecord } from './record-header.ts'

const STORED_MS = 1_800_000_000_000
const FOREIGN = 99

interface Given {
  readonly exchange?: string
  readonly key?: string
  readonly form?: number
  readonly header?: Buffer
  readonly body?: string
  readonly annotations?: Buffer
}

function messageBytes(given: Given): Buffer {
  const draft = new MessageDraft()
  draft.form = given.form ?? FOREIGN
  const address = encodeAddress(given.exchange ?? 'x', given.key ?? 'a.b')
  const header = given.header ?? Buffer.alloc(0)
  const body = Buffer.from(given.body ?? 'body')
  draft.setAddress(address, 0, address.length)
  draft.setHeader(header, 0, header.length)
  draft.setBody(body, 0, body.length)
  draft.annotations = given.annotations ?? null
  const times = { expiresAtMs: 0, dueAtMs: 0 }
  const size = messageRecordBytes(draft, 0, times)
  const bytes = Buffer.alloc(5 + size, 0xaa)
  writeMessageRecord(bytes, 5, size, draft, [], times)
  return bytes
}

/** Forms of a broker where the foreign one says of every message what is given. */
function formsOf(canonical: Partial<CanonicalProperties> | null): Forms {
  const foreign: Partial<NativeForm> = {
    id: FOREIGN,
    name: 'foreign',
    canonical: () => {
      if (canonical === null) throw new Error('nobody can read this')
      return { ...NO_PROPERTIES, ...canonical }
    },
  }
  return {
    form: (id) =>
      id === NATIVE_FORM.KAFKA ? KAFKA_FORM : id === FOREIGN ? (foreign as NativeForm) : undefined,
  }
}

function record(given: Given, canonical: Partial<CanonicalProperties> | null = {}): RecordInput {
  const view = new StoredMessage()
  view.set(messageBytes(given), 5, STORED_MS)
  return recordOf(formsOf(canonical), view, 0)
}

function headers(canonical: Partial<CanonicalProperties>): (string | null)[][] {
  return record({}, canonical).headers.map(({ key, value }) => [
    key,
    value === null ? null : Buffer.from(value).toString('latin1'),
  ])
}

test('key, value and time of a message of another protocol', () => {
  const found = record({})
  assert.deepEqual(found.key, Buffer.from('a.b'))
  assert.deepEqual(found.value, Buffer.from('body'))
  assert.equal(found.timestampMs, STORED_MS)
  assert.deepEqual(found.headers, [])
  assert.equal(record({}, { timestampMs: 5 }).timestampMs, 5)
  assert.equal(record({ exchange: '', key: 'orders' }).key, null)
  assert.equal(record({ key: '' }).key, null)
  assert.deepEqual(record({ body: '' }).value, Buffer.alloc(0))
})

test('properties become headers', () => {
  const rows: readonly (readonly [Partial<CanonicalProperties>, string, string])[] = [
    [{ contentType: 'a/b' }, 'content-type', 'a/b'],
    [{ contentEncoding: 'gzip' }, 'amqp-content-encoding', 'gzip'],
    [{ correlationId: Buffer.of(0, 255) }, 'correlation-id', '\0\u00ff'],
    [{ replyTo: 'q' }, 'reply-to', 'q'],
    [{ replyToKey: 'to.me' }, 'x-reply-to-topic', 'to.me'],
    [{ messageId: 'm' }, 'amqp-message-id', 'm'],
    [{ type: 't' }, 'amqp-type', 't'],
    [{ userId: 'u' }, 'amqp-user-id', 'u'],
    [{ appId: 'a' }, 'amqp-app-id', 'a'],
    [{ priority: 9 }, 'amqp-priority', '9'],
    [{ expirationMs: 60_000 }, 'amqp-expiration', '60000'],
    [{ isText: true }, 'x-payload-format', 'utf-8'],
  ]
  for (const [given, name, value] of rows) assert.deepEqual(headers(given), [[name, value]])
})

test('headers of every type', () => {
  const rows: readonly (readonly [HeaderValue, (string | null)[][]])[] = [
    ['x', [['h', 'x']]],
    [5, [['h', '5']]],
    [2n ** 62n, [['h', '4611686018427387904']]],
    [true, [['h', 'true']]],
    [null, [['h', null]]],
    [Buffer.of(1, 255), [['h', '\u0001\u00ff']]],
    [
      ['x', 1],
      [
        ['h', 'x'],
        ['h', '1'],
      ],
    ],
    [[], [['h;json', '[]']]],
    [['x', ['y']], [['h;json', '["x",["y"]]']]],
    [new Map<string, HeaderValue>([['a', Buffer.of(255)]]), [['h;json', '{"a":"/w=="}']]],
  ]
  for (const [value, expected] of rows) {
    assert.deepEqual(headers({ headers: [{ name: 'h', value }] }), expected)
  }
  const several = [
    { name: 'b', value: '1' },
    { name: 'a', value: '2' },
    { name: 'b', value: '3' },
  ]
  assert.deepEqual(headers({ headers: several }), [
    ['b', '1'],
    ['a', '2'],
    ['b', '3'],
  ])
})

test('key and tombstone that came from Kafka go back', () => {
  const key = Buffer.of(255, 0)
  const carried = [
    { name: 'x-kafka-key', value: key },
    { name: 'x-kafka-tombstone', value: true },
  ]
  const found = record({ body: '', key: '' }, { headers: carried })
  assert.deepEqual(found.key, key)
  assert.equal(found.value, null)
  assert.deepEqual(found.headers, [])
  // Somebody gave it a body since.
  assert.deepEqual(record({}, { headers: carried }).value, Buffer.from('body'))
})

test('a record of Kafka that came by another topic is the same record', () => {
  const list = [
    { key: 'content-type', value: Buffer.from('a/b') },
    { key: 'n', value: null },
  ]
  const key = Buffer.of(255)
  const header = encodeLoneRecord({
    timestampMs: 77,
    key,
    isNullValue: true,
    headers: encodeRecordHeaders(list),
  })
  const found = record({ form: NATIVE_FORM.KAFKA, header, body: '', key: '' })
  assert.deepEqual(found, { offsetDelta: 0, timestampMs: 77, key, value: null, headers: list })
  const bare = record({ form: NATIVE_FORM.KAFKA })
  assert.equal(bare.timestampMs, STORED_MS)
})

test('a message that nobody can read is its body', () => {
  for (const [given, name] of [
    [{ form: 55 }, 'none'],
    [{}, 'foreign'],
  ] as const) {
    const found = record(given, null)
    assert.deepEqual(found.headers, [{ key: 'unknown-form', value: Buffer.from(name) }])
    assert.deepEqual(found.value, Buffer.from('body'))
    assert.deepEqual(found.key, Buffer.from('a.b'))
  }
})

test('a dead letter says where it died', () => {
  const origin = { queue: 'q', reason: 'rejected', exchange: 'e' } as const
  const death = {
    ...origin,
    attempts: 3,
    count: 2,
    timeMs: 5_999,
    routingKeys: ['k'],
    originalExpiration: null,
  }
  const annotations = encodeAnnotations({
    deaths: [death],
    firstDeath: { ...origin, error: 'one' },
    lastDeath: { ...origin, error: 'two' },
    delayedMs: 0,
  })
  const found = record({ annotations }).headers.map(({ key, value }) => [key, value?.toString()])
  assert.deepEqual(found, [
    [
      'x-death',
      '[{"count":2,"reason":"rejected","queue":"q","time":5,"exchange":"e","routing-keys":["k"]}]',
    ],
    ['x-first-death-exchange', 'e'],
    ['x-first-death-queue', 'q'],
    ['x-first-death-reason', 'rejected'],
    ['x-first-death-error', 'one'],
    ['x-last-death-exchange', 'e'],
    ['x-last-death-queue', 'q'],
    ['x-last-death-reason', 'rejected'],
    ['x-last-death-error', 'two'],
    ['x-last-death-attempts', '3'],
  ])
})

test('messages become one batch at their offsets, the same each time', () => {
  const pieces = [10, 11, 14].map((baseOffset, index) => {
    const data = messageBytes({ body: `body ${baseOffset}` })
    const facts = { kind: 'message', form: FOREIGN, timestampMs: STORED_MS + index } as const
    return new Piece(
      { data, start: 5, end: data.length },
      { ...facts, baseOffset, nextOffset: baseOffset + 1 },
    )
  })
  const batch = recordsOfMessages(formsOf({}), pieces, { from: 1, to: 3 })
  const view = new RecordBatchView().open(batch, 0)
  assert.equal(view.baseOffset, 11)
  assert.equal(view.lastOffsetDelta, 3)
  assert.equal(view.recordCount, 2)
  assert.equal(view.maxTimestampMs, STORED_MS + 2)
  assert.equal(view.crc, crc32c(batch.subarray(21)))
  const window = { start: view.recordsStart, end: batch.length }
  const cursor = new RecordCursor().open(batch, window, 2)
  const bodies: string[] = []
  while (cursor.next()) bodies.push(batch.toString('utf8', cursor.valueStart, cursor.valueEnd))
  assert.deepEqual(bodies, ['body 11', 'body 14'])
  assert.deepEqual(recordsOfMessages(formsOf({}), pieces, { from: 1, to: 3 }), batch)
})
