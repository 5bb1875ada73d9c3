import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generate, type Packet } from 'mqtt-packet'
import { conversations, type Said } from '../../../test/support/mqtt-arbitraries.ts'
import { MqttPacketError } from './packet-error.ts'
import { type PacketHandler, PacketParser } from './packet-parser.ts'
import type { Properties } from './spec.ts'

/** Writes down what it is told, in the words of mqtt-packet. */
class Recorder implements PacketHandler {
  readonly seen: unknown[] = []
  onEach: () => void = () => undefined

  #add(what: object): void {
    this.seen.push(JSON.parse(JSON.stringify(what)))
    this.onEach()
  }

  onConnect: PacketHandler['onConnect'] = (packet) => {
    const { version, clientId, cleanStart, keepAliveSeconds, will, username, password } = packet
    this.#add({
      ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId },
      ...{ clean: cleanStart, keepalive: keepAliveSeconds },
      ...(will === null ? {} : { will: { ...will, ...said(will.properties) } }),
      ...(username === null ? {} : { username, password }),
      ...said(packet.properties),
    })
  }

  onPublish: PacketHandler['onPublish'] = (view) => {
    this.#add({
      ...{ cmd: 'publish', topic: view.topic(), qos: view.qos, dup: view.dup, retain: view.retain },
      ...{ payload: Buffer.from(view.bytes.subarray(view.payloadStart, view.payloadEnd)) },
      ...(view.qos === 0 ? {} : { messageId: view.packetId }),
      ...said(view.properties()),
    })
  }

  onAck: PacketHandler['onAck'] = (type, messageId, reasonCode) => {
    const cmd = ['puback', 'pubrec', 'pubrel', 'pubcomp'][type - 4]
    this.#add({ cmd, messageId, reasonCode })
  }

  onSubscribe: PacketHandler['onSubscribe'] = ({ packetId, subscriptions, properties }) => {
    this.#add({
      ...{ cmd: 'subscribe', messageId: packetId },
      subscriptions: subscriptions.map(({ filter, qos, noLocal, retainAsPublished, ...one }) => {
        return { topic: filter, qos, nl: noLocal, rap: retainAsPublished, rh: one.retainHandling }
      }),
      ...said(properties),
    })
  }

  onUnsubscribe: PacketHandler['onUnsubscribe'] = ({ packetId, filters, properties }) => {
    const unsubscriptions = filters
    this.#add({ cmd: 'unsubscribe', messageId: packetId, unsubscriptions, ...said(properties) })
  }

  onPing: PacketHandler['onPing'] = () => this.#add({ cmd: 'pingreq' })

  onDisconnect: PacketHandler['onDisconnect'] = ({ reasonCode, properties }) => {
    this.#add({ cmd: 'disconnect', reasonCode, ...said(properties) })
  }

  onAuth: PacketHandler['onAuth'] = ({ reasonCode, properties }) => {
    this.#add({ cmd: 'auth', reasonCode, ...said(properties) })
  }
}

/** Properties by mqtt-packet's names and types. */
function said(properties: Properties): { properties?: object } {
  const { userProperties, subscriptionIdentifiers, ...rest } = properties
  const found: Record<string, unknown> = { ...rest }
  for (const name of [
    'payloadFormatIndicator',
    'requestResponseInformation',
    'requestProblemInformation',
  ]) {
    if (found[name] !== undefined) found[name] = found[name] === 1
  }
  if (subscriptionIdentifiers !== undefined) {
    found['subscriptionIdentifier'] = subscriptionIdentifiers[0]
  }
  if (userProperties !== undefined) found['userProperties'] = Object.fromEntries(userProperties)
  return Object.keys(found).length === 0 ? {} : { properties: found }
}

/** What the recorder is to have written down of a packet. */
function expected({ version, packet }: Said): unknown {
  const plain = JSON.parse(JSON.stringify(packet)) as Record<string, unknown>
  const isEmpty = (value: unknown): boolean => {
    return typeof value === 'object' && value !== null && Object.keys(value).length === 0
  }
  if (isEmpty(plain['properties'])) delete plain['properties']
  const will = plain['will'] as Record<string, unknown> | undefined
  if (version !== 5 && will !== undefined) will['properties'] = {}
  switch (packet.cmd) {
    case 'publish':
      if (packet.qos === 0) delete plain['messageId']
      break
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      // What they explain nobody here reads.
      delete plain['properties']
      plain['reasonCode'] ??= 0
      break
    case 'disconnect':
      plain['reasonCode'] ??= 0
      break
    case 'subscribe':
      if (version !== 5) {
        const bare = { nl: false, rap: false, rh: 0 }
        plain['subscriptions'] = packet.subscriptions.map((one) => ({ ...one, ...bare }))
      }
      break
    default:
  }
  return plain
}

function encode(conversation: readonly Said[]): Buffer {
  const bytes = conversation.map(({ version, packet }) => {
    return generate(packet, { protocolVersion: version })
  })
  return Buffer.concat(bytes)
}

/** Pieces of `wire` at the given cuts, each somewhere inside a larger, dirty buffer. */
function pieces(wire: Buffer, cuts: readonly number[], offset: number): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b)
  return [...places, wire.length].map((place, index) => {
    const piece = wire.subarray(places[index - 1] ?? 0, place)
    const pool = Buffer.alloc(offset + piece.length + 7, 0xce)
    pool.set(piece, offset)
    return pool.subarray(offset, offset + piece.length)
  })
}

// A socket may cut the stream anywhere, and a pooled Buffer may start anywhere.
test('what mqtt-packet writes is read the same from any cut and any byteOffset', () => {
  fc.assert(
    fc.property(
      conversations,
      fc.array(fc.nat(4000), { maxLength: 12 }),
      fc.nat(64),
      (conversation, cuts, offset) => {
        const recorder = new Recorder()
        const parser = new PacketParser(recorder)
        for (const piece of pieces(encode(conversation), cuts, offset)) {
          assert.equal(parser.push(piece), piece.length)
          // The read's memory is used again as soon as push returns.
          piece.fill(0x55)
        }
        assert.deepEqual(recorder.seen, conversation.map(expected))
        assert.equal(parser.keptBytes, 0)
      },
    ),
    { numRuns: 500 },
  )
})

test('packets come out the same octet by octet, and wait for their last one', () => {
  fc.assert(
    fc.property(conversations, (conversation) => {
      const recorder = new Recorder()
      const parser = new PacketParser(recorder)
      for (const one of conversation) {
        const wire = encode([one])
        const before = recorder.seen.length
        for (let at = 0; at < wire.length; at += 1) {
          assert.equal(recorder.seen.length, before)
          parser.push(wire, at, at + 1)
        }
        assert.equal(recorder.seen.length, before + 1)
      }
    }),
    { numRuns: 100 },
  )
})

const CONNECT: Packet = { cmd: 'connect', clientId: 'c', protocolVersion: 5, protocolId: 'MQTT' }

function connected(recorder: Recorder, packetSizeMax?: number): PacketParser {
  const parser = new PacketParser(recorder, packetSizeMax)
  parser.push(generate(CONNECT, { protocolVersion: 5 }))
  return parser
}

// A length is a promise of a stranger: what it says is compared before anything is kept.
test('a length beyond the limit is refused before its octets come', () => {
  const lengths = fc.integer({ min: 0, max: 268_435_455 })
  const types = fc.constantFrom(0x30, 0x32, 0x40, 0x62, 0x82, 0xa2, 0xe0, 0xf0)
  fc.assert(
    fc.property(lengths, types, fc.integer({ min: 32, max: 5000 }), (size, first, limit) => {
      const parser = connected(new Recorder(), limit)
      const head: number[] = [first]
      let rest = size
      for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80)
      head.push(rest)
      const push = (): number => parser.push(Buffer.from(head))
      if (head.length + size > limit) assert.throws(push, { reasonCode: 0x95 })
      else if (size > 0) push()
      assert.ok(parser.keptBytes <= head.length)
    }),
  )
})

test('a packet of exactly the limit passes, one octet more does not', () => {
  const packet: Packet = {
    ...{ cmd: 'publish', topic: 'a', qos: 0, dup: false, retain: false },
    payload: Buffer.alloc(300),
  }
  const wire = generate(packet, { protocolVersion: 5 })
  const fits = new Recorder()
  connected(fits, wire.length).push(wire)
  assert.equal(fits.seen.length, 2)
  assert.throws(() => connected(new Recorder(), wire.length - 1).push(wire), { reasonCode: 0x95 })
})

// Whatever is inside, a length that lies about it must not be believed.
test('a field that says more than there is ends in a malformed packet', () => {
  fc.assert(
    fc.property(conversations, fc.nat(), fc.nat(), (conversation, which, where) => {
      const recorder = new Recorder()
      const parser = new PacketParser(recorder)
      const at = which % conversation.length
      parser.push(encode(conversation.slice(0, at)))
      // Cut somewhere behind the head, with a head that says so.
      const wire = encode([conversation[at]!])
      const headBytes = wire.length < 130 ? 2 : 3
      const body = wire.subarray(
        headBytes,
        headBytes + (where % Math.max(wire.length - headBytes, 1)),
      )
      const size =
        body.length < 0x80 ? [body.length] : [(body.length & 0x7f) | 0x80, body.length >> 7]
      const cut = Buffer.concat([Buffer.from([wire[0]!, ...size]), body])
      try {
        parser.push(cut)
      } catch (error) {
        assert.ok(error instanceof MqttPacketError, String(error))
        assert.ok([0x81, 0x82, 0x84].includes(error.reasonCode), `${error.reasonCode}`)
      }
    }),
    { numRuns: 500 },
  )
})

test('random octets throw nothing but MqttPacketError and keep no more than came', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 6 }),
      (isConnected, chunks) => {
        const recorder = new Recorder()
        const parser = isConnected ? connected(recorder, 4096) : new PacketParser(recorder, 4096)
        let came = 0
        try {
          for (const chunk of chunks) {
            came += chunk.length
            parser.push(Buffer.from(chunk))
            assert.ok(parser.keptBytes <= came)
          }
        } catch (error) {
          assert.ok(error instanceof MqttPacketError, String(error))
          assert.equal(parser.keptBytes, 0)
        }
      },
    ),
    { numRuns: 3000 },
  )
})

test('flipped octets throw nothing but MqttPacketError', () => {
  fc.assert(
    fc.property(
      conversations,
      fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      }),
      (conversation, flips) => {
        const wire = encode(conversation)
        for (const [at, mask] of flips) wire[at % wire.length]! ^= mask
        try {
          new PacketParser(new Recorder()).push(wire)
        } catch (error) {
          assert.ok(error instanceof MqttPacketError, String(error))
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test('pause stops behind the packet it was called in and loses nothing', () => {
  fc.assert(
    fc.property(conversations, fc.array(fc.nat(500), { maxLength: 5 }), (conversation, cuts) => {
      const recorder = new Recorder()
      const parser = new PacketParser(recorder)
      recorder.onEach = () => parser.pause()
      for (const piece of pieces(encode(conversation), cuts, 3)) {
        for (let at = 0; at < piece.length;) {
          const before = recorder.seen.length
          at = parser.push(piece, at)
          assert.ok(recorder.seen.length <= before + 1)
        }
      }
      assert.deepEqual(recorder.seen, conversation.map(expected))
    }),
    { numRuns: 200 },
  )
})

test('after stop, and after a throw, everything is dropped', () => {
  const ping = Buffer.of(0xc0, 0)
  const stopped = new Recorder()
  const one = connected(stopped)
  one.stop()
  assert.equal(one.push(ping), 2)
  assert.equal(stopped.seen.length, 1)
  const thrown = new Recorder()
  const other = connected(thrown)
  assert.throws(() => other.push(Buffer.of(0xc1, 0)), MqttPacketError)
  assert.equal(other.push(ping), 2)
  assert.equal(thrown.seen.length, 1)
})
