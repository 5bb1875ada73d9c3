import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Base64Exchange, Base64Request } from './base64-exchange.ts'
import type { Exchange } from './exchange.ts'

class Recorder implements Exchange {
  readonly isWaiting = false
  sent = ''
  takenBytes = 0
  head(): void {}
  send(first: Uint8Array, second: Uint8Array): void {
    this.sent += Buffer.concat([first, second]).toString('latin1')
  }
  end(): void {}
  taken(bytes: number): void {
    this.takenBytes += bytes
  }
  stopClient(): void {}
}

// A client may encode its content in any pieces, padding inside, and the network may cut it anywhere.
test('what was encoded in pieces and cut anywhere is the same content', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 40 }),
      fc.boolean(),
      (pieces, cuts, isTakenLate) => {
        const text = pieces.map((piece) => Buffer.from(piece).toString('base64')).join('')
        const recorder = new Recorder()
        const exchange = new Base64Exchange(recorder)
        const got: Buffer[] = []
        let ends = 0
        const request = new Base64Request(exchange, {
          content: (bytes, start, end, isEnd) => {
            got.push(Buffer.from(bytes.subarray(start, end)))
            if (!isTakenLate) exchange.taken(end - start)
            if (isEnd) ends += 1
          },
          sent: () => {},
          lost: () => {},
        })
        const wire = Buffer.from(text, 'latin1')
        let at = 0
        for (const cut of cuts) {
          const next = Math.min(at + cut, wire.length)
          request.content(wire, at, next, false)
          at = next
        }
        request.content(wire, at, wire.length, true)
        const content = Buffer.concat(got)
        assert.deepEqual(content, Buffer.concat(pieces))
        assert.equal(ends, 1)
        if (isTakenLate) exchange.taken(content.length)
        assert.equal(recorder.takenBytes, wire.length, 'all that came is given back')
      },
    ),
  )
})

test('what is sent is text that whoever decodes it piece by piece understands', () => {
  const recorder = new Recorder()
  const exchange = new Base64Exchange(recorder)
  exchange.send(Buffer.from([0, 0, 0, 0, 1]), Buffer.from([7]))
  exchange.send(Buffer.from([128, 0, 0, 0, 1]), Buffer.from('x'))
  assert.equal(recorder.sent, 'AAAAAAEHgAAAAAF4')
})
