import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameParser, RpcFrameError, FRAME, writeBytes } from '../codec/rpc/index.ts'
import { ManualClock } from '../lib/clock.ts'
import {
  type CallHead,
  type Callee,
  CALL_WINDOW,
  type ReplySink,
  type RequestSink,
} from './call.ts'
import { FramePeer, type PeerOutput } from './frame-peer.ts'
import { hopOf } from './hop.ts'
import { Metadata } from './metadata.ts'
import { OK_STATUS, type Status } from './status.ts'

class Output implements PeerOutput {
  buffer: Buffer = Buffer.alloc(4096)
  at = 0
  writtenBytes = 0

  reserve(size: number): number {
    if (this.at + size > this.buffer.length) {
      const grown = Buffer.alloc((this.at + size) * 2)
      grown.set(this.buffer.subarray(0, this.at))
      this.buffer = grown
    }
    return this.at
  }

  take(): Buffer {
    const bytes = Buffer.from(this.buffer.subarray(0, this.at))
    this.writtenBytes += this.at
    this.at = 0
    return bytes
  }
}

class Ears implements ReplySink {
  readonly heard: string[] = []
  ended: Status | null = null

  head(metadata: Metadata): void {
    this.heard.push(`head ${[...metadata].join()}`)
  }

  reply(bytes: Uint8Array): void {
    this.heard.push(String(Buffer.from(bytes)))
  }

  status(status: Status): void {
    assert.equal(this.ended, null)
    this.ended = status
  }

  creditRequests(cost: number): void {
    this.heard.push(`credit ${cost}`)
  }
}

/** Says back what it hears, and writes down how calls end. */
class Echo implements Callee {
  readonly cancelled: string[] = []
  openCount = 0
  answers = true

  open(_head: CallHead, reply: ReplySink): RequestSink {
    this.openCount += 1
    return {
      message: (bytes, isLast) => {
        if (!this.answers) return
        reply.reply(bytes)
        if (isLast) this.#end(reply)
      },
      halfClose: () => this.#end(reply),
      cancel: (reason) => {
        this.openCount -= 1
        this.cancelled.push(reason)
      },
      creditReplies: () => {},
    }
  }

  #end(reply: ReplySink): void {
    this.openCount -= 1
    reply.status(OK_STATUS, Metadata.EMPTY)
  }
}

interface Side {
  readonly peer: FramePeer
  readonly output: Output
  readonly parser: FrameParser
  readonly echo: Echo
}

function side(isInitiator: boolean, callsMax = 100): Side {
  const output = new Output()
  const echo = new Echo()
  const peer = new FramePeer({
    output,
    requestOutput: () => {},
    callee: echo,
    isInitiator,
    clock: new ManualClock(),
    callsMax,
    deadlineMsMax: 60_000,
  })
  const handler = {
    frame: (type: number, flags: number, id: number, payload: Buffer): void => {
      if (id !== 0) peer.frame(type, flags, id, payload)
    },
    oversize: (id: number): void => peer.oversize(id, 'too large'),
  }
  const buffers = { take: (size: number) => Buffer.allocUnsafe(size), give: () => {} }
  const parser = new FrameParser(handler, { buffers, hasPreamble: false, messageBytesMax: 1000 })
  return { peer, output, parser, echo }
}

/** Carries what each side has written to the other one, until both are quiet. */
function exchange(one: Side, two: Side, step: number): void {
  for (let round = 0; round < 20; round++) {
    for (const [from, to] of [
      [one, two],
      [two, one],
    ] as const) {
      const bytes = from.output.take()
      for (let at = 0; at < bytes.length; at += step) to.parser.push(bytes.subarray(at, at + step))
    }
    if (one.output.at + two.output.at === 0) return
  }
  assert.fail('the two sides never came to rest')
}

const HEAD: CallHead = {
  ...{ path: '/a.B/c', metadata: Metadata.EMPTY, deadlineMs: 1000, contentType: 'json' },
  isOneWay: false,
}

// Both sides call each other, their messages are cut anywhere, and calls are cancelled at any time.
test('each call hears its own answers in order, and none is left over', () => {
  const call = fc.record({
    isFirst: fc.boolean(),
    texts: fc.array(fc.string({ maxLength: 20 }), { maxLength: 4 }),
    cancels: fc.boolean(),
  })
  const step = fc.integer({ min: 1, max: 200 })
  fc.assert(
    fc.property(fc.array(call, { maxLength: 20 }), step, (calls, size) => {
      const one = side(true)
      const two = side(false)
      const made = calls.map(({ isFirst, texts, cancels }) => {
        const ears = new Ears()
        const request = (isFirst ? one : two).peer.open(HEAD, ears)
        for (const text of texts) request.message(Buffer.from(text), false)
        if (cancels) request.cancel('enough')
        else request.halfClose()
        if (texts.length > 2) exchange(one, two, size)
        return { ears, texts, cancels }
      })
      exchange(one, two, size)
      for (const { ears, texts, cancels } of made) {
        assert.equal(ears.ended?.code, cancels ? undefined : 'OK')
        assert.deepEqual(ears.heard, cancels ? [] : texts)
      }
      assert.deepEqual([one.peer.callCount, two.peer.callCount], [0, 0])
      assert.deepEqual([one.echo.openCount, two.echo.openCount], [0, 0])
    }),
  )
})

test('a lost connection ends every call once, with what is known of it', () => {
  const one = side(true)
  const two = side(false)
  two.echo.answers = false
  const sent = new Ears()
  one.peer.open(HEAD, sent).message(Buffer.from('a'), true)
  exchange(one, two, 1000)
  const unsent = new Ears()
  one.peer.open(HEAD, unsent).message(Buffer.from('b'), true)
  one.peer.lost('the wire was cut')
  two.peer.lost('the wire was cut')
  assert.equal(hopOf(sent.ended!)?.stage, 'delivered')
  assert.equal(hopOf(unsent.ended!)?.stage, 'queued')
  assert.deepEqual(two.echo.cancelled, ['the wire was cut'])
  const late = new Ears()
  one.peer.open(HEAD, late)
  assert.equal(hopOf(late.ended!)?.stage, 'queued')
})

test('too many calls, a draining side and a sender beyond its window are refused', () => {
  const one = side(true)
  const two = side(false, 2)
  two.echo.answers = false
  const ears = Array.from({ length: 3 }, () => new Ears())
  const [first] = ears.map((each) => one.peer.open(HEAD, each))
  exchange(one, two, 1000)
  assert.equal(ears[2]!.ended?.code, 'RESOURCE_EXHAUSTED')
  for (let sent = 0; sent <= CALL_WINDOW; sent += 932) first!.message(Buffer.alloc(900), false)
  assert.ok(two.peer.callCount === 2)
  first!.message(Buffer.alloc(1), false)
  exchange(one, two, 1000)
  assert.equal(ears[0]!.ended?.code, 'RESOURCE_EXHAUSTED')
  two.peer.drain('closing')
  const late = new Ears()
  one.peer.open(HEAD, late)
  exchange(one, two, 1000)
  assert.equal(hopOf(late.ended!)?.stage, 'queued')
})

// A peer may send any frame at any time.
test('whatever frames come, a side refuses them or goes on, and holds no more calls than it may', () => {
  const frame = fc.record({
    type: fc.oneof(fc.constantFrom(...Object.values(FRAME)), fc.nat(255)),
    flags: fc.nat(3),
    id: fc.nat(12),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constant(Buffer.from('0000006401000661'.padEnd(16, '0') + '2f612e422f630000', 'hex')),
    ),
  })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 40 }), (frames) => {
      const one = side(true, 3)
      const target = new Output()
      for (const { type, flags, id, payload } of frames)
        writeBytes(target, { type, flags, id }, payload)
      try {
        one.parser.push(target.take())
      } catch (error) {
        assert.ok(error instanceof RpcFrameError, String(error))
      }
      assert.ok(one.peer.callCount <= 3)
      one.peer.lost('over')
      assert.equal(one.peer.callCount, 0)
    }),
    { numRuns: 500 },
  )
})
