import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageValues } from '../../../test/support/kafka-arbitraries.ts'
import { decodeMessage, encodeMessage } from '../../../test/support/kafka-wire.ts'
import type { WireStruct } from '../../../test/support/kafka-wire.ts'
import { includes, readMessage } from '../../../tools/kafka-schemas.ts'
import type { Message } from '../../../tools/kafka-schemas.ts'
import { API_KEY, API_VERSIONS } from './api-keys.gen.ts'
import { API_CODECS } from './apis.gen.ts'
import type { ApiName } from './apis.gen.ts'
import { KafkaReader } from './kafka-reader.ts'
import { KafkaWriter } from './kafka-writer.ts'
import { KafkaMessageError } from './message-error.ts'
import { readConsumerProtocolAssignment } from './messages/consumer-protocol-assignment.gen.ts'
import { readConsumerProtocolSubscription } from './messages/consumer-protocol-subscription.gen.ts'

type Read = (reader: KafkaReader, version: number) => unknown
type Write = (writer: KafkaWriter, version: number, value: WireStruct) => void

const RUNS = 4

/** Every message a client sends, and what reads it. */
const READERS: readonly (readonly [Message, Read])[] = [
  ...apiNames().map((name) => [readMessage(`${name}Request`), API_CODECS[name].read] as const),
  [readMessage('ConsumerProtocolSubscription'), readConsumerProtocolSubscription],
  [readMessage('ConsumerProtocolAssignment'), readConsumerProtocolAssignment],
]

/** Every message a broker sends, and what writes it. */
const WRITERS = apiNames().map(
  (name) => [readMessage(`${name}Response`), API_CODECS[name].write as unknown as Write] as const,
)

function apiNames(): ApiName[] {
  return Object.keys(API_CODECS) as ApiName[]
}

function versionsOf({ valid }: Message): number[] {
  return Array.from({ length: valid.to - valid.from + 1 }, (_, index) => valid.from + index)
}

function each<T>(
  list: readonly (readonly [Message, T])[],
  run: (m: Message, v: number, t: T) => void,
) {
  for (const [message, codec] of list) {
    for (const version of versionsOf(message)) run(message, version, codec)
  }
}

/** A copy that starts at any place of a larger buffer. */
function placed(bytes: Buffer, offset: number): Buffer {
  const pool = Buffer.alloc(offset + bytes.length + 9, 0xaa)
  bytes.copy(pool, offset)
  return pool.subarray(offset, offset + bytes.length)
}

function read(codec: Read, version: number, bytes: Buffer): unknown {
  const reader = new KafkaReader().open(bytes, 0, bytes.length)
  const value = codec(reader, version)
  reader.finish()
  return value
}

// A client may send any value in any version, and a pooled buffer may start anywhere.
test('what the schema writes, the generated readers read', () => {
  each(READERS, (message, version, codec) => {
    fc.assert(
      fc.property(messageValues(message, version), fc.nat(9), (value, offset) => {
        const bytes = placed(encodeMessage(message, version, value), offset)
        assert.deepEqual(read(codec, version, bytes), value, `${message.name} v${version}`)
      }),
      { numRuns: RUNS },
    )
  })
})

test('what the generated writers write, the schema reads', () => {
  const writer = new KafkaWriter(1)
  each(WRITERS, (message, version, codec) => {
    fc.assert(
      fc.property(messageValues(message, version), (value) => {
        writer.start()
        codec(writer, version, withRecords(value))
        const decoded = decodeMessage(message, version, writer.bytes())
        assert.deepEqual(decoded, value, `${message.name} v${version}`)
      }),
      { numRuns: RUNS },
    )
  })
})

/** Record batches go out as pieces; here two of each. */
function withRecords(value: WireStruct): WireStruct {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (name === 'records' && Buffer.isBuffer(field)) {
        const half = field.length >> 1
        const chunks = [field.subarray(0, half), field.subarray(half)]
        return [name, { size: field.length, chunks }]
      }
      if (!Array.isArray(field) || typeof field[0] !== 'object') return [name, field]
      return [name, (field as WireStruct[]).map((one) => withRecords(one))]
    }),
  )
}

// A newer client may send tagged fields that nobody here knows.
test('unknown tagged fields are passed over', () => {
  each(READERS, (message, version, codec) => {
    if (!includes(message.flexible, version)) return
    fc.assert(
      fc.property(messageValues(message, version), (value) => {
        const bytes = encodeMessage(message, version, value, { unknownTags: true })
        assert.deepEqual(read(codec, version, bytes), value, `${message.name} v${version}`)
      }),
      { numRuns: RUNS },
    )
  })
})

// A peer may send a message of any length, whatever its fields say.
test('a message cut anywhere is refused', () => {
  each(READERS, (message, version, codec) => {
    fc.assert(
      fc.property(messageValues(message, version), fc.nat(), (value, seed) => {
        const bytes = encodeMessage(message, version, value)
        if (bytes.length === 0) return
        const cut = bytes.subarray(0, seed % bytes.length)
        assert.throws(() => read(codec, version, cut), KafkaMessageError, `${message.name}`)
      }),
      { numRuns: RUNS },
    )
  })
})

// A peer may send any octets at all.
test('octets at random give a value or are refused, and never anything else', () => {
  each(READERS, (message, version, codec) => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
        try {
          read(codec, version, Buffer.from(octets))
        } catch (error) {
          assert.ok(error instanceof KafkaMessageError, `${message.name} v${version}`)
        }
      }),
      { numRuns: RUNS * 4 },
    )
  })
})

test('octets behind a message are refused', () => {
  const bytes = Buffer.concat([encodeMessage(readMessage('HeartbeatRequest'), 0, {}), Buffer.of(0)])
  assert.throws(() => read(API_CODECS.Heartbeat.read, 0, bytes), /1 octets behind/)
})

test('every version that is served can be read and answered', () => {
  for (const name of apiNames()) {
    const served = API_VERSIONS[name]
    const request = readMessage(`${name}Request`)
    const response = readMessage(`${name}Response`)
    assert.equal(served.key, request.apiKey)
    assert.ok(Object.values<number>(API_KEY).includes(served.key))
    for (const version of [served.versionMin, served.versionMax]) {
      assert.ok(includes(request.valid, version), `${name} v${version}`)
      assert.ok(includes(response.valid, version), `${name} v${version}`)
    }
    assert.ok(served.advertisedMin <= served.versionMin)
    assert.equal(served.flexibleFrom, request.flexible?.from ?? Infinity)
  }
})

test('fields may be left out where their empty value says enough', () => {
  const writer = new KafkaWriter().start()
  API_CODECS.ApiVersions.write(writer, 3, {
    apiKeys: [{ apiKey: 1, minVersion: 2, maxVersion: 3 }],
  })
  assert.equal(
    writer.bytes().toString('hex'),
    '0000' + '02' + '000100020003' + '00' + '00000000' + '00',
  )
})
