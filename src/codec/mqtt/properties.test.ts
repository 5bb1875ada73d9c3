import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  MQTT_TABLES,
  propertyBytes,
  type PropertyRow,
  type PropertyValue,
} from '../../../test/support/mqtt-properties.ts'
import { FieldReader } from './field-reader.ts'
import { MqttPacketError } from './packet-error.ts'
import { encodeProperties, PropertyScan, readProperties } from './properties.ts'
import { PACKET, PROPERTIES, WILL, type Properties } from './spec.ts'

/** Our scopes by the names of the fact table. */
const SCOPES = new Map<string, number>([...Object.entries(PACKET), ['WILL', WILL]])
const FROM_CLIENTS = ['CONNECT', 'WILL', 'PUBLISH', 'PUBACK', 'SUBSCRIBE', 'DISCONNECT'] as const

/** `PayloadFormatIndicator` of the table is `payloadFormatIndicator` here. */
function ourName({ name }: PropertyRow): string {
  const own: Readonly<Record<string, string>> = {
    SubscriptionIdentifier: 'subscriptionIdentifiers',
    UserProperty: 'userProperties',
    MaximumQoS: 'maximumQos',
  }
  return own[name] ?? name[0]!.toLowerCase() + name.slice(1)
}

test('the table of properties is that of the standard', () => {
  assert.equal(
    PROPERTIES.filter((spec) => spec !== undefined).length,
    MQTT_TABLES.properties.length,
  )
  for (const row of MQTT_TABLES.properties) {
    const spec = PROPERTIES[row.id]!
    assert.equal(spec.name, ourName(row))
    assert.equal(spec.kind, row.type)
    const scopes = row.packets.reduce((bits, packet) => bits | (1 << SCOPES.get(packet)!), 0)
    assert.equal(spec.scopes, scopes, row.name)
    if (row.max !== undefined) assert.equal(spec.max, row.max, row.name)
  }
})

const text = fc.string({ unit: 'grapheme', maxLength: 8 }).map((one) => one.replaceAll('\0', ''))

function valueOf(row: PropertyRow): fc.Arbitrary<PropertyValue> {
  const { min, max } = PROPERTIES[row.id]!
  switch (row.type) {
    case 'utf8':
      return row.name === 'ResponseTopic' ? fc.constantFrom('a', 'b/c', 'é') : text
    case 'utf8-pair':
      return fc.tuple(text, text)
    case 'binary':
      return fc.uint8Array({ maxLength: 12 }).map((octets) => Buffer.from(octets))
    default:
      return fc.integer({ min, max })
  }
}

interface Listed {
  readonly packet: string
  readonly list: readonly (readonly [PropertyRow, PropertyValue])[]
}

/** Properties of one packet in any order; user properties several times. */
const listed: fc.Arbitrary<Listed> = fc.constantFrom(...FROM_CLIENTS).chain((packet) => {
  const rows = MQTT_TABLES.properties.filter(({ packets, name }) => {
    // A client sends no identifier in PUBLISH, and data only with a method.
    const isOdd = name === 'SubscriptionIdentifier' && packet === 'PUBLISH'
    return packets.includes(packet) && !isOdd && !name.startsWith('Authentication')
  })
  const one = fc.constantFrom(...rows).chain((row) => fc.tuple(fc.constant(row), valueOf(row)))
  const unique = fc.uniqueArray(one, { selector: ([row]) => row.id, maxLength: 8 })
  const users = rows.filter(({ repeatable }) => repeatable)
  const more = fc.array(
    fc.constantFrom(...users).chain((row) => fc.tuple(fc.constant(row), valueOf(row))),
    { maxLength: 3 },
  )
  return fc.record({
    packet: fc.constant(packet),
    list: fc.tuple(unique, more).map(([a, b]) => [...a, ...b]),
  })
})

function wireOf({ list }: Listed): Buffer {
  return propertyBytes(list.map(([row, value]) => [row.name, value]))
}

function meant({ list }: Listed): Properties {
  const found: Record<string, unknown> = {}
  for (const [row, value] of list) {
    const name = ourName(row)
    const isList = row.repeatable || row.name === 'SubscriptionIdentifier'
    const before = (found[name] ?? []) as unknown[]
    found[name] = isList ? [...before, value] : value
  }
  return found
}

function readAll(wire: Buffer, packet: string): Properties {
  const reader = new FieldReader()
  reader.open(wire, 0, wire.length)
  const properties = readProperties(reader, new PropertyScan(), SCOPES.get(packet)!)
  assert.equal(reader.left, 0)
  assert.equal(reader.end, wire.length)
  return properties
}

test('properties come out as they went in, in any order, and go out again the same', () => {
  fc.assert(
    fc.property(listed, (one) => {
      const properties = readAll(wireOf(one), one.packet)
      assert.deepEqual(properties, meant(one))
      const octets = encodeProperties(SCOPES.get(one.packet)!, properties)
      const again = Buffer.concat([propertyBytes([]), octets])
      // The length in front is one octet as long as there are fewer than 128 behind it.
      if (octets.length > 127) return
      again[0] = octets.length
      assert.deepEqual(readAll(again, one.packet), properties)
    }),
    { numRuns: 1000 },
  )
})

// A stranger's length may end anywhere; what is behind it must not be read as a property.
test('properties that are cut are malformed, wherever the cut is', () => {
  fc.assert(
    fc.property(listed, fc.nat(), (one, where) => {
      const wire = wireOf(one)
      if (wire.length < 2) return
      const cut = wire.subarray(0, 1 + (where % (wire.length - 1)))
      assert.throws(() => readAll(cut, one.packet), { name: 'MqttPacketError', reasonCode: 0x81 })
      // The same with a length that fits what is left.
      const short = Buffer.from(cut)
      if (short.length > 128) return
      short[0] = short.length - 1
      try {
        readAll(short, one.packet)
      } catch (error) {
        assert.ok(error instanceof MqttPacketError, String(error))
      }
    }),
    { numRuns: 500 },
  )
})

test('what may stand once stands once, and only where it has a place', () => {
  for (const row of MQTT_TABLES.properties) {
    if (row.name.startsWith('Authentication')) continue
    const [value] = fc.sample(valueOf(row), { numRuns: 1, seed: 1 })
    for (const packet of FROM_CLIENTS) {
      const twice = propertyBytes([
        [row.name, value!],
        [row.name, value!],
      ])
      const isOdd = row.name === 'SubscriptionIdentifier' && packet === 'PUBLISH'
      const once = (): Properties => readAll(propertyBytes([[row.name, value!]]), packet)
      if (!row.packets.includes(packet)) assert.throws(once, { reasonCode: 0x81 })
      else if (isOdd) assert.throws(once, { reasonCode: 0x82 })
      else {
        once()
        const both = (): Properties => readAll(twice, packet)
        if (row.repeatable) both()
        else assert.throws(both, { reasonCode: 0x82 }, `${row.name} twice in ${packet}`)
      }
    }
  }
})

test('what a server must not send is refused before it is written', () => {
  assert.throws(() => encodeProperties(PACKET.PUBACK, { topicAlias: 1 }), RangeError)
  assert.throws(() => encodeProperties(PACKET.PUBLISH, { topicAlias: 0 }), RangeError)
  assert.throws(() => encodeProperties(PACKET.CONNACK, { receiveMaximum: 65_536 }), RangeError)
  const contentType = 'x'.repeat(65_536)
  assert.throws(() => encodeProperties(PACKET.PUBLISH, { contentType }), RangeError)
})
