/** Properties on their way from MQTT to AMQP 0-9-1 and back: docs/crossing.md, row by row. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type BasicProperties,
  decodeContentHeader,
  encodeContentHeader,
  type FieldValue,
} from '../../../src/codec/amqp091/index.ts'
import {
  encodeProperties,
  PACKET,
  type Properties,
  PublishView,
} from '../../../src/codec/mqtt/index.ts'
import { NATIVE_FORM } from '../../../src/model/native-form.ts'
import { foreignHeader } from '../../../src/protocols/amqp091/foreign-header.ts'
import { AMQP091_FORM } from '../../../src/protocols/amqp091/mapping.ts'
import { foreignPropertiesOf, MQTT_FORM } from '../../../src/protocols/mqtt/mapping.ts'

const FRAME_BYTES = 131_064

function toAmqp(properties: Properties, qos = 0): BasicProperties {
  const data = Buffer.concat([Buffer.of(qos << 1), encodeProperties(PACKET.PUBLISH, properties)])
  const { payload } = foreignHeader(
    MQTT_FORM,
    { data, headerStart: 0, headerEnd: data.length, form: NATIVE_FORM.MQTT, persistent: qos > 0 },
    { bodySize: 0, payloadBytesMax: FRAME_BYTES },
  )
  return decodeContentHeader(payload).properties
}

function toMqtt(properties: BasicProperties): { properties: Properties; lost: number } {
  const header = encodeContentHeader(0, properties)
  const found = foreignPropertiesOf(AMQP091_FORM, { header, start: 0, end: header.length }, 5)
  const view = new PublishView()
  view.bytes = found.properties
  view.propertiesEnd = found.properties.length
  return { properties: view.properties(), lost: found.lost }
}

test('a message of MQTT 5 as an AMQP client sees it', () => {
  const seen = toAmqp(
    {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 30,
      contentType: 'application/json',
      responseTopic: 'answers/to.me',
      correlationData: Buffer.from('42'),
      userProperties: [
        ['trace', 'a'],
        ['tenant', 'acme'],
        ['trace', 'b'],
      ],
    },
    1,
  )
  assert.deepEqual(seen, {
    deliveryMode: 2,
    contentType: 'application/json',
    correlationId: '42',
    replyTo: 'answers.to%2Eme',
    expiration: '30000',
    headers: new Map<string, FieldValue>([
      ['trace', ['a', 'b']],
      ['tenant', 'acme'],
      ['x-reply-to-topic', 'answers.to%2Eme'],
      ['x-payload-format', 'utf-8'],
    ]),
  })
})

test('a message without properties has the delivery mode of its QoS', () => {
  for (const qos of [0, 1, 2]) assert.deepEqual(toAmqp({}, qos), { deliveryMode: qos > 0 ? 2 : 1 })
})

test('an AMQP message as a client of MQTT 5 sees it', () => {
  const { properties, lost } = toMqtt({
    contentType: 'application/json',
    contentEncoding: 'gzip',
    deliveryMode: 2,
    priority: 4,
    correlationId: '42',
    replyTo: 'amq.rabbitmq.reply-to.x.y',
    expiration: '2500',
    messageId: 'm-1',
    timestamp: 1_700_000_000,
    type: 'order',
    userId: 'guest',
    appId: 'shop',
    headers: new Map<string, FieldValue>([
      ['n', { type: 'short', value: 5 }],
      ['keys', ['a', 'b']],
      ['deep', new Map<string, FieldValue>([['k', null]])],
    ]),
  })
  assert.deepEqual(properties, {
    messageExpiryInterval: 3,
    contentType: 'application/json',
    responseTopic: '$queue/amq.rabbitmq.reply-to.x.y',
    correlationData: Buffer.from('42'),
    userProperties: [
      ['amqp-content-encoding', 'gzip'],
      ['amqp-message-id', 'm-1'],
      ['amqp-timestamp', '1700000000'],
      ['amqp-type', 'order'],
      ['amqp-user-id', 'guest'],
      ['amqp-app-id', 'shop'],
      ['amqp-priority', '4'],
      ['n', '5'],
      ['keys', 'a'],
      ['keys', 'b'],
      ['deep;json', '{"k":null}'],
    ],
  })
  assert.equal(lost, 1)
})

const text = fc
  .string({ unit: 'grapheme', maxLength: 6 })
  .map((found) => found.replaceAll('\0', ''))
const topic = text.filter((found) => found !== '' && !/[+#]/.test(found))
const mine = new Set(['x-reply-to-topic', 'x-payload-format', 'x-correlation-id'])
const pairs = fc
  .array(
    fc.tuple(
      text.filter((name) => !mine.has(name)),
      text,
    ),
    { minLength: 1, maxLength: 6 },
  )
  // An AMQP table has one place for all values of a name.
  .map((list) => list.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
const published = fc.record(
  {
    payloadFormatIndicator: fc.constant(1),
    messageExpiryInterval: fc.nat(0xffffffff),
    contentType: text,
    responseTopic: fc.oneof(
      topic,
      topic.map((name) => `$queue/${name}`),
    ),
    correlationData: fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
    userProperties: pairs,
  },
  { requiredKeys: [], noNullPrototype: true },
)

// A shovel reads with one protocol and writes with the same: MQTT on both ends must not notice.
test('what goes through an AMQP client comes back to MQTT as it was', () => {
  fc.assert(
    fc.property(published, (properties) => {
      const back = toMqtt(toAmqp(properties))
      assert.deepEqual(back, { properties, lost: 0 })
    }),
    { numRuns: 500 },
  )
})
