import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  DeliverView,
  encodeAddress,
  encodeShortString,
  GetOkView,
  PublishView,
  ReturnView,
  SettleView,
} from './basic-views.ts'
import {
  ChannelWriter,
  ContentView,
  HEARTBEAT_FRAME,
  SETTLE_FRAME_BYTES,
} from './channel-writer.ts'
import { encodeContentHeader } from './content-header.ts'
import { AmqpFrameError } from './frame-error.ts'
import { FrameParser } from './frame-parser.ts'
import { decodeMethod } from './methods.ts'
import type { Method } from './methods.gen.ts'

interface Message {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Uint8Array
}

const shortText = fc
  .string({ unit: 'binary', maxLength: 100 })
  .filter((text) => Buffer.byteLength(text) < 256)

const messages: fc.Arbitrary<Message> = fc.record({
  exchange: shortText,
  routingKey: shortText,
  body: fc.oneof(
    fc.uint8Array({ maxLength: 50 }),
    fc.nat(20_000).map((size) => new Uint8Array(size).fill(7)),
    fc.constantFrom(4087, 4088, 4089, 8176).map((size) => new Uint8Array(size).fill(8)),
  ),
})

/** What came out of the parser: methods, headers in hex, and bodies by their frame sizes. */
class Received {
  readonly methods: Method[] = []
  readonly headers: string[] = []
  readonly bodySizes: number[] = []
  readonly channels = new Set<number>()
  body = Buffer.alloc(0)
  onRaw: (bytes: Buffer, start: number, end: number) => void = () => undefined

  onMethod(channel: number, id: number, bytes: Buffer, start: number, end: number): void {
    this.channels.add(channel)
    this.methods.push(decodeMethod(id, bytes, start, end))
    this.onRaw(bytes, start, end)
  }

  onHeader(channel: number, bytes: Buffer, start: number, end: number): void {
    this.channels.add(channel)
    this.headers.push(bytes.toString('hex', start, end))
  }

  onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    this.channels.add(channel)
    this.bodySizes.push(end - start)
    this.body = Buffer.concat([this.body, bytes.subarray(start, end)])
  }

  onHeartbeat(): void {
    assert.fail('no heartbeat was written')
  }
}

/** The message as a store would have it: its three parts somewhere in one buffer. */
function stored(message: Message, offset: number): ContentView {
  const address = encodeAddress(message)
  const header = encodeContentHeader(message.body.length, { deliveryMode: 2 })
  const record = Buffer.concat([Buffer.alloc(offset), address, header, message.body, Buffer.of(1)])
  const headerStart = offset + address.length
  const bodyStart = headerStart + header.length
  return new ContentView()
    .setAddress(record, offset, headerStart)
    .setHeader(record, headerStart, bodyStart)
    .setBody(record, bodyStart, bodyStart + message.body.length)
}

const BUFFER_OFFSET = 5

function receive(bytes: number, write: (out: Buffer, at: number) => number): Received {
  const out = Buffer.alloc(BUFFER_OFFSET + bytes + 4, 0xaa)
  const end = write(out, BUFFER_OFFSET)
  assert.equal(end, BUFFER_OFFSET + bytes, 'the size that was promised')
  assert.equal(out.readUInt32BE(end), 0xaaaaaaaa)
  const received = new Received()
  new FrameParser(received, 0).push(out, BUFFER_OFFSET, end)
  // Too little room must show before anything is written.
  const narrow = Buffer.alloc(bytes - 1)
  assert.throws(() => write(narrow, 0), RangeError)
  assert.ok(narrow.every((octet) => octet === 0))
  return received
}

function checkContent(received: Received, message: Message, frameSizeMax: number): void {
  const header = encodeContentHeader(message.body.length, { deliveryMode: 2 })
  assert.deepEqual(received.headers, [header.toString('hex')])
  assert.ok(received.body.equals(message.body))
  assert.equal(received.bodySizes.length, Math.ceil(message.body.length / (frameSizeMax - 8)))
  assert.ok(received.bodySizes.every((size) => size <= frameSizeMax - 8))
  assert.equal(received.channels.size, 1)
}

const FRAME_SIZE_MAX = 4096

test('basic.deliver comes out as it went in, cut to frame_max', () => {
  const view = new DeliverView()
  fc.assert(
    fc.property(
      messages,
      fc.integer({ min: 1, max: 0xffff }),
      fc.maxSafeNat(),
      shortText,
      fc.boolean(),
      (message, channel, deliveryTag, consumerTag, redelivered) => {
        const writer = new ChannelWriter(channel, FRAME_SIZE_MAX)
        const content = stored(message, 9)
        const tag = encodeShortString(consumerTag)
        const received = receive(writer.deliverBytes(tag, content), (out, at) =>
          writer.deliver(out, at, tag, deliveryTag, redelivered, content),
        )
        const { exchange, routingKey } = message
        assert.deepEqual(received.methods, [
          { name: 'basic.deliver', consumerTag, deliveryTag, redelivered, exchange, routingKey },
        ])
        assert.deepEqual([...received.channels], [channel])
        checkContent(received, message, FRAME_SIZE_MAX)

        const out = Buffer.alloc(writer.deliverStartBytes(tag, content))
        writer.deliverStart(out, 0, tag, deliveryTag, redelivered, content)
        view.read(out, 11, 7 + out.readUInt32BE(3))
        assert.equal(out.toString('utf8', view.consumerTagStart, view.consumerTagEnd), consumerTag)
        assert.equal(out.toString('utf8', view.exchangeStart, view.exchangeEnd), exchange)
        assert.equal(out.toString('utf8', view.routingKeyStart, view.routingKeyEnd), routingKey)
        const address = out.subarray(view.addressStart, view.addressEnd)
        assert.deepEqual(address, encodeAddress(message))
        assert.equal(view.deliveryTag, deliveryTag)
        assert.equal(view.redelivered, redelivered)
      },
    ),
    { numRuns: 150 },
  )
})

test('basic.publish comes out as it went in', () => {
  const view = new PublishView()
  fc.assert(
    fc.property(messages, fc.boolean(), (message, mandatory) => {
      const writer = new ChannelWriter(1, FRAME_SIZE_MAX)
      const content = stored(message, 0)
      const received = receive(writer.publishBytes(content), (out, at) =>
        writer.publish(out, at, mandatory, content),
      )
      const { exchange, routingKey } = message
      const immediate = false
      assert.deepEqual(received.methods, [
        { name: 'basic.publish', ticket: 0, exchange, routingKey, mandatory, immediate },
      ])
      checkContent(received, message, FRAME_SIZE_MAX)

      const out = Buffer.alloc(writer.publishBytes(content))
      writer.publish(out, 0, mandatory, content)
      view.read(out, 11, 7 + out.readUInt32BE(3))
      assert.equal(out.toString('utf8', view.exchangeStart, view.exchangeEnd), exchange)
      assert.equal(out.toString('utf8', view.routingKeyStart, view.routingKeyEnd), routingKey)
      assert.deepEqual([view.mandatory, view.immediate], [mandatory, false])
    }),
    { numRuns: 100 },
  )
})

test('basic.get-ok and basic.return come out as they went in', () => {
  const getOk = new GetOkView()
  const returned = new ReturnView()
  fc.assert(
    fc.property(messages, fc.maxSafeNat(), fc.boolean(), (message, deliveryTag, redelivered) => {
      const writer = new ChannelWriter(3, FRAME_SIZE_MAX)
      const content = stored(message, 2)
      const { exchange, routingKey } = message
      const got = receive(writer.getOkBytes(content), (out, at) =>
        writer.getOk(out, at, deliveryTag, redelivered, 4_000_000_000, content),
      )
      const messageCount = 4_000_000_000
      assert.deepEqual(got.methods, [
        { name: 'basic.get-ok', deliveryTag, redelivered, exchange, routingKey, messageCount },
      ])
      checkContent(got, message, FRAME_SIZE_MAX)

      const replyText = encodeShortString('NO_ROUTE')
      const back = receive(writer.returnBytes(replyText, content), (out, at) => {
        const end = writer.return(out, at, 312, replyText, content)
        returned.read(out, at + 11, at + 7 + out.readUInt32BE(at + 3))
        const text = out.toString('utf8', returned.replyTextStart, returned.replyTextEnd)
        assert.deepEqual([returned.replyCode, text], [312, 'NO_ROUTE'])
        return end
      })
      const replyCode = 312
      assert.deepEqual(back.methods, [
        { name: 'basic.return', replyCode, replyText: 'NO_ROUTE', exchange, routingKey },
      ])
      checkContent(back, message, FRAME_SIZE_MAX)

      const out = Buffer.alloc(writer.getOkBytes(content))
      writer.getOk(out, 0, deliveryTag, redelivered, messageCount, content)
      getOk.read(out, 11, 7 + out.readUInt32BE(3))
      assert.deepEqual(
        [getOk.deliveryTag, getOk.redelivered, getOk.messageCount],
        [deliveryTag, redelivered, messageCount],
      )
    }),
    { numRuns: 100 },
  )
})

test('settlements come out as they went in', () => {
  const view = new SettleView()
  const writer = new ChannelWriter(1, 0)
  const flags = (): readonly unknown[] => [view.deliveryTag, view.multiple, view.requeue]
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.boolean(), fc.boolean(), (deliveryTag, multiple, requeue) => {
      const ack = receive(SETTLE_FRAME_BYTES, (out, at) => {
        const end = writer.ack(out, at, deliveryTag, multiple)
        view.readAck(out, at + 11, end - 1)
        return end
      })
      assert.deepEqual(ack.methods, [{ name: 'basic.ack', deliveryTag, multiple }])
      assert.deepEqual(flags(), [deliveryTag, multiple, false])

      const nack = receive(SETTLE_FRAME_BYTES, (out, at) => {
        const end = writer.nack(out, at, deliveryTag, multiple, requeue)
        view.readNack(out, at + 11, end - 1)
        return end
      })
      assert.deepEqual(nack.methods, [{ name: 'basic.nack', deliveryTag, multiple, requeue }])
      assert.deepEqual(flags(), [deliveryTag, multiple, requeue])

      const reject = receive(SETTLE_FRAME_BYTES, (out, at) => {
        const end = writer.reject(out, at, deliveryTag, requeue)
        view.readReject(out, at + 11, end - 1)
        return end
      })
      assert.deepEqual(reject.methods, [{ name: 'basic.reject', deliveryTag, requeue }])
      assert.deepEqual(flags(), [deliveryTag, false, requeue])
    }),
    { numRuns: 100 },
  )
})

test('a large body can be sent piece by piece', () => {
  const writer = new ChannelWriter(1, FRAME_SIZE_MAX)
  const body = Buffer.alloc(9000, 5)
  const out = Buffer.alloc(10_000)
  const end = writer.bodyFrame(out, 1, body, 10, 10 + writer.bodyFrameMax)
  assert.equal(end, 1 + FRAME_SIZE_MAX)
  assert.equal(out[end - 1], 0xce)
  assert.throws(() => writer.bodyFrame(out, 0, body, 0, writer.bodyFrameMax + 1), RangeError)
  assert.throws(() => writer.bodyFrame(out, 9995, body, 0, 1), RangeError)
})

test('a frame_max below the least is refused', () => {
  assert.throws(() => new ChannelWriter(1, 4095), RangeError)
  assert.equal(new ChannelWriter(1, 0).bodyFrameMax, 16 * 1024 * 1024 - 8)
  assert.equal(HEARTBEAT_FRAME.toString('hex'), '08000000000000ce')
  assert.throws(() => encodeShortString('x'.repeat(256)), RangeError)
})

test('views refuse arguments of any other size, and read no octet outside of them', () => {
  const writer = new ChannelWriter(1, 0)
  const content = stored({ exchange: 'ex', routingKey: 'key', body: new Uint8Array(0) }, 0)
  const tag = encodeShortString('tag')
  const out = Buffer.alloc(400)
  const cases: (readonly [(bytes: Buffer, start: number, end: number) => void, number])[] = []
  const settle = new SettleView()
  const add = (
    view: { read(bytes: Buffer, start: number, end: number): void },
    write: (at: number) => number,
  ): void => {
    const at = cases.length * 100
    write(at)
    cases.push([(bytes, start, end) => view.read(bytes, start, end), at])
  }
  add(new PublishView(), (at) => writer.publish(out, at, true, content))
  add(new DeliverView(), (at) => writer.deliver(out, at, tag, 1, false, content))
  add(new GetOkView(), (at) => writer.getOk(out, at, 1, false, 0, content))
  add(new ReturnView(), (at) => writer.return(out, at, 312, tag, content))
  for (const [read, at] of cases) {
    const start = at + 11
    const end = at + 7 + out.readUInt32BE(at + 3)
    read(out, start, end)
    for (let cut = start; cut < end; cut += 1) {
      assert.throws(() => read(out, start, cut), { name: 'AmqpFrameError', code: 'FRAME_ERROR' })
    }
    assert.throws(() => read(out, start, end + 1), AmqpFrameError)
  }
  const reads = ['readAck', 'readNack', 'readReject'] as const
  for (const read of reads) {
    assert.throws(() => settle[read](out, 0, 8), { classId: 60 })
    assert.throws(() => settle[read](out, 0, 10), AmqpFrameError)
  }
})

test('random octets in a view throw nothing but AmqpFrameError', () => {
  const views = [new PublishView(), new DeliverView(), new GetOkView(), new ReturnView()]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (octets) => {
      const bytes = Buffer.from(octets)
      for (const view of views) {
        try {
          view.read(bytes, 0, bytes.length)
          assert.ok(view.addressEnd <= bytes.length)
        } catch (error) {
          assert.ok(error instanceof AmqpFrameError, String(error))
        }
      }
    }),
    { numRuns: 500 },
  )
})
