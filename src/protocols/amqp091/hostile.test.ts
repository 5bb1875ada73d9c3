import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  Amqp091Harness,
  frame,
  publishBytes,
  settled,
  type Wire,
} from '../../../test/support/amqp091-harness.ts'
import {
  AMQP_0_9_1_HEADER,
  encodeContentHeader,
  encodeMethod,
  FRAME,
  METHOD,
  METHOD_NAMES,
} from '../../codec/amqp091/index.ts'

/** A connection in each state a stranger can bring it to. */
const STATES: Readonly<Record<string, (harness: Amqp091Harness) => Promise<Wire>>> = {
  'before the protocol header': async (harness) => harness.connect(),
  'before start-ok': async (harness) => {
    const wire = harness.connect()
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    return wire
  },
  'before tune-ok': async (harness) => {
    const wire = harness.connect()
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    wire.startOk()
    await wire.expect('connection.tune')
    return wire
  },
  'before open': async (harness) => {
    const wire = harness.connect()
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    wire.startOk()
    await wire.expect('connection.tune')
    wire.method(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 })
    return wire
  },
  'without a channel': async (harness) => harness.login(),
  'with a channel': async (harness) => harness.channel(),
  'in the middle of a publish': async (harness) => {
    const wire = await harness.channel()
    const bytes = publishBytes(1, { key: 'q' }, 'body')
    wire.send(bytes.subarray(0, bytes.length - 12))
    return wire
  },
  'with a consumer, a transaction and deliveries': async (harness) => {
    const wire = await harness.channel()
    wire.method(1, { name: 'queue.declare', queue: '', exclusive: true })
    wire.method(1, { name: 'basic.consume', queue: '' })
    wire.method(1, { name: 'tx.select' })
    await wire.next('tx.select-ok')
    return wire
  },
  'in a channel that we closed': async (harness) => {
    const wire = await harness.channel()
    wire.method(1, { name: 'basic.get', queue: 'nowhere' })
    await wire.next('channel.close')
    return wire
  },
  'in a connection that we closed': async (harness) => {
    const wire = await harness.channel()
    wire.method(1, { name: 'channel.open' })
    await wire.next('connection.close')
    return wire
  },
}

const methodIds = [...METHOD_NAMES.keys()]

/** Bytes from plain noise to frames that are nearly right. */
const hostileBytes: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.constantFrom(1, 2, 3, 8, 9), fc.constantFrom(0, 1, 2, 65_535), fc.uint8Array())
    .map(([type, channel, payload]) => frame(type, channel, payload)),
  fc
    .tuple(fc.constantFrom(...methodIds), fc.constantFrom(0, 1, 2), fc.uint8Array())
    .map(([id, channel, rest]) => {
      const payload = Buffer.alloc(4 + rest.length)
      payload.writeUInt32BE(id)
      payload.set(rest, 4)
      return frame(FRAME.METHOD, channel, payload)
    }),
  fc.constantFrom(
    publishBytes(1, { key: 'q', frameBytes: 2 }, 'body'),
    frame(FRAME.HEADER, 1, encodeContentHeader(10, {})),
    frame(FRAME.BODY, 1, Buffer.from('0123456789')),
    frame(FRAME.HEARTBEAT, 0, Buffer.alloc(0)),
    encodeMethod(1, { name: 'channel.open' }),
    encodeMethod(1, { name: 'queue.declare', queue: '' }),
    encodeMethod(1, { name: 'basic.consume', queue: '' }),
    encodeMethod(1, { name: 'basic.ack', deliveryTag: 1 }),
    encodeMethod(1, { name: 'confirm.select' }),
    encodeMethod(1, { name: 'tx.commit' }),
    encodeMethod(1, { name: 'channel.close-ok' }),
    encodeMethod(0, { name: 'connection.close-ok' }),
    encodeMethod(0, { name: 'connection.open', virtualHost: '/' }),
    encodeMethod(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 }),
  ),
)

/** The neighbour that must not notice anything. */
async function works(neighbour: Wire): Promise<void> {
  neighbour.publish(1, { key: 'safe' }, 'still here')
  neighbour.method(1, { name: 'basic.get', queue: 'safe', noAck: true })
  assert.equal((await neighbour.message('basic.get-ok')).body, 'still here')
}

// A stranger may send anything in any state: the connection answers in frames or ends, no error
// of ours is logged (the harness looks), and others go on.
for (const [name, reach] of Object.entries(STATES)) {
  test(`any bytes ${name}`, async (t) => {
    const harness = await Amqp091Harness.open(t, { messageSizeMax: 1000 })
    const neighbour = await harness.channel()
    neighbour.method(1, { name: 'queue.declare', queue: 'safe', exclusive: true })
    await neighbour.expect('queue.declare-ok')
    const sends = fc.array(hostileBytes, { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(sends, async (parts) => {
        const wire = await reach(harness)
        for (const part of parts) wire.send(part)
        await settled()
        wire.cut()
        await settled()
      }),
      { numRuns: 60 },
    )
    await works(neighbour)
    assert.equal(harness.protocol.connections().length, 1)
  })
}

test('frames of a channel that we closed are dropped until the client agrees', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  wire.method(1, { name: 'basic.get', queue: 'nowhere' })
  wire.publish(1, { key: 'q' })
  wire.method(1, { name: 'queue.declare', queue: 'never', exclusive: true })
  const close = await wire.expect('channel.close')
  assert.equal(close.replyCode, 404)
  wire.method(1, { name: 'channel.close-ok' })
  wire.method(1, { name: 'channel.open' })
  await wire.expect('channel.open-ok')
  assert.equal(harness.broker.vhost('/')!.destination('never'), undefined)
})

test('both sides may close a channel at once', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  const bye = { replyCode: 200, replyText: '', classId: 0, methodId: 0 }
  wire.method(1, { name: 'basic.get', queue: 'nowhere' })
  wire.method(1, { name: 'channel.close', ...bye })
  await wire.expect('channel.close')
  await wire.expect('channel.close-ok')
  wire.method(1, { name: 'channel.close-ok' })
  wire.method(1, { name: 'channel.open' })
  await wire.expect('channel.open-ok')
})

/** What ends the connection, as RabbitMQ 4.0.5 answers it. */
const WRONG: readonly (readonly [what: string, bytes: Buffer, code: number, text: RegExp])[] = [
  [
    'a method on a channel that is not open',
    encodeMethod(7, { name: 'basic.qos' }),
    504,
    /expected 'channel.open'/,
  ],
  [
    'an open channel opened again',
    encodeMethod(1, { name: 'channel.open' }),
    504,
    /second 'channel.open' seen/,
  ],
  [
    'a channel method on channel 0',
    encodeMethod(0, { name: 'basic.qos' }),
    504,
    /unexpected method in connection state running/,
  ],
  [
    'a connection method on a channel',
    encodeMethod(1, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 }),
    503,
    /COMMAND_INVALID - /,
  ],
  [
    'a header without a publish',
    frame(FRAME.HEADER, 1, encodeContentHeader(1, {})),
    505,
    /expected method frame, got non method frame instead/,
  ],
  [
    'a body without a publish',
    frame(FRAME.BODY, 1, Buffer.from('x')),
    505,
    /expected method frame, got non method frame instead/,
  ],
  [
    'content on a channel that is not open',
    frame(FRAME.BODY, 7, Buffer.from('x')),
    505,
    /expected method frame, got non method frame instead/,
  ],
  [
    'an answer to a close that nobody asked for',
    encodeMethod(1, { name: 'channel.close-ok' }),
    503,
    /unimplemented method/,
  ],
  ['content on channel 0', frame(FRAME.BODY, 0, Buffer.from('x')), 505, /expected method frame/],
  ['a frame of an unknown type', frame(9, 1, Buffer.alloc(4)), 501, /FRAME_ERROR/],
  ['an unknown method', frame(FRAME.METHOD, 1, Buffer.of(0, 99, 0, 1)), 540, /NOT_IMPLEMENTED/],
]

for (const [what, bytes, code, text] of WRONG) {
  test(`${what}: ${code}`, async (t) => {
    const harness = await Amqp091Harness.open(t)
    const wire = await harness.channel()
    wire.send(bytes)
    const refusal = await wire.refusal()
    assert.equal(refusal.code, code)
    assert.match(refusal.text, text)
  })
}

test('a method on a channel before connection.open is out of place: 505', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = harness.connect()
  wire.send(AMQP_0_9_1_HEADER)
  await wire.expect('connection.start')
  wire.startOk()
  await wire.expect('connection.tune')
  wire.method(1, { name: 'channel.open' })
  assert.equal((await wire.refusal()).code, 505)
})

test('more channels than agreed, and numbers beyond, are not allowed', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.login({ channelMax: 3 })
  for (const number of [3, 1, 2]) {
    wire.method(number, { name: 'channel.open' })
    await wire.expect('channel.open-ok')
  }
  wire.method(4, { name: 'channel.open' })
  assert.deepEqual(await wire.refusal(), {
    code: 530,
    text: 'NOT_ALLOWED - number of channels opened (3) has reached the negotiated channel_max (3)',
    methodId: METHOD.CHANNEL_OPEN,
  })
})

test('a frame above what was agreed ends the connection before it is read', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel({ frameMax: 4096 })
  // A payload of 4096 passes, as in RabbitMQ: some clients forget the frame's own eight octets.
  wire.publish(1, { key: 'q', frameBytes: 4096 }, 'x'.repeat(4096))
  wire.method(1, { name: 'basic.qos' })
  await wire.next('basic.qos-ok')
  const head = frame(FRAME.BODY, 1, Buffer.alloc(4097)).subarray(0, 7)
  wire.send(head)
  const close = await wire.next('connection.close')
  assert.equal(close.replyCode, 501)
  await wire.closed()
})

test('a client with small frames gets large bodies in many of them', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel({ frameMax: 4096 })
  wire.method(1, { name: 'queue.declare', queue: 'q', exclusive: true })
  await wire.expect('queue.declare-ok')
  const body = 'x'.repeat(10_000)
  wire.publish(1, { key: 'q', frameBytes: 4088 }, body)
  wire.method(1, { name: 'basic.get', queue: 'q', noAck: true })
  await wire.next('header')
  const sizes = wire.frames.map((one) => one.body!.length)
  assert.deepEqual(sizes, [4088, 4088, 1824])
})
