import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Amqp091Harness,
  frame,
  publishBytes,
  settled,
} from '../../../test/support/amqp091-harness.ts'
import { AMQP_0_9_1_HEADER, encodeMethod, FRAME, METHOD } from '../../codec/amqp091/index.ts'

test('the handshake offers what clients look at and ends in open-ok', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = harness.connect()
  // Cut anywhere: the header comes octet by octet.
  for (const byte of AMQP_0_9_1_HEADER) wire.send(Uint8Array.of(byte))
  const start = await wire.expect('connection.start')
  assert.equal(start.mechanisms.toString(), 'PLAIN AMQPLAIN')
  assert.equal(start.serverProperties.get('product'), 'Waystation')
  const capabilities = start.serverProperties.get('capabilities') as Map<string, boolean>
  assert.equal(capabilities.get('publisher_confirms'), true)
  wire.startOk()
  const tune = await wire.expect('connection.tune')
  assert.deepEqual([tune.channelMax, tune.frameMax, tune.heartbeat], [2047, 131_072, 60])
  wire.method(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 })
  wire.method(0, { name: 'connection.open', virtualHost: '/' })
  await wire.expect('connection.open-ok')
  const [info] = harness.protocol.connections()
  assert.equal(info?.user, 'guest')
  assert.equal(info?.vhost, '/')
  assert.equal(info?.state, 'running')
  assert.equal(info?.clientProduct, 'test')
  assert.equal(info?.name, '127.0.0.1:40001 -> 127.0.0.1:5672')
})

test('another protocol is answered with our header and the end', async (t) => {
  const harness = await Amqp091Harness.open(t)
  for (const header of ['GET / HTTP/1.1\r\n', 'AMQP\u0000\u0001\u0000\u0000', 'AMQP\u0003']) {
    const wire = harness.connect()
    wire.send(Buffer.from(header.padEnd(8, '\0'), 'latin1'))
    await wire.closed()
    assert.deepEqual(Buffer.concat(wire.received), Buffer.from(AMQP_0_9_1_HEADER))
  }
  assert.equal(harness.protocol.connections().length, 0)
})

test('a wrong password is told to who understands it, and the rest is shown the door', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const told = harness.connect()
  told.send(AMQP_0_9_1_HEADER)
  await told.expect('connection.start')
  told.startOk({ password: 'wrong' })
  const { code, text } = await told.refusal()
  assert.equal(code, 403)
  assert.match(text, /^ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN\./)
  const other = harness.connect()
  other.send(AMQP_0_9_1_HEADER)
  await other.expect('connection.start')
  other.startOk({ password: 'wrong', capabilities: [] })
  // Whoever failed waits before the next try.
  await settled()
  harness.clock.advance(60_000)
  await other.closed()
  assert.deepEqual(other.frames, [])
})

test('EXTERNAL takes the name of a verified certificate', async (t) => {
  const harness = await Amqp091Harness.open(t)
  await harness.users.add('alice', null, [])
  const everything = { configure: '.*', write: '.*', read: '.*' }
  await harness.users.setPermissions('alice', '/', everything)
  const tls = {
    protocol: 'TLSv1.3',
    cipher: 'x',
    peerVerified: true,
    subject: 'CN=alice',
    commonName: 'alice',
    userName: 'alice',
    issuer: 'CN=us',
  }
  const external = async (peerVerified: boolean): Promise<ReturnType<typeof harness.connect>> => {
    const wire = harness.connect({ ...tls, peerVerified })
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    wire.method(0, {
      name: 'connection.start-ok',
      clientProperties: new Map(),
      mechanism: 'EXTERNAL',
      response: '',
      locale: 'en_US',
    })
    return wire
  }
  await (await external(true)).expect('connection.tune')
  assert.equal(harness.protocol.connections()[0]?.user, 'alice')
  assert.equal((await (await external(false)).refusal()).code, 503)
})

const TUNINGS = [
  { ask: { frameMax: 131_073 }, text: /frame_max = 131073 is higher than the maximum/ },
  { ask: { frameMax: 4095 }, text: /frame_max = 4095 is lower than the minimum/ },
  { ask: { channelMax: 2048 }, text: /channel_max = 2048 is higher than the maximum/ },
] as const

for (const { ask, text } of TUNINGS) {
  test(`tune-ok with ${JSON.stringify(ask)} is not allowed`, async (t) => {
    const harness = await Amqp091Harness.open(t)
    const wire = harness.connect()
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    wire.startOk()
    await wire.expect('connection.tune')
    const tuneOk = { channelMax: 0, frameMax: 0, heartbeat: 0, ...ask }
    wire.method(0, { name: 'connection.tune-ok', ...tuneOk })
    const refusal = await wire.refusal()
    assert.equal(refusal.code, 530)
    assert.match(refusal.text, text)
  })
}

test('an unknown virtual host and one without permission: 530', async (t) => {
  const harness = await Amqp091Harness.open(t)
  await harness.broker.createVhost('private')
  for (const [virtualHost, text] of [
    ['nowhere', 'NOT_ALLOWED - vhost nowhere not found'],
    ['private', "NOT_ALLOWED - access to vhost 'private' refused for user 'guest'"],
  ] as const) {
    const wire = harness.connect()
    wire.send(AMQP_0_9_1_HEADER)
    await wire.expect('connection.start')
    wire.startOk()
    await wire.expect('connection.tune')
    wire.method(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 })
    wire.method(0, { name: 'connection.open', virtualHost })
    assert.deepEqual(await wire.refusal(), { code: 530, text, methodId: METHOD.CONNECTION_OPEN })
  }
})

test('who says nothing after connecting is cut off', async (t) => {
  const harness = await Amqp091Harness.open(t, { handshakeTimeoutMs: 10_000 })
  const silent = harness.connect()
  const slow = harness.connect()
  slow.send(AMQP_0_9_1_HEADER)
  await slow.expect('connection.start')
  harness.clock.advance(9999)
  await settled()
  assert.equal(silent.isClosed, false)
  harness.clock.advance(1)
  await silent.closed()
  await slow.closed()
  const running = await harness.login()
  harness.clock.advance(60_000)
  await settled()
  assert.equal(running.isClosed, false)
})

test('heartbeats go out when idle, and two silent intervals end the connection', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.login({ heartbeat: 10 })
  for (let i = 0; i < 3; i++) {
    // Our own heartbeat counts as traffic in the half interval after it.
    for (let half = 0; half < 2; half++) {
      harness.clock.advance(5000)
      await settled()
    }
    await wire.next('heartbeat')
    // Our answer keeps it alive.
    wire.send(frame(FRAME.HEARTBEAT, 0, Buffer.alloc(0)))
  }
  harness.clock.advance(19_999)
  await settled()
  assert.equal(wire.isClosed, false)
  harness.clock.advance(5001)
  await wire.closed()
})

test('heartbeat 0 means none, in both directions', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.login({ heartbeat: 0 })
  harness.clock.advance(3_600_000)
  await wire.nothing('heartbeat')
  assert.equal(wire.isClosed, false)
})

test('close and update-secret are answered', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  wire.method(0, { name: 'connection.update-secret', newSecret: 'x', reason: 'renewed' })
  await wire.expect('connection.update-secret-ok')
  const bye = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }
  wire.method(0, { name: 'connection.close', ...bye })
  await wire.expect('connection.close-ok')
  await wire.closed()
  assert.equal(harness.protocol.connections().length, 0)
})

test('exclusive queues are gone before close-ok: their names are free', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const first = await harness.channel()
  first.method(1, { name: 'queue.declare', queue: 'mine', exclusive: true })
  await first.expect('queue.declare-ok')
  const second = await harness.channel()
  second.method(1, { name: 'queue.declare', queue: 'mine', exclusive: true })
  assert.equal((await second.channelRefusal()).code, 405)
  const bye = { replyCode: 200, replyText: 'bye', classId: 0, methodId: 0 }
  first.method(0, { name: 'connection.close', ...bye })
  await first.expect('connection.close-ok')
  second.method(1, { name: 'channel.open' })
  await second.expect('channel.open-ok')
  second.method(1, { name: 'queue.declare', queue: 'mine', exclusive: true })
  await second.expect('queue.declare-ok')
})

test('a client that does not answer close is cut off', async (t) => {
  const harness = await Amqp091Harness.open(t, { closeTimeoutMs: 5000 })
  const wire = await harness.login()
  assert.equal(harness.protocol.closeConnection(wire.id, 'no more'), true)
  const close = await wire.expect('connection.close')
  assert.equal(close.replyCode, 320)
  assert.equal(close.replyText, 'CONNECTION_FORCED - no more')
  wire.method(1, { name: 'channel.open' })
  await wire.nothing('channel.open-ok')
  harness.clock.advance(5000)
  await wire.closed()
  assert.equal(harness.protocol.closeConnection(wire.id, 'again'), false)
})

test('a graceful stop says so and lets go when the client agrees', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.login()
  const early = harness.connect()
  wire.shutdown('the broker is stopping')
  early.shutdown('the broker is stopping')
  await early.closed()
  const { code, text } = await wire.refusal()
  assert.equal(code, 320)
  assert.match(text, /^CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'/)
})

test('requests sent in one go are answered in order, also behind one that waits', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  const requests = [encodeMethod(1, { name: 'confirm.select' })]
  for (const queue of ['a', 'b', 'c']) {
    requests.push(
      encodeMethod(1, { name: 'queue.declare', queue, durable: true }),
      publishBytes(1, { key: queue }, `for ${queue}`),
      encodeMethod(1, { name: 'basic.get', queue, noAck: true }),
      encodeMethod(1, { name: 'queue.delete', queue }),
    )
  }
  wire.send(Buffer.concat(requests))
  assert.equal(wire.isPaused, true)
  await wire.expect('confirm.select-ok')
  for (const queue of ['a', 'b', 'c']) {
    assert.equal((await wire.next('queue.declare-ok')).queue, queue)
    assert.equal((await wire.message('basic.get-ok')).body, `for ${queue}`)
    await wire.next('queue.delete-ok')
  }
  assert.equal(wire.isPaused, false)
})
