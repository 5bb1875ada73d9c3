import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  decodeBinary,
  decodeDetails,
  decodeFields,
  decodeMessage,
  encodeBinary,
  encodeFields,
  encodeMessage,
  encodeStatus,
  formatTimeout,
  GrpcFrameError,
  MessageReader,
  type MessageTarget,
  parseTimeout,
  PREFIX_BYTES,
  writePrefix,
} from './index.ts'

/** Takes as many messages as it is allowed to. */
class Taker implements MessageTarget {
  readonly messages: Buffer[] = []
  lastCount = 0
  allowance: number

  constructor(allowance: number) {
    this.allowance = allowance
  }

  get isReady(): boolean {
    return this.allowance > 0
  }

  onMessage(bytes: Buffer, _flags: number, isLast: boolean): void {
    this.allowance -= 1
    this.messages.push(Buffer.from(bytes))
    if (isLast) this.lastCount += 1
  }
}

function framed(messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.map((message) => {
      const bytes = Buffer.alloc(PREFIX_BYTES + message.length)
      writePrefix(bytes, 0, message.length)
      bytes.set(message, PREFIX_BYTES)
      return bytes
    }),
  )
}

// Pieces are cut anywhere and overwritten afterwards, and the target stops and goes on at will.
test('messages come out whole and in order from any pieces, and the last one is told', () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 3000 }), { minLength: 1, maxLength: 8 })
  const cuts = fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1 })
  fc.assert(
    fc.property(messages, cuts, fc.integer({ min: 1, max: 3 }), (all, sizes, allowance) => {
      const wire = framed(all)
      const taker = new Taker(allowance)
      const reader = new MessageReader(taker, 4000)
      let turn = 0
      for (let at = 0; at < wire.length;) {
        const size = Math.min(sizes[turn++ % sizes.length]!, wire.length - at)
        const piece = Buffer.from(wire.subarray(at, at + size))
        const isEnd = at + size === wire.length
        at += size
        for (let from = 0; from < size || reader.isBlocked;) {
          from = reader.push(piece, from, size, isEnd)
          if (from < size || reader.isBlocked) taker.allowance = allowance
        }
        piece.fill(0xaa)
      }
      assert.deepEqual(
        taker.messages,
        all.map((message) => Buffer.from(message)),
      )
      assert.equal(taker.lastCount, 1)
      assert.equal(reader.isBetweenMessages, true)
    }),
  )
})

test('a length above the limit is refused before there is room for it', () => {
  const reader = new MessageReader(new Taker(9), 1000)
  const wire = Buffer.from([0, 0, 0, 3, 0xe9, 1, 2])
  assert.throws(() => reader.push(wire, 0, wire.length, false), GrpcFrameError)
  const cut = new MessageReader(new Taker(9), 1000)
  cut.push(wire, 0, 3, false)
  assert.throws(
    () => cut.push(wire, 3, 7, false),
    /received message larger than max \(1001 vs. 1000\)/,
  )
})

test('texts and octets come back from header fields', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
      const encoded = encodeMessage(text.toWellFormed(), 100_000)
      assert.match(encoded, /^([!-~]([ -~]*[!-~])?)?$/)
      assert.equal(decodeMessage(encoded), text.toWellFormed())
      assert.deepEqual(decodeBinary(encodeBinary(bytes)), [Buffer.from(bytes)])
    }),
  )
  assert.equal(decodeMessage('100%'), '100%')
  assert.deepEqual(decodeBinary('YQ,Yg=='), [Buffer.from('a'), Buffer.from('b')])
})

test('timeouts are read and written', () => {
  assert.equal(parseTimeout('10S'), 10_000)
  assert.equal(parseTimeout('250m'), 250)
  assert.equal(parseTimeout('99999999n'), 99.999_999)
  for (const bad of ['', 'S', '10', '10s', '123456789S', '-1S', '1.5S']) {
    assert.equal(parseTimeout(bad), null)
  }
  assert.equal(formatTimeout(0.2), '1m')
  assert.equal(formatTimeout(1e9), '1000000S')
})

test('details come back from a status, and hostile octets are no message', () => {
  const details = [{ type: 'type.googleapis.com/a.B', value: Uint8Array.of(1, 2) }]
  assert.deepEqual(decodeDetails(encodeStatus(5, 'gone', details)), details)
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      decodeDetails(bytes)
      const fields = decodeFields(bytes)
      if (fields !== null) encodeFields(fields)
    }),
  )
})
