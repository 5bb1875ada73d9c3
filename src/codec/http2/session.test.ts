import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { exchange, Http2Peer } from '../../../test/support/http2-peer.ts'
import type { Http2Stream } from './index.ts'
import { ERROR, PREFACE } from './index.ts'

const REQUEST = [':method', 'POST', ':scheme', 'http', ':path', '/a', ':authority', 'b']
const ANSWER = [':status', '200', 'content-type', 'text/plain']
const TRAILERS = ['grpc-status', '0']

function pair(options: { streamsMax?: number } = {}): { client: Http2Peer; server: Http2Peer } {
  const server = new Http2Peer('server', options)
  const client = new Http2Peer('client')
  exchange(client, server)
  return { client, server }
}

/** Says back what came. */
function echo(server: Http2Peer): void {
  server.onWhole = (stream) => {
    server.session.sendHeaders(stream, ANSWER)
    server.session.sendData(stream, server.contentOf(stream), false)
    server.session.sendTrailers(stream, TRAILERS)
  }
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, payload])
}

// Reads cut frames anywhere, contents are larger than windows, and streams share a connection.
test('what is sent comes back whole, whatever the cuts', () => {
  const sizes = fc.array(fc.nat(400_000), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(
      sizes,
      fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }),
      (all, cuts) => {
        const { client, server } = pair()
        echo(server)
        let turn = 0
        const streams = all.map((size, index) => {
          const stream = client.session.open(REQUEST, ['x-index', String(index)])
          client.session.sendData(stream, Buffer.alloc(size, index + 1), true)
          return stream
        })
        exchange(client, server, () => cuts[turn++ % cuts.length]!)
        for (const [index, stream] of streams.entries()) {
          const back = client.contentOf(stream)
          assert.equal(back.length, all[index])
          assert.ok(back.every((octet) => octet === index + 1))
          assert.ok(client.events.includes(`trailers ${stream.id} grpc-status 0`))
        }
        assert.equal(client.session.streamCount + server.session.streamCount, 0)
        assert.equal(client.session.waitingBytes + server.session.waitingBytes, 0)
        assert.equal(client.session.failure ?? server.session.failure, null)
      },
    ),
    { numRuns: 40 },
  )
})

// The first 24 octets decide; the rest may be anything, in any reads.
test('no octets do more than end the connection, and never without a GOAWAY', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc
      .tuple(fc.nat(11), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 40 }))
      .map(([type, flags, id, payload]) => frame(type, flags, id, payload)),
  )
  fc.assert(
    fc.property(fc.array(piece), fc.boolean(), (pieces, isServer) => {
      const peer = new Http2Peer(isServer ? 'server' : 'client')
      if (isServer) peer.session.push(PREFACE)
      peer.session.push(frame(4, 0, 0, Buffer.alloc(0)))
      if (!isServer) for (let i = 0; i < 3; i++) peer.session.open(REQUEST, null)
      peer.sink.take()
      for (const bytes of pieces) peer.session.push(Buffer.from(bytes))
      const said = peer.sink.take()
      if (peer.session.failure === null) return
      assert.equal(peer.session.streamCount, 0)
      assert.ok(said.includes(Buffer.from([7, 0, 0, 0, 0, 0])), 'a GOAWAY')
    }),
    { numRuns: 1000 },
  )
})

test('a peer that gives no window makes data wait, and the rest goes on', () => {
  const { client, server } = pair()
  client.takes = false
  server.onWhole = (stream) => {
    server.session.sendHeaders(stream, ANSWER)
    server.session.sendData(stream, Buffer.alloc(600_000), true)
  }
  const stream = client.session.open(REQUEST, null, { isLast: true })
  exchange(client, server)
  assert.equal(client.contentOf(stream).length, 256 * 1024)
  assert.equal(server.session.waitingBytes, 600_000 - 256 * 1024)
  client.session.taken(stream, 256 * 1024)
  exchange(client, server)
  assert.equal(client.contentOf(stream).length, 512 * 1024)
  client.session.reset(stream, ERROR.CANCEL)
  exchange(client, server)
  assert.equal(server.session.waitingBytes, 0)
  assert.deepEqual(server.events, ['headers 1', 'reset 1 8'])
})

test('a drain serves what is on its way and refuses the rest', () => {
  const { client, server } = pair()
  const first = client.session.open(REQUEST, null)
  exchange(client, server)
  server.session.drain('the broker is stopping')
  // On its way before the client heard of it.
  const second = client.session.open(REQUEST, null, { isLast: true })
  const toServer = client.sink.take()
  server.session.push(toServer)
  exchange(client, server)
  assert.equal(client.goawayCode, 0)
  assert.ok(client.events.includes('goaway 0 the broker is stopping'))
  assert.equal(client.session.hasRoom, false)
  assert.deepEqual(server.events, ['headers 1', 'headers 3'])
  assert.equal(server.session.isDrained, false)
  echo(server)
  client.session.sendData(first, Buffer.from('x'), true)
  server.session.sendHeaders(streamOf(server, 3), ANSWER, { isLast: true })
  exchange(client, server)
  assert.equal(server.session.isDrained, true)
  assert.equal(client.session.streamCount, 0)
  assert.equal(second.isOver, true)
})

function streamOf(peer: Http2Peer, id: number): Http2Stream {
  const stream = peer.streams.get(id)
  assert.ok(stream !== undefined)
  return stream
}

test('streams above the limit are refused and may be tried again', () => {
  const { client, server } = pair({ streamsMax: 2 })
  for (let i = 0; i < 2; i++) client.session.open(REQUEST, null)
  assert.equal(client.session.hasRoom, false)
  // A client that does not look.
  client.session.open(REQUEST, null)
  exchange(client, server)
  assert.deepEqual(client.events, ['reset 5 7'])
  assert.equal(client.session.hasRoom, false)
  assert.equal(server.session.streamCount, 2)
})

test('a header block in many frames is read, and one without end is refused', () => {
  const { client, server } = pair()
  const large = ['x-large', 'y'.repeat(20_000)]
  client.session.open([...REQUEST, ...large], null, { isLast: true })
  exchange(client, server)
  assert.equal(server.heads[0]!.get('x-large')!.length, 20_000)
  server.session.push(frame(1, 0, 3, Buffer.alloc(16_384)))
  for (let i = 0; i < 40 && server.session.failure === null; i++) {
    server.session.push(frame(9, 0, 3, Buffer.from([0x82])))
  }
  assert.equal(server.session.failure?.code, ERROR.ENHANCE_YOUR_CALM)
})

test('rapid reset ends the connection, and a client that is served may reset at will', () => {
  const { client, server } = pair()
  for (let i = 0; i < 5000 && server.session.failure === null; i++) {
    const stream = client.session.open(REQUEST, null)
    client.session.reset(stream, ERROR.CANCEL)
    server.session.push(client.sink.take())
  }
  assert.equal(server.session.failure?.code, ERROR.ENHANCE_YOUR_CALM)
  exchange(client, server)
  assert.equal(client.goawayCode, ERROR.ENHANCE_YOUR_CALM)

  const calm = pair()
  echo(calm.server)
  for (let i = 0; i < 5000; i++) {
    calm.client.session.open(REQUEST, null, { isLast: true })
    calm.client.session.reset(calm.client.session.open(REQUEST, null), ERROR.CANCEL)
    exchange(calm.client, calm.server)
  }
  assert.equal(calm.server.session.failure, null)
})

const FLOODS: readonly (readonly [string, Buffer])[] = [
  ['PING', frame(6, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', frame(4, 0, 0, Buffer.alloc(0))],
  ['PRIORITY', frame(2, 0, 1, Buffer.alloc(5))],
  ['empty DATA', frame(0, 0, 1, Buffer.alloc(0))],
  ['WINDOW_UPDATE', frame(8, 0, 1, Buffer.from([0, 0, 0, 1]))],
  ['an unknown type', frame(99, 0, 0, Buffer.alloc(0))],
]
for (const [what, bytes] of FLOODS) {
  test(`a flood of ${what} ends the connection, with a reason and little memory`, () => {
    const { client, server } = pair()
    client.session.open(REQUEST, null)
    exchange(client, server)
    for (let i = 0; i < 20_000 && server.session.failure === null; i++) {
      server.session.push(bytes)
      if (server.session.failure === null) server.sink.take()
    }
    assert.equal(server.session.failure?.code, ERROR.ENHANCE_YOUR_CALM)
    exchange(client, server)
    assert.match(client.events.at(-1)!, /^goaway 11 more than 10000 frames that move nothing/)
  })
}

test('a PING for each read of content is no flood', () => {
  const { client, server } = pair()
  const stream = client.session.open(REQUEST, null)
  for (let i = 0; i < 30_000; i++) {
    client.session.sendData(stream, Buffer.from('x'), false)
    client.session.ping()
    server.session.push(client.sink.take())
    if (i % 100 === 0) exchange(client, server)
    else server.sink.take()
  }
  assert.equal(server.session.failure, null)
})

function failureOf({ session }: Http2Peer): number | null {
  return session.failure?.code ?? null
}

test('content behind a reset of the same peer is refused, and other streams go on', () => {
  const { client, server } = pair()
  echo(server)
  const cancelled = client.session.open(REQUEST, null)
  exchange(client, server)
  client.session.reset(cancelled, ERROR.CANCEL)
  exchange(client, server)
  for (let i = 0; i < 3; i++) server.session.push(frame(0, 0, cancelled.id, Buffer.from('late')))
  assert.equal(failureOf(server), null)
  const stream = client.session.open(REQUEST, null)
  client.session.sendData(stream, Buffer.from('on'), true)
  exchange(client, server)
  assert.equal(client.contentOf(stream).toString(), 'on')
  // Content after an end is another matter: nobody who counts its streams does that.
  server.session.push(frame(0, 0, stream.id, Buffer.from('late')))
  assert.equal(failureOf(server), ERROR.STREAM_CLOSED)
})
