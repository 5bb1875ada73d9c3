import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  encodeProperties,
  PACKET,
  type Properties,
  PublishView,
  publishSize,
  writePublishHead,
} from '../../codec/mqtt/index.ts'
import { type CanonicalProperties, NO_PROPERTIES } from '../../model/canonical-properties.ts'
import type { HeaderValue } from '../../model/header-value.ts'
import { foreignPropertiesOf, MQTT_FORM, mqttPropertiesOf } from './mapping.ts'

/** A header as it is stored, somewhere in a larger buffer. */
function stored(properties: Properties, flags = 0, publisher?: string): [Buffer, number, number] {
  const name = Buffer.from(publisher ?? '')
  const front =
    publisher === undefined ? Buffer.of(flags) : Buffer.of(flags | 8, 0, name.length, ...name)
  const header = Buffer.concat([front, encodeProperties(PACKET.PUBLISH, properties)])
  const pad = Buffer.alloc(7, 0xaa)
  return [Buffer.concat([pad, header, pad]), 7, 7 + header.length]
}

/** What a client would read: the octets go through the codec inside a PUBLISH. */
function read(properties: Buffer): Properties {
  const view = new PublishView()
  const out = {
    version: 5,
    dup: false,
    qos: 0,
    retain: false,
    packetId: 0,
    payloadBytes: 0,
  } as const
  const publish = { ...out, topic: Buffer.from('t'), properties }
  const bytes = Buffer.alloc(publishSize(publish))
  assert.equal(writePublishHead(bytes, 0, publish), bytes.length)
  let start = 1
  while (bytes[start]! >= 0x80) start++
  view.open(5, 0, { bytes, start: start + 1, end: bytes.length })
  return view.properties()
}

function written(given: Partial<CanonicalProperties>): { properties: Properties; lost: number } {
  const { properties, lost } = mqttPropertiesOf({ ...NO_PROPERTIES, ...given }, 5)
  return { properties: read(properties), lost }
}

function user(...userProperties: [string, string][]): Properties {
  return { userProperties }
}

test('the canonical view has what MQTT says of a message', () => {
  const rows: readonly (readonly [Properties, Partial<CanonicalProperties>])[] = [
    [{}, {}],
    [{ payloadFormatIndicator: 0 }, {}],
    [{ payloadFormatIndicator: 1 }, { isText: true }],
    [{ messageExpiryInterval: 60 }, { expirationMs: 60_000 }],
    [{ messageExpiryInterval: 0xffffffff }, { expirationMs: 4_294_967_295_000 }],
    [{ contentType: 'text/plain' }, { contentType: 'text/plain' }],
    [{ correlationData: Buffer.of(0, 255) }, { correlationId: Buffer.of(0, 255) }],
    [{ responseTopic: 'to/me.1' }, { replyToKey: 'to.me%2E1' }],
    [{ responseTopic: '$queue/answers/1' }, { replyTo: 'answers/1' }],
    [{ responseTopic: '$queue/' }, { replyToKey: '$queue.' }],
    [{ responseTopic: 'x'.repeat(300) }, { replyToKey: 'x'.repeat(300) }],
    [
      user(['b', '1'], ['a', ''], ['b', '2']),
      {
        headers: [
          { name: 'b', value: '1' },
          { name: 'a', value: '' },
          { name: 'b', value: '2' },
        ],
      },
    ],
  ]
  for (const [properties, expected] of rows) {
    for (const publisher of [undefined, '', 'client-1']) {
      const range = stored(properties, 0, publisher)
      assert.deepEqual(MQTT_FORM.canonical(...range), { ...NO_PROPERTIES, ...expected })
    }
  }
})

test('the view borrows nothing of the message', () => {
  const [bytes, start, end] = stored({ correlationData: Buffer.from('id'), ...user(['a', 'b']) })
  const canonical = MQTT_FORM.canonical(bytes, start, end)
  bytes.fill(0)
  assert.deepEqual(canonical.correlationId, Buffer.from('id'))
  assert.deepEqual(canonical.headers, [{ name: 'a', value: 'b' }])
})

test('QoS 1 and 2 are persistent, whatever the retain flag says', () => {
  for (const [flags, persistent] of [
    [0, false],
    [1, false],
    [2, true],
    [3, true],
    [4, true],
    [16, false],
  ] as const) {
    assert.equal(MQTT_FORM.canonical(...stored({}, flags)).persistent, persistent)
  }
  assert.deepEqual(MQTT_FORM.canonical(Buffer.alloc(0), 0, 0), NO_PROPERTIES)
})

test('the broker sees headers, correlation data and expiration of a stored message', () => {
  const range = stored(
    {
      correlationData: Buffer.from('c'),
      messageExpiryInterval: 2,
      ...user(['a', '1'], ['b', '2'], ['a', '3'], ['a', '4']),
    },
    2,
    'publisher',
  )
  assert.deepEqual(
    MQTT_FORM.headers(...range),
    new Map<string, unknown>([
      ['a', ['1', '3', '4']],
      ['b', '2'],
    ]),
  )
  assert.equal(MQTT_FORM.property(...range, 'correlation-id'), 'c')
  assert.equal(MQTT_FORM.property(...range, 'message-id'), null)
  assert.equal(MQTT_FORM.property(...range, 'timestamp'), null)
  assert.equal(MQTT_FORM.expiration(...range), '2000')
  assert.equal(MQTT_FORM.extraKeys(...range), null)
  const plain = stored({}, 2)
  assert.equal(MQTT_FORM.headers(...plain), null)
  assert.equal(MQTT_FORM.property(...plain, 'correlation-id'), null)
  assert.equal(MQTT_FORM.expiration(...plain), null)
})

test('an edit changes user properties and leaves all else', () => {
  const given = { messageExpiryInterval: 9, payloadFormatIndicator: 1, contentType: 'c' }
  const [bytes, start, end] = stored(
    { ...given, ...user(['a', '1'], ['b', '2'], ['a', '3']) },
    5,
    'me',
  )
  const edit = {
    set: new Map([
      ['b', 'new'],
      ['c', 'more'],
    ]),
    remove: ['a', 'nothing'],
  }
  const edited = MQTT_FORM.edited!(bytes.subarray(start, end), edit)
  assert.deepEqual([...edited.subarray(0, 5)], [13, 0, 2, 0x6d, 0x65])
  // The time to live stays first.
  assert.equal(edited[5], 2)
  assert.deepEqual(read(edited.subarray(5)), { ...given, ...user(['b', 'new'], ['c', 'more']) })
  assert.deepEqual(MQTT_FORM.edited!(Buffer.alloc(0), { set: new Map(), remove: [] }), Buffer.of(0))
})

test('each property has its place in a PUBLISH', () => {
  const rows: readonly (readonly [Partial<CanonicalProperties>, Properties])[] = [
    [{}, {}],
    [{ persistent: true }, {}],
    [{ isText: true }, { payloadFormatIndicator: 1 }],
    [{ contentType: 'text/plain' }, { contentType: 'text/plain' }],
    [{ correlationId: Buffer.of(0, 255) }, { correlationData: Buffer.of(0, 255) }],
    [{ replyTo: 'answers' }, { responseTopic: '$queue/answers' }],
    [{ replyToKey: 'to.me%2E1' }, { responseTopic: 'to/me.1' }],
    [{ expirationMs: 60_000 }, { messageExpiryInterval: 60 }],
    [{ expirationMs: 1 }, { messageExpiryInterval: 1 }],
    [{ expirationMs: 0 }, { messageExpiryInterval: 0 }],
    [{ expirationMs: Number.MAX_SAFE_INTEGER }, { messageExpiryInterval: 0xffffffff }],
    [{ contentEncoding: 'gzip' }, user(['amqp-content-encoding', 'gzip'])],
    [{ messageId: 'm' }, user(['amqp-message-id', 'm'])],
    [{ timestampMs: 1_700_000_000_000 }, user(['amqp-timestamp', '1700000000'])],
    [{ timestampMs: 1_700_000_000_250 }, user(['amqp-timestamp', '1700000000.25'])],
    [{ type: 't' }, user(['amqp-type', 't'])],
    [{ userId: 'u' }, user(['amqp-user-id', 'u'])],
    [{ appId: 'a' }, user(['amqp-app-id', 'a'])],
    [{ priority: 0 }, user(['amqp-priority', '0'])],
    // No topic can hold these: the name goes along, and who answers must look for it.
    [{ replyTo: 'a+#' }, user(['amqp-reply-to', 'a+#'])],
  ]
  for (const [given, expected] of rows) {
    const { properties, lost } = written(given)
    assert.deepEqual(properties, expected)
    assert.equal(lost, 0)
  }
})

test('a header becomes a user property as text', () => {
  const rows: readonly (readonly [HeaderValue, readonly [string, string][], number])[] = [
    ['text', [['h', 'text']], 0],
    ['', [['h', '']], 0],
    [true, [['h', 'true']], 0],
    [-1.5, [['h', '-1.5']], 0],
    [2n ** 60n, [['h', '1152921504606846976']], 0],
    [
      ['a', 1, false],
      [
        ['h', 'a'],
        ['h', '1'],
        ['h', 'false'],
      ],
      0,
    ],
    [null, [['h;json', 'null']], 1],
    [[], [['h;json', '[]']], 1],
    [['a', null], [['h;json', '["a",null]']], 1],
    [[['a']], [['h;json', '[["a"]]']], 1],
    [Buffer.of(0, 255), [['h;base64', 'AP8=']], 1],
    [[Buffer.of(0, 255), 2n ** 60n], [['h;json', '["AP8=","1152921504606846976"]']], 1],
    [new Map([['k', [1]]]), [['h;json', '{"k":[1]}']], 1],
    ['nul\0', [['h;json', '"nul\\u0000"']], 1],
    ['x'.repeat(65_535), [['h', 'x'.repeat(65_535)]], 0],
    ['x'.repeat(65_536), [], 1],
    [Buffer.alloc(65_536), [], 1],
  ]
  for (const [value, pairs, expectedLost] of rows) {
    const { properties, lost } = written({ headers: [{ name: 'h', value }] })
    assert.deepEqual(properties.userProperties ?? [], pairs)
    assert.equal(lost, expectedLost)
  }
})

test('order and repetition of headers stay', () => {
  const headers = [
    { name: 'b', value: '1' },
    { name: 'a', value: '2' },
    { name: 'b', value: '3' },
  ]
  assert.deepEqual(written({ headers }).properties, user(['b', '1'], ['a', '2'], ['b', '3']))
})

test('texts that MQTT cannot hold are marked', () => {
  const long = 'x'.repeat(65_536)
  assert.deepEqual(written({ contentType: 'a\0' }), {
    properties: user(['amqp-content-type;json', '"a\\u0000"']),
    lost: 1,
  })
  assert.deepEqual(written({ messageId: long }), { properties: {}, lost: 1 })
  assert.deepEqual(written({ correlationId: Buffer.alloc(65_536) }), { properties: {}, lost: 1 })
  const headers = [{ name: 'a\0', value: 'b' }]
  assert.deepEqual(written({ headers }), { properties: {}, lost: 1 })
  assert.deepEqual(written({ replyTo: 'a\0' }), {
    properties: user(['amqp-reply-to;json', '"a\\u0000"']),
    lost: 1,
  })
})

test('the time to live stands first, so that what is left can take its place', () => {
  const canonical = { ...NO_PROPERTIES, isText: true, expirationMs: 1500 }
  const { properties } = mqttPropertiesOf(canonical, 5)
  assert.deepEqual(properties.subarray(0, 5), Buffer.of(2, 0, 0, 0, 2))
})

test('before MQTT 5 all of it is lost, and counted', () => {
  const canonical: CanonicalProperties = {
    ...NO_PROPERTIES,
    contentType: 'c',
    messageId: 'm',
    expirationMs: 5,
    persistent: true,
    headers: [
      { name: 'a', value: ['1', '2'] },
      { name: 'b', value: null },
      { name: 'c', value: 'x'.repeat(65_536) },
    ],
  }
  for (const version of [3, 4] as const) {
    assert.deepEqual(mqttPropertiesOf(canonical, version), { properties: Buffer.alloc(0), lost: 6 })
    assert.equal(mqttPropertiesOf(NO_PROPERTIES, version).lost, 0)
  }
})

test('a form that is unknown or cannot read its bytes leaves a mark', () => {
  const bytes = { header: Buffer.of(0, 1), start: 0, end: 2 }
  const marks = [foreignPropertiesOf(undefined, bytes, 5), foreignPropertiesOf(MQTT_FORM, bytes, 5)]
  const names = marks.map(({ properties, lost }) => [read(properties), lost])
  assert.deepEqual(names, [
    [user(['unknown-form', 'none']), 1],
    [user(['unknown-form', 'mqtt']), 1],
  ])
  assert.deepEqual(foreignPropertiesOf(undefined, bytes, 4), {
    properties: Buffer.alloc(0),
    lost: 1,
  })
  const [header, start, end] = stored({ contentType: 'c' })
  const { properties } = foreignPropertiesOf(MQTT_FORM, { header, start, end }, 5)
  assert.deepEqual(read(properties), { contentType: 'c' })
})

const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('\0'))
const values: fc.Arbitrary<HeaderValue> = fc.letrec<{ value: HeaderValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    text,
    fc.double(),
    fc.bigInt(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 8 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .dictionary(text, tie('value'), { maxKeys: 3 })
      .map((entries) => new Map(Object.entries(entries))),
  ),
})).value
const maybeText = fc.option(text)

// Other protocols hold what MQTT does not: nothing of it may make a packet that no client takes.
test('whatever the properties are, a client can read them', () => {
  const properties = fc.record({
    contentType: maybeText,
    contentEncoding: maybeText,
    correlationId: fc.option(fc.uint8Array({ maxLength: 8 }).map((octets) => Buffer.from(octets))),
    replyTo: maybeText,
    messageId: maybeText,
    timestampMs: fc.option(fc.double()),
    expirationMs: fc.option(fc.double()),
    priority: fc.option(fc.nat(255)),
    headers: fc.array(fc.record({ name: text, value: values }), { maxLength: 5 }),
  })
  fc.assert(
    fc.property(properties, (given) => {
      const { properties: found } = written(given)
      assert.ok(found.userProperties === undefined || found.userProperties.length > 0)
    }),
    { numRuns: 500 },
  )
})
