import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HEARTBEAT_FRAME } from './channel-writer.ts'
import { AmqpFrameError } from './frame-error.ts'
import { FrameParser } from './frame-parser.ts'
import type { FrameHandler } from './frame-parser.ts'
import { FRAME_OVERHEAD_BYTES, FRAME_SIZE_HARD_MAX } from './limits.ts'
import { FRAME } from './spec.gen.ts'

interface Frame {
  readonly type: 'method' | 'header' | 'body' | 'heartbeat'
  readonly channel: number
  readonly payload: Uint8Array
}

const TYPES = { method: FRAME.METHOD, header: FRAME.HEADER, body: FRAME.BODY, heartbeat: 8 }

function encode(frame: Frame): Buffer {
  const out = Buffer.alloc(frame.payload.length + FRAME_OVERHEAD_BYTES)
  out[0] = TYPES[frame.type]
  out.writeUInt16BE(frame.channel, 1)
  out.writeUInt32BE(frame.payload.length, 3)
  out.set(frame.payload, 7)
  out[out.length - 1] = FRAME.END
  return out
}

/** Writes down what it is told, with the pieces of a body frame put together. */
class Recorder implements FrameHandler {
  readonly frames: string[] = []
  body = ''
  onEach: () => void = () => undefined

  onMethod(channel: number, methodId: number, bytes: Buffer, start: number, end: number): void {
    this.frames.push(`method ${channel} ${methodId} ${bytes.toString('hex', start, end)}`)
    this.onEach()
  }

  onHeader(channel: number, bytes: Buffer, start: number, end: number): void {
    this.frames.push(`header ${channel} ${bytes.toString('hex', start, end)}`)
    this.onEach()
  }

  onBody(channel: number, bytes: Buffer, start: number, end: number): void {
    const hex = bytes.toString('hex', start, end)
    const last = this.frames.at(-1)
    if (last?.startsWith(`body ${channel} `) === true) this.frames[this.frames.length - 1] += hex
    else this.frames.push(`body ${channel} ${hex}`)
    this.onEach()
  }

  onHeartbeat(): void {
    this.frames.push('heartbeat')
    this.onEach()
  }
}

function expected(frames: readonly Frame[]): string[] {
  const recorder = new Recorder()
  for (const { type, channel, payload } of frames) {
    const bytes = Buffer.from(payload)
    if (type === 'method') {
      recorder.onMethod(channel, bytes.readUInt32BE(0), bytes, 4, bytes.length)
    } else if (type === 'header') recorder.onHeader(channel, bytes, 0, bytes.length)
    else if (type === 'body') recorder.onBody(channel, bytes, 0, bytes.length)
    else recorder.onHeartbeat()
  }
  return recorder.frames
}

const channels = fc.integer({ min: 0, max: 0xffff })
const frames: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant('method' as const),
    channel: channels,
    payload: fc.uint8Array({ minLength: 4, maxLength: 80 }),
  }),
  fc.record({
    type: fc.constantFrom('header' as const, 'body' as const),
    channel: channels,
    payload: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.constant({ type: 'heartbeat' as const, channel: 0, payload: new Uint8Array(0) }),
)

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
test('frames come out the same from any cut and any byteOffset', () => {
  fc.assert(
    fc.property(
      fc.array(frames, { maxLength: 12 }),
      fc.array(fc.nat(4000), { maxLength: 12 }),
      fc.nat(64),
      (list, cuts, offset) => {
        const recorder = new Recorder()
        const parser = new FrameParser(recorder, 4096)
        for (const piece of pieces(Buffer.concat(list.map(encode)), cuts, offset)) {
          assert.equal(parser.push(piece), piece.length)
          // The read's memory is used again as soon as push returns.
          piece.fill(0x55)
        }
        assert.deepEqual(recorder.frames, expected(list))
        assert.equal(parser.keptBytes, 0)
      },
    ),
    { numRuns: 300 },
  )
})

test('frames come out the same octet by octet, from the middle of a read', () => {
  const list: Frame[] = [
    { type: 'method', channel: 1, payload: Buffer.from('003c0028aabbcc', 'hex') },
    { type: 'header', channel: 1, payload: Buffer.alloc(14, 1) },
    { type: 'body', channel: 1, payload: Buffer.alloc(600, 2) },
    { type: 'body', channel: 2, payload: Buffer.alloc(0) },
    { type: 'body', channel: 3, payload: Buffer.alloc(1, 9) },
    { type: 'heartbeat', channel: 0, payload: Buffer.alloc(0) },
  ]
  const wire = Buffer.concat(list.map(encode))
  const recorder = new Recorder()
  const parser = new FrameParser(recorder)
  for (let at = 0; at < wire.length; at += 1) parser.push(wire, at, at + 1)
  assert.deepEqual(recorder.frames, expected(list))
})

test('a body frame with a wrong end is never shown to its last octet', () => {
  const wire = encode({ type: 'body', channel: 1, payload: Buffer.from('abcd') })
  wire[wire.length - 1] = 0
  for (let cut = 0; cut <= wire.length; cut += 1) {
    const recorder = new Recorder()
    const parser = new FrameParser(recorder)
    assert.throws(
      () => {
        parser.push(wire, 0, cut)
        parser.push(wire, cut)
      },
      { name: 'AmqpFrameError', code: 'FRAME_ERROR', replyCode: 501 },
    )
    const shown = recorder.frames.join('').replace('body 1 ', '')
    assert.ok(shown.length < 8, `cut at ${cut} showed '${shown}'`)
  }
})

// Each of these is hostile or broken; the codes are those of RabbitMQ.
test('broken frames end with the right code', () => {
  const cases: readonly (readonly [string, AmqpFrameError['code']])[] = [
    ['0400000000000' + '0ce', 'FRAME_ERROR'],
    ['47455420', 'FRAME_ERROR'],
    ['01000000000002000ace', 'FRAME_ERROR'],
    ['010001ffffffff', 'FRAME_ERROR'],
    ['03000100001ff9', 'FRAME_ERROR'],
    ['080000000000015ace', 'FRAME_ERROR'],
    ['08000100000000ce', 'UNEXPECTED_FRAME'],
  ]
  for (const [hex, code] of cases) {
    const wire = Buffer.from(hex.padEnd(16, '0'), 'hex')
    assert.throws(
      () => new FrameParser(new Recorder()).push(wire),
      (error) => error instanceof AmqpFrameError && error.code === code,
      hex,
    )
    const bytewise = new FrameParser(new Recorder())
    assert.throws(
      () => wire.forEach((_, at) => bytewise.push(wire, at, at + 1)),
      (error) => error instanceof AmqpFrameError && error.code === code,
      `${hex} octet by octet`,
    )
  }
})

test('a frame of exactly the limit passes, one octet more does not', () => {
  const recorder = new Recorder()
  const parser = new FrameParser(recorder, 4096)
  parser.push(encode({ type: 'header', channel: 1, payload: Buffer.alloc(4088) }))
  assert.equal(recorder.frames.length, 1)
  assert.throws(
    () => parser.push(encode({ type: 'header', channel: 1, payload: Buffer.alloc(4089) })),
    /4097 octets, the limit is 4096/,
  )
})

test('a size beyond the limit is refused before its octets are kept', () => {
  const parser = new FrameParser(new Recorder(), 4096)
  parser.push(Buffer.from('0100010000', 'hex'))
  assert.throws(() => parser.push(Buffer.from('0ff9', 'hex')), AmqpFrameError)
  assert.equal(parser.keptBytes, 0)
})

test('frame_max may be raised by a callback and 0 means the hard limit', () => {
  const recorder = new Recorder()
  const parser = new FrameParser(recorder)
  recorder.onEach = () => {
    parser.frameSizeMax = 0
  }
  const tune = encode({ type: 'method', channel: 0, payload: Buffer.alloc(4) })
  const large = encode({ type: 'header', channel: 0, payload: Buffer.alloc(20_000) })
  parser.push(Buffer.concat([tune, large]))
  assert.equal(recorder.frames.length, 2)
  assert.equal(parser.frameSizeMax, FRAME_SIZE_HARD_MAX)
})

// A connection pauses while a declare is under way and goes on with the rest afterwards.
test('pause stops behind the frame it was called in and loses nothing', () => {
  fc.assert(
    fc.property(
      fc.array(frames, { minLength: 1, maxLength: 8 }),
      fc.array(fc.nat(2000), { maxLength: 5 }),
      (list, cuts) => {
        const recorder = new Recorder()
        const parser = new FrameParser(recorder, 4096)
        let calls = 0
        recorder.onEach = () => {
          calls += 1
          parser.pause()
        }
        for (const piece of pieces(Buffer.concat(list.map(encode)), cuts, 3)) {
          for (let at = 0; at < piece.length;) {
            calls = 0
            at = parser.push(piece, at)
            assert.ok(calls <= 1)
          }
        }
        assert.deepEqual(recorder.frames, expected(list))
      },
    ),
    { numRuns: 200 },
  )
})

test('after stop, and after a throw, everything is dropped', () => {
  const recorder = new Recorder()
  const parser = new FrameParser(recorder)
  recorder.onEach = () => parser.stop()
  const twice = Buffer.concat([HEARTBEAT_FRAME, HEARTBEAT_FRAME])
  assert.equal(parser.push(twice), twice.length)
  parser.push(twice)
  assert.deepEqual(recorder.frames, ['heartbeat'])

  const thrower = new Recorder()
  thrower.onEach = () => {
    throw new Error('handler')
  }
  const broken = new FrameParser(thrower)
  assert.throws(() => broken.push(twice), /handler/)
  broken.push(twice)
  assert.deepEqual(thrower.frames, ['heartbeat'])
})

test('random octets throw nothing but AmqpFrameError and keep no more than the limit', () => {
  const types = fc.constantFrom(1, 2, 3, 8)
  const likely = fc
    .tuple(types, fc.nat(3), fc.nat(40), fc.uint8Array({ maxLength: 60 }))
    .map(([type, channel, size, rest]) => [type, 0, channel, 0, 0, 0, size, ...rest])
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.uint8Array({ maxLength: 100 }), likely), { maxLength: 6 }),
      (reads) => {
        const parser = new FrameParser(new Recorder(), 4096)
        try {
          for (const read of reads) parser.push(Buffer.from(read))
        } catch (error) {
          assert.ok(error instanceof AmqpFrameError, String(error))
        }
        assert.ok(parser.keptBytes <= 4096)
      },
    ),
    { numRuns: 500 },
  )
})

test('one large frame that was cut costs no memory afterwards', () => {
  const wire = encode({ type: 'header', channel: 1, payload: Buffer.alloc(100_000) })
  const parser = new FrameParser(new Recorder(), 131_072)
  parser.push(wire, 0, 50_000)
  assert.ok(parser.roomBytes >= 100_000)
  parser.push(wire, 50_000)
  assert.ok(parser.roomBytes <= 8192)
})

test('a body of many reads is handed on and never kept', () => {
  const payload = Buffer.alloc(100_000, 7)
  const wire = encode({ type: 'body', channel: 1, payload })
  const recorder = new Recorder()
  let most = 0
  const parser = new FrameParser(recorder, 131_072)
  for (let at = 0; at < wire.length; at += 1000) {
    parser.push(wire, at, Math.min(at + 1000, wire.length))
    most = Math.max(most, parser.keptBytes)
  }
  assert.equal(recorder.frames[0], `body 1 ${payload.toString('hex')}`)
  assert.ok(most <= 1, `kept ${most}`)
})
