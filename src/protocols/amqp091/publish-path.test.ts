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
import { encodeContentHeader, FRAME, METHOD } from '../../codec/amqp091/index.ts'

async function declare(wire: Wire, queue: string): Promise<void> {
  wire.method(1, { name: 'queue.declare', queue, exclusive: true })
  await wire.expect('queue.declare-ok')
}

async function get(wire: Wire, queue: string): ReturnType<typeof wire.message<'basic.get-ok'>> {
  wire.method(1, { name: 'basic.get', queue, noAck: true })
  return wire.message('basic.get-ok')
}

// A socket may cut a publish anywhere: in its method, its header, its body, at a frame's end.
test('a message is the same from any cut', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  await declare(wire, 'q')
  const properties = { correlationId: 'c', headers: new Map([['k', 'v']]) }
  const cuts = fc.array(fc.nat(600), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 300 }),
      cuts,
      fc.integer({ min: 1, max: 400 }),
      async (body, places, frameBytes) => {
        const bytes = publishBytes(1, { key: 'q', properties, frameBytes }, body)
        let at = 0
        for (const place of [...places.toSorted((a, b) => a - b), bytes.length]) {
          const end = Math.min(place, bytes.length)
          // Borrowed for the call: the read is overwritten afterwards.
          const read = Buffer.from(bytes.subarray(at, end))
          wire.send(read)
          read.fill(0xaa)
          at = Math.max(at, end)
        }
        const got = await get(wire, 'q')
        assert.equal(got.body, body)
        assert.deepEqual(got.properties, properties)
      },
    ),
    { numRuns: 60 },
  )
})

test('contents of several channels may be woven into each other', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  wire.method(2, { name: 'channel.open' })
  await wire.expect('channel.open-ok')
  await declare(wire, 'q')
  const parts = (channel: number, body: string): Buffer[] => {
    const bytes = publishBytes(channel, { key: 'q', frameBytes: 3 }, body)
    const frames: Buffer[] = []
    for (let at = 0; at < bytes.length;) {
      const end = at + 8 + bytes.readUInt32BE(at + 3)
      frames.push(bytes.subarray(at, end))
      at = end
    }
    return frames
  }
  const [one, two] = [parts(1, 'first-body'), parts(2, 'other-body')]
  // The first read ends while both headers lie in it.
  const woven = one.map((part, index) => Buffer.concat([part, two[index]!]))
  wire.send(Buffer.concat(woven.slice(0, 3)))
  wire.send(Buffer.concat(woven.slice(3)))
  const bodies = [(await get(wire, 'q')).body, (await get(wire, 'q')).body]
  assert.deepEqual(bodies.toSorted(), ['first-body', 'other-body'])
})

test('confirms cover a turn with one ack, and a return comes before its confirm', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  await declare(wire, 'q')
  wire.method(1, { name: 'confirm.select' })
  await wire.expect('confirm.select-ok')
  const batch = Array.from({ length: 50 }, (_, i) => publishBytes(1, { key: 'q' }, `${i}`))
  batch.push(publishBytes(1, { key: 'nowhere', mandatory: true }, 'lost'))
  wire.send(Buffer.concat(batch))
  const returned = await wire.message('basic.return')
  assert.deepEqual(
    [returned.method.replyCode, returned.method.replyText, returned.method.routingKey],
    [312, 'NO_ROUTE', 'nowhere'],
  )
  assert.equal(returned.body, 'lost')
  const ack = await wire.expect('basic.ack')
  assert.deepEqual([ack.deliveryTag, ack.multiple], [51, true])
  await wire.nothing('basic.ack')
  wire.publish(1, { key: 'q' })
  const single = await wire.expect('basic.ack')
  assert.deepEqual([single.deliveryTag, single.multiple], [52, false])
})

test('what a full queue refuses is nacked by its own number, the rest acked', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  wire.method(1, {
    name: 'queue.declare',
    queue: 'small',
    exclusive: true,
    arguments: new Map<string, string | number>([
      ['x-max-length', 2],
      ['x-overflow', 'reject-publish'],
    ]),
  })
  await wire.expect('queue.declare-ok')
  wire.method(1, { name: 'confirm.select' })
  await wire.expect('confirm.select-ok')
  const keys = ['small', 'small', 'small', 'nowhere', 'small']
  wire.send(Buffer.concat(keys.map((key) => publishBytes(1, { key }, 'x'))))
  await settled()
  const confirms = wire.frames.map(({ name, method }) => [
    name,
    (method as { deliveryTag: number }).deliveryTag,
    (method as { multiple: boolean }).multiple,
  ])
  assert.deepEqual(confirms, [
    ['basic.nack', 3, false],
    ['basic.nack', 5, false],
    ['basic.ack', 4, true],
  ])
})

test('the exchange may go between a method and its body', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  const other = await harness.channel()
  wire.method(1, { name: 'exchange.declare', exchange: 'x', type: 'fanout' })
  await wire.expect('exchange.declare-ok')
  const bytes = publishBytes(1, { exchange: 'x', key: 'k' }, 'body')
  wire.send(bytes.subarray(0, bytes.length - 12))
  other.method(1, { name: 'exchange.delete', exchange: 'x' })
  await other.expect('exchange.delete-ok')
  wire.send(bytes.subarray(bytes.length - 12))
  const refusal = await wire.channelRefusal()
  assert.equal(refusal.code, 404)
  assert.equal(refusal.text, "NOT_FOUND - no exchange 'x' in vhost '/'")
  assert.equal(refusal.methodId, METHOD.BASIC_PUBLISH)
})

test('a body above the limit is refused before it is gathered', async (t) => {
  const harness = await Amqp091Harness.open(t, { messageSizeMax: 1000 })
  const wire = await harness.channel()
  wire.publish(1, { key: 'q', frameBytes: 500 }, Buffer.alloc(1001))
  const { code, text } = await wire.channelRefusal()
  assert.equal(code, 406)
  assert.equal(
    text,
    'PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000',
  )
  // The channel's number is free again, and what was left of the body is forgotten.
  wire.method(1, { name: 'channel.open' })
  await wire.expect('channel.open-ok')
})

test('unfinished bodies of one connection are bounded together', async (t) => {
  const harness = await Amqp091Harness.open(t, { partialBytesMax: 10_000 })
  const wire = await harness.login()
  for (let channel = 1; channel <= 3; channel++) {
    wire.method(channel, { name: 'channel.open' })
    await wire.expect('channel.open-ok')
    const bytes = publishBytes(channel, { key: 'q', frameBytes: 1000 }, Buffer.alloc(5000))
    wire.send(bytes.subarray(0, bytes.length - 1008))
  }
  const { code, text } = await wire.refusal()
  assert.equal(code, 506)
  assert.match(text, /^RESOURCE_ERROR - incomplete bodies of more than 10000 octets/)
})

test('a body of more octets than announced ends the connection', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  const bytes = publishBytes(1, { key: 'q' }, 'body')
  wire.send(bytes.subarray(0, bytes.length - 12))
  wire.send(frame(FRAME.BODY, 1, Buffer.from('longer')))
  assert.equal((await wire.refusal()).code, 505)
})

test('an empty body needs no body frame, and empty body frames change nothing', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  await declare(wire, 'q')
  wire.publish(1, { key: 'q' }, '')
  assert.equal((await get(wire, 'q')).body, '')
  const bytes = publishBytes(1, { key: 'q' }, 'body')
  const at = bytes.length - 12
  const empty = frame(FRAME.BODY, 1, Buffer.alloc(0))
  wire.send(Buffer.concat([bytes.subarray(0, at), empty, bytes.subarray(at)]))
  assert.equal((await get(wire, 'q')).body, 'body')
})

test('permissions decide who may publish, also after they change', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const wire = await harness.channel()
  await declare(wire, 'q')
  wire.publish(1, { key: 'q' })
  await get(wire, 'q')
  const rest = { configure: '.*', write: '^q$', read: '.*' }
  await harness.users.setPermissions('guest', '/', rest)
  wire.publish(1, { key: 'q' })
  const { code, text } = await wire.channelRefusal()
  assert.equal(code, 403)
  assert.equal(
    text,
    "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'guest'",
  )
})

test('immediate and a malformed header end the connection, naming the publish', async (t) => {
  const harness = await Amqp091Harness.open(t)
  const immediate = await harness.channel()
  immediate.publish(1, { key: 'q', immediate: true })
  assert.deepEqual(await immediate.refusal(), {
    code: 540,
    text: 'NOT_IMPLEMENTED - immediate=true',
    methodId: METHOD.BASIC_PUBLISH,
  })
  const malformed = await harness.channel()
  const header = encodeContentHeader(0, { headers: new Map([['k', 'v']]) })
  header.writeUInt32BE(1000, 14)
  const method = publishBytes(1, { key: 'q' }, '')
  const methodEnd = 8 + method.readUInt32BE(3)
  malformed.send(Buffer.concat([method.subarray(0, methodEnd), frame(FRAME.HEADER, 1, header)]))
  const refusal = await malformed.refusal()
  assert.equal(refusal.code, 502)
  assert.equal(refusal.methodId, METHOD.BASIC_PUBLISH)
})
