import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../lib/clock.ts'
import { beginsWith, oneOf } from './first-bytes.ts'
import { FIRST_BYTES_TIMEOUT_MS } from './limits.ts'
import type { ConnectionHandler, ProtocolHandler, Transport } from './transport.ts'

class Seen implements ProtocolHandler {
  readonly name: string
  text = ''
  closedCount = 0

  constructor(name: string) {
    this.name = name
  }

  accept(): ConnectionHandler {
    return {
      received: (bytes) => void (this.text += bytes.toString('latin1')),
      drained: () => {},
      ended: () => {},
      closed: () => void this.closedCount++,
      shutdown: () => {},
    }
  }
}

function rig(): {
  first: Seen
  second: Seen
  clock: ManualClock
  isGone: () => boolean
  connection: ConnectionHandler
} {
  const first = new Seen('first')
  const second = new Seen('second')
  const clock = new ManualClock()
  let gone = false
  const choices = [
    { protocol: first, matches: (bytes: Buffer) => beginsWith(bytes, Buffer.from('PRI * HTTP')) },
    { protocol: second, matches: (bytes: Buffer) => beginsWith(bytes, Buffer.from('POST')) },
  ]
  const transport = { destroy: () => void (gone = true), end: () => void (gone = true) }
  const handler = oneOf('rpc', choices, clock)
  // Nothing else of a transport is used before a protocol has it.
  const connection = handler.accept(transport as unknown as Transport)
  return { first, second, clock, isGone: () => gone, connection }
}

test('the first bytes choose the protocol, in any pieces, and it gets all of them', () => {
  const { first, second, connection } = rig()
  for (const octet of 'PRI * HTTP/2.0') connection.received(Buffer.from(octet))
  assert.equal(first.text, 'PRI * HTTP/2.0')
  assert.equal(second.text, '')
  connection.closed(null)
  assert.equal(first.closedCount, 1)
})

test('what differs late goes to the one that it is', () => {
  const { second, connection } = rig()
  connection.received(Buffer.from('P'))
  connection.received(Buffer.from('OST / HTTP/1.1'))
  assert.equal(second.text, 'POST / HTTP/1.1')
})

test('what no protocol begins with, and silence, are closed', () => {
  const stranger = rig()
  stranger.connection.received(Buffer.from('PUT'))
  assert.equal(stranger.isGone(), true)
  const silent = rig()
  silent.connection.received(Buffer.from('PR'))
  silent.clock.advance(FIRST_BYTES_TIMEOUT_MS)
  assert.equal(silent.isGone(), true)
})
