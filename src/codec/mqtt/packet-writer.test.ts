import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Packet, parser as libraryParser } from 'mqtt-packet'
import { publishes } from '../../../test/support/mqtt-arbitraries.ts'
import type { AckType } from './packet-parser.ts'
import {
  encodeAck,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodeSuback,
  encodeUnsuback,
  PINGRESP,
  publishSize,
  writeAck,
  writeAckReason,
  writePublishHead,
} from './packet-writer.ts'
import { encodeProperties } from './properties.ts'
import { PACKET, type Properties, type Version } from './spec.ts'

/** The one packet that mqtt-packet reads in these bytes. */
function read(bytes: Buffer, protocolVersion: Version): Packet {
  const packets: Packet[] = []
  const reader = libraryParser({ protocolVersion } as never)
  reader.on('packet', (packet) => packets.push(packet))
  reader.on('error', (error) => {
    throw error
  })
  assert.equal(reader.parse(bytes), 0, 'octets are left')
  assert.equal(packets.length, 1)
  return packets[0]!
}

const ids = fc.integer({ min: 1, max: 65_535 })
const versions = fc.constantFrom<Version[]>(4, 5)
const reasonString = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll('\0', ''))
const ackTypes = fc.constantFrom<AckType[]>(4, 5, 6, 7)
const NAMES = ['puback', 'pubrec', 'pubrel', 'pubcomp'] as const

test('mqtt-packet reads the PUBLISH that was written, wherever in a buffer it went', () => {
  fc.assert(
    fc.property(publishes, versions, fc.nat(40), (packet, version, at) => {
      if (packet.cmd !== 'publish') return
      const { topic, qos, dup, retain, messageId, payload, properties = {} } = packet
      const { userProperties = {}, payloadFormatIndicator, ...rest } = properties
      const ours = {
        ...rest,
        ...(payloadFormatIndicator === undefined
          ? {}
          : { payloadFormatIndicator: Number(payloadFormatIndicator) }),
        userProperties: Object.entries(userProperties) as [string, string][],
      } as Properties
      const out = {
        ...{ version, dup, qos, retain, packetId: messageId!, topic: Buffer.from(topic) },
        properties: encodeProperties(PACKET.PUBLISH, ours),
        payloadBytes: payload.length,
      }
      const size = publishSize(out)
      const target = Buffer.alloc(at + size + 5, 0xee)
      const bodyAt = writePublishHead(target, at, out)
      Buffer.from(payload).copy(target, bodyAt)
      assert.equal(bodyAt + payload.length, at + size)
      assert.ok(target.subarray(0, at).every((octet) => octet === 0xee))
      assert.ok(target.subarray(at + size).every((octet) => octet === 0xee))
      const seen = read(target.subarray(at, at + size), version)
      assert.ok(seen.cmd === 'publish')
      assert.deepEqual(
        [seen.topic, seen.qos, seen.dup, seen.retain, seen.messageId, seen.payload],
        [topic, qos, dup, retain, qos === 0 ? undefined : messageId, payload],
      )
      const seenProperties = JSON.parse(JSON.stringify(seen.properties ?? {})) as object
      const wanted = version === 5 ? properties : {}
      assert.deepEqual(seenProperties, JSON.parse(JSON.stringify(wanted)))
    }),
    { numRuns: 500 },
  )
})

test('acknowledgements, with and without a reason', () => {
  fc.assert(
    fc.property(ackTypes, ids, reasonString, (type, packetId, text) => {
      const cmd = NAMES[type - 4]!
      const target = Buffer.alloc(8)
      const plain = read(target.subarray(0, writeAck(target, 0, type, packetId)), 4)
      assert.deepEqual([plain.cmd, plain.messageId], [cmd, packetId])
      const reasonCode = type >= 6 ? 0x92 : 0x87
      const end = writeAckReason(target, 1, { type, packetId, reasonCode })
      const short = read(target.subarray(1, end), 5) as { reasonCode?: number }
      assert.equal(short.reasonCode, reasonCode)
      const long = encodeAck({ type, packetId, reasonCode, properties: { reasonString: text } })
      const seen = read(long, 5) as Packet & { reasonCode?: number; properties?: object }
      assert.deepEqual([seen.cmd, seen.messageId, seen.reasonCode], [cmd, packetId, reasonCode])
      assert.deepEqual({ ...seen.properties }, { reasonString: text })
    }),
  )
})

test('SUBACK and UNSUBACK have a code for each filter, UNSUBACK of MQTT 3.1.1 has none', () => {
  const codes = fc.array(fc.constantFrom(0, 0x80), { minLength: 1, maxLength: 300 })
  fc.assert(
    fc.property(versions, ids, codes, (version, packetId, reasonCodes) => {
      const suback = read(encodeSuback({ version, packetId, reasonCodes }), version)
      assert.ok(suback.cmd === 'suback')
      assert.deepEqual([suback.messageId, suback.granted], [packetId, reasonCodes])
      const unsuback = read(encodeUnsuback({ version, packetId, reasonCodes }), version)
      assert.ok(unsuback.cmd === 'unsuback')
      assert.equal(unsuback.messageId, packetId)
      if (version === 5) assert.deepEqual(unsuback.granted, reasonCodes)
    }),
  )
})

test('CONNACK, DISCONNECT, AUTH and PINGRESP', () => {
  fc.assert(
    fc.property(
      versions,
      fc.boolean(),
      reasonString,
      ids,
      (version, sessionPresent, text, number) => {
        const properties = { receiveMaximum: number, assignedClientIdentifier: text }
        const connack = read(
          encodeConnack({ version, sessionPresent, reasonCode: 0, properties }),
          version,
        )
        assert.ok(connack.cmd === 'connack')
        assert.equal(connack.sessionPresent, sessionPresent)
        assert.equal(version === 5 ? connack.reasonCode : connack.returnCode, 0)
        assert.deepEqual({ ...connack.properties }, version === 5 ? properties : {})
        const disconnect = read(encodeDisconnect(0x8e, { reasonString: text }), 5)
        assert.ok(disconnect.cmd === 'disconnect')
        assert.deepEqual(
          [disconnect.reasonCode, { ...disconnect.properties }],
          [0x8e, { reasonString: text }],
        )
        const named = { authenticationMethod: text, authenticationData: Buffer.of(0, 255) }
        const auth = read(encodeAuth(0x18, named), 5)
        assert.ok(auth.cmd === 'auth')
        assert.deepEqual([auth.reasonCode, { ...auth.properties }], [0x18, named])
      },
    ),
  )
  assert.equal(read(PINGRESP, 4).cmd, 'pingresp')
})
