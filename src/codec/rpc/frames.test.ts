import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RpcFrameError } from './frame-error.ts'
import { type FrameHandler, FrameParser } from './frame-parser.ts'
import {
  type FrameTarget,
  writeAttach,
  writeBytes,
  writeEmpty,
  writeHello,
  writeMetadata,
  writeNumber,
  writeOpen,
  writeStatus,
  writeText,
  writeWelcome,
} from './frame-writer.ts'
import {
  type AttachFrame,
  decodeAttach,
  decodeHello,
  decodeMetadata,
  decodeNumber,
  decodeOpen,
  decodeStatus,
  decodeText,
  decodeWelcome,
} from './payloads.ts'
import { ATTACH_BYTES_MAX, CONTROL_BYTES_MAX } from './limits.ts'
import { FLAG, FRAME, PREAMBLE } from './spec.ts'

/** Starts anywhere in a buffer that is full of something else. */
class Target implements FrameTarget {
  buffer: Buffer = Buffer.alloc(64, 0xaa)
  at = 3

  reserve(size: number): number {
    if (this.at + size > this.buffer.length) {
      const grown = Buffer.alloc((this.at + size) * 2, 0xaa)
      grown.set(this.buffer)
      this.buffer = grown
    }
    return this.at
  }

  get written(): Buffer {
    return this.buffer.subarray(3, this.at)
  }
}

interface Frame {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

class Collector implements FrameHandler {
  readonly frames: Frame[] = []
  readonly oversized: [number, number][] = []

  frame(type: number, flags: number, id: number, payload: Buffer): void {
    this.frames.push({ type, flags, id, payload: Buffer.from(payload) })
  }

  oversize(id: number, byteLength: number): void {
    this.oversized.push([id, byteLength])
  }
}

/** What is given back is overwritten at once, so that whoever still looks at it is seen. */
const buffers = {
  take: (size: number): Buffer => Buffer.allocUnsafe(size),
  give: (buffer: Buffer): void => void buffer.fill(0xee),
}
const LIMITS = { buffers, hasPreamble: false, messageBytesMax: 300, controlBytesMax: 400 }

const id = fc.nat({ max: 0xffff_ffff })
const bytes = fc.uint8Array({ maxLength: 300 })
const text = fc.string({ unit: 'grapheme', maxLength: 20 })
const metadata = fc
  .array(
    fc.oneof(
      fc.tuple(fc.constant('a'), text),
      fc.tuple(fc.constant('b-bin'), fc.uint8Array({ maxLength: 20 })),
    ),
    { maxLength: 4 },
  )
  .map((entries) => entries.flat())

function one(write: (target: FrameTarget) => void): Frame {
  const target = new Target()
  write(target)
  const collector = new Collector()
  const parser = new FrameParser(collector, { ...LIMITS, controlBytesMax: 100_000 })
  parser.push(target.written)
  assert.equal(collector.frames.length, 1)
  assert.equal(parser.keptBytes, 0)
  return collector.frames[0]!
}

// A socket may cut the stream anywhere.
test('frames come out as they went in, from any cuts', () => {
  const frames = fc.array(fc.record({ id, flags: fc.nat(255), bytes }), { maxLength: 20 })
  fc.assert(
    fc.property(frames, fc.boolean(), fc.array(fc.nat(200)), (sent, hasPreamble, cuts) => {
      const target = new Target()
      for (const frame of sent) writeBytes(target, { ...frame, type: FRAME.DATA }, frame.bytes)
      const wire = Buffer.concat([hasPreamble ? PREAMBLE : Buffer.alloc(0), target.written])
      const collector = new Collector()
      const parser = new FrameParser(collector, { ...LIMITS, hasPreamble })
      let at = 0
      for (const cut of cuts) {
        parser.push(wire.subarray(at, at + cut))
        at += Math.min(cut, wire.length - at)
      }
      parser.push(wire.subarray(at))
      const seen = collector.frames.map(({ id, flags, payload }) => [
        id,
        flags,
        payload.toString('hex'),
      ])
      assert.deepEqual(
        seen,
        sent.map(({ id, flags, bytes }) => [id, flags, Buffer.from(bytes).toString('hex')]),
      )
      assert.equal(parser.keptBytes, 0)
    }),
  )
})

// Large messages may lie anywhere between others, and be cut anywhere.
test('a message above the limit is passed over, and what follows is not', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(sizes, fc.integer({ min: 1, max: 500 }), (all, step) => {
      const target = new Target()
      for (const [index, size] of all.entries()) {
        writeBytes(target, { type: FRAME.DATA, id: index }, new Uint8Array(size))
      }
      const collector = new Collector()
      const parser = new FrameParser(collector, LIMITS)
      for (let at = 0; at < target.written.length; at += step) {
        parser.push(target.written.subarray(at, at + step))
        assert.ok(parser.keptBytes <= 310)
      }
      const entries = [...all.entries()]
      assert.deepEqual(
        collector.oversized,
        entries.filter(([, size]) => size > 300),
      )
      assert.deepEqual(
        collector.frames.map(({ id }) => id),
        entries.filter(([, size]) => size <= 300).map(([index]) => index),
      )
    }),
  )
})

test('a length is compared with its limit before memory is taken', () => {
  for (const [length, type] of [
    [0xffff_ffff, FRAME.OPEN],
    [407, FRAME.STATUS],
    [5, FRAME.DATA],
    [0, FRAME.PING],
  ] as const) {
    const header = Buffer.alloc(10)
    header.writeUInt32BE(length)
    header[8] = type
    const parser = new FrameParser(new Collector(), LIMITS)
    assert.throws(() => parser.push(header), RpcFrameError, `${length}`)
    assert.equal(parser.keptBytes, 0)
    parser.push(header)
  }
})

test('whoever does not begin with the preamble is refused at the first wrong octet', () => {
  for (const first of ['GET / HTTP/1.1', 'PRI * HTTP/2.0', '\u0016\u0003', '\u00f7WAYRPX']) {
    const parser = new FrameParser(new Collector(), { ...LIMITS, hasPreamble: true })
    assert.throws(() => parser.push(Buffer.from(first, 'latin1')), RpcFrameError)
  }
})

// What can be said is read as it was said.
test('every payload reads as it was written', () => {
  const open = fc.record(
    {
      path: text,
      contentType: fc.oneof(fc.constantFrom('json', 'proto', ''), text),
      timeoutMs: id,
      metadata,
    },
    { noNullPrototype: true },
  )
  const details = fc.array(
    fc.record({ type: text, value: fc.uint8Array({ maxLength: 20 }) }, { noNullPrototype: true }),
    { maxLength: 3 },
  )
  const status = fc.record(
    { code: fc.integer({ min: 1, max: 16 }), message: text, details, trailers: metadata },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(id, open, status, (number, opened, ended) => {
      const frame = one((target) => writeOpen(target, number, opened, FLAG.ONE_WAY))
      assert.deepEqual([frame.type, frame.id, frame.flags], [FRAME.OPEN, number, FLAG.ONE_WAY])
      assert.deepEqual(decodeOpen(frame.payload), opened)
      const end = one((target) => writeStatus(target, { type: FRAME.STATUS, id: number }, ended))
      assert.deepEqual(decodeStatus(end.payload), ended)
      const head = one((target) => writeMetadata(target, number, opened.metadata))
      assert.deepEqual(decodeMetadata(head.payload), opened.metadata)
      const credit = one((target) => writeNumber(target, FRAME.CREDIT, 1, number))
      assert.equal(decodeNumber(credit.payload), number)
      const cancel = one((target) => writeText(target, FRAME.CANCEL, 1, opened.path))
      assert.equal(decodeText(cancel.payload), opened.path)
    }),
  )
})

test('what a connection and a provider say of themselves reads as it was written', () => {
  const hello = {
    ...{ vhost: '/', mechanism: 'PLAIN', client: 'test' },
    response: Uint8Array.of(0, 65, 0, 66),
    messageBytesMax: 77,
  }
  assert.deepEqual(decodeHello(one((target) => writeHello(target, hello)).payload), hello)
  const welcome = { messageBytesMax: 5, callsMax: 6, deadlineMsMax: 7 }
  assert.deepEqual(decodeWelcome(one((target) => writeWelcome(target, welcome)).payload), welcome)
  const attach: AttachFrame = {
    ...{ capacity: 8, weight: 2, policy: 'weighted', instanceId: 'ä', version: '1.0' },
    services: ['a.B', 'c.D'],
    labels: [['zone', 'eu']],
    contract: '{"a.B":{"m":{"note":"ö"}}}',
    descriptors: Uint8Array.of(10, 0),
  }
  assert.deepEqual(decodeAttach(one((target) => writeAttach(target, 3, attach)).payload), attach)
  assert.equal(one((target) => writeEmpty(target, FRAME.HALF_CLOSE, 4)).payload.length, 0)
  const ok = one((target) => {
    writeStatus(
      target,
      { type: FRAME.STATUS, id: 1 },
      { code: 0, message: '', details: [], trailers: [] },
    )
  })
  assert.equal(ok.payload.length, 0)
  assert.equal(decodeStatus(ok.payload).code, 0)
})

// Payloads come from peers: counts and lengths in them may say anything.
test('octets that are no payload are refused, whatever they say of their length', () => {
  const decoders = [
    decodeHello,
    decodeWelcome,
    decodeOpen,
    decodeMetadata,
    decodeStatus,
    decodeAttach,
    decodeNumber,
    decodeText,
  ]
  const hostile = fc.array(fc.constantFrom(0, 1, 2, 64, 255), { maxLength: 60 })
  fc.assert(
    fc.property(fc.oneof(bytes, hostile), fc.constantFrom(...decoders), (octets, decode) => {
      try {
        decode(Buffer.from(octets))
      } catch (error) {
        assert.ok(error instanceof RpcFrameError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('only who may attach is taken a larger ATTACH from, and nobody any other large frame', () => {
  const header = (type: number, size: number): Buffer => {
    const bytes = Buffer.alloc(10)
    bytes.writeUInt32BE(size + 6)
    bytes[8] = type
    return bytes
  }
  const parser = (takesAttach: boolean): FrameParser => {
    const made = new FrameParser(new Collector(), {
      buffers,
      hasPreamble: false,
      messageBytesMax: 100,
    })
    made.takesAttach = takesAttach
    return made
  }
  parser(true).push(header(FRAME.ATTACH, ATTACH_BYTES_MAX))
  const refused = { name: 'RpcFrameError', code: 'TOO_LARGE' }
  assert.throws(() => parser(true).push(header(FRAME.ATTACH, ATTACH_BYTES_MAX + 1)), refused)
  assert.throws(() => parser(true).push(header(FRAME.HEAD, CONTROL_BYTES_MAX + 1)), refused)
  assert.throws(() => parser(false).push(header(FRAME.ATTACH, CONTROL_BYTES_MAX + 1)), refused)
})
