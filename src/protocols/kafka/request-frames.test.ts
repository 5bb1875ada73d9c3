import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type FrameHandler, RequestFrames } from './request-frames.ts'

const LIMIT = 20_000

class Collector implements FrameHandler {
  readonly frameBytesMax = LIMIT
  readonly frames: Buffer[] = []
  /** Says 'no more' after so many. */
  patience = Infinity

  onFrame(bytes: Buffer, start: number, end: number): boolean {
    this.frames.push(Buffer.from(bytes.subarray(start, end)))
    return this.frames.length % this.patience !== 0
  }
}

function wireOf(requests: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    requests.flatMap((request) => {
      const size = Buffer.alloc(4)
      size.writeInt32BE(request.length)
      return [size, request]
    }),
  )
}

// A socket may cut the stream anywhere, also within a size.
test('requests come out whole from any cuts, and as often as the handler wants them', () => {
  const request = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 4000, maxLength: 12_000 }),
  )
  fc.assert(
    fc.property(
      fc.array(request, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 3 }),
      (requests, cuts, patience) => {
        const collector = new Collector()
        collector.patience = patience
        const frames = new RequestFrames(collector)
        const wire = wireOf(requests)
        let at = 0
        for (let turn = 0; at < wire.length; turn++) {
          let read = Buffer.from(wire.subarray(at, at + cuts[turn % cuts.length]!))
          at += read.length
          while (read.length > 0) {
            const used = frames.push(read)
            assert.ok(used > 0)
            const rest = read.subarray(used)
            // What was handed over is borrowed: whoever keeps it must have copied it.
            read.fill(0xee, 0, used)
            read = rest
          }
        }
        assert.deepEqual(
          collector.frames,
          requests.map((one) => Buffer.from(one)),
        )
      },
    ),
  )
})

test('a size that no request may have is refused before any memory is taken', () => {
  for (const size of [LIMIT + 1, 0x7fff_ffff, -1]) {
    const wire = Buffer.alloc(4)
    wire.writeInt32BE(size)
    assert.throws(() => new RequestFrames(new Collector()).push(wire), /a request of/)
    const frames = new RequestFrames(new Collector())
    frames.push(wire.subarray(0, 3))
    assert.throws(() => frames.push(wire.subarray(3)), /a request of/, 'cut within its size')
  }
})
