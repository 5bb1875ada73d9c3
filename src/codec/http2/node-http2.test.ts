/** Node's own HTTP/2 as the other side: its client against our server, its server against our client. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientHttp2Session, connect, createServer } from 'node:http2'
import { type AddressInfo, type Socket, connect as dial, createServer as listen } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Http2Peer } from '../../../test/support/http2-peer.ts'

/** Joins one side of ours to a socket. */
function join(peer: Http2Peer, socket: Socket): () => void {
  const flush = (): void => {
    const bytes = peer.sink.take()
    if (bytes.length > 0) socket.write(bytes)
    if (peer.session.failure !== null) socket.end()
  }
  socket.on('data', (bytes) => {
    peer.session.push(bytes)
    flush()
  })
  socket.on('error', () => peer.session.lose())
  socket.on('close', () => peer.session.lose())
  flush()
  return flush
}

async function nodeClient(
  t: TestContext,
  onPeer: (peer: Http2Peer) => void,
): Promise<ClientHttp2Session> {
  const server = listen((socket) => {
    const peer = new Http2Peer('server')
    onPeer(peer)
    join(peer, socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => {
    client.destroy()
    server.close()
  })
  return client
}

function echo(peer: Http2Peer): void {
  peer.onWhole = (stream) => {
    const size = String(peer.contentOf(stream).length)
    peer.session.sendHeaders(stream, [':status', '200', 'x-long', 'z'.repeat(20_000)])
    peer.session.sendData(stream, peer.contentOf(stream), false)
    peer.session.sendTrailers(stream, ['x-kind', 'trailers'], ['x-size', size])
  }
}

test('requests of Node are answered, many at once and larger than any window', async (t) => {
  const client = await nodeClient(t, echo)
  const sizes = [0, 1, 16_384, 70_000, 1_500_000, 5, 300_000]
  const answers = sizes.map(async (size, index) => {
    const request = client.request({
      ':method': 'POST',
      ':path': `/${index}`,
      'x-text': 'ü%'.repeat(9),
    })
    const trailers = once(request, 'trailers')
    request.end(Buffer.alloc(size, index))
    const [headers] = (await once(request, 'response')) as [Record<string, string | number>]
    assert.equal(headers[':status'], 200)
    assert.equal(String(headers['x-long']).length, 20_000)
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const content = Buffer.concat(pieces)
    assert.equal(content.length, size)
    assert.ok(content.every((octet) => octet === index))
    const [fields] = (await trailers) as [Record<string, string>]
    assert.equal(fields['x-kind'], 'trailers')
    assert.equal(fields['x-size'], String(size))
  })
  await Promise.all(answers)
})

test('a request that Node takes back is told of, and the connection goes on', async (t) => {
  let peer: Http2Peer | null = null
  const client = await nodeClient(t, (made) => {
    peer = made
    // The first request waits for its answer, also once Node has ended its side.
    echo(made)
    const answer = made.onWhole
    made.onWhole = (stream) => {
      if (stream.id > 1) answer(stream)
    }
  })
  const lost = client.request({ ':method': 'POST', ':path': '/' })
  lost.on('error', () => {})
  lost.write('x')
  await once(client, 'remoteSettings')
  lost.close(8)
  await once(lost, 'close')
  const next = client.request({ ':path': '/' })
  next.resume()
  await once(next, 'response')
  for (let i = 0; i < 3000 && !peer!.events.includes('reset 1 8'); i++) await setTimeout(10)
  assert.ok(peer!.events.includes('headers 3'))
  assert.ok(peer!.events.includes('reset 1 8'), peer!.events.join(', '))
})

test('our requests are answered by Node, many at once and larger than any window', async (t) => {
  const server = createServer()
  server.on('stream', (stream) => {
    stream.additionalHeaders({ ':status': 103, 'x-early': 'yes' })
    stream.respond({ ':status': 200, 'x-from': 'node' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const peer = new Http2Peer('client')
  const socket = dial((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => {
    socket.destroy()
    server.close()
  })
  const flush = join(peer, socket)
  const sizes = [0, 1, 16_384, 70_000, 1_500_000, 5, 300_000]
  let ended = 0
  const all = new Promise<void>((resolve) => {
    peer.onWhole = () => {
      if (++ended === sizes.length) resolve()
    }
  })
  const request = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'a']
  const streams = sizes.map((size, index) => {
    const stream = peer.session.open(request, ['x-index', String(index)])
    peer.session.sendData(stream, Buffer.alloc(size, index), true)
    return stream
  })
  flush()
  await all
  for (const [index, stream] of streams.entries()) {
    const content = peer.contentOf(stream)
    assert.equal(content.length, sizes[index])
    assert.ok(content.every((octet) => octet === index))
  }
  assert.equal(peer.session.failure, null)
  assert.ok(peer.heads.every((head) => head.status === 200 && head.get('x-from') === 'node'))
})
