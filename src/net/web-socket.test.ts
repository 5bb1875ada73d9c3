import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Socket, connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import WebSocket from 'ws'
import { type ListenOptions, type Listener, listen } from './listener.ts'
import type { ConnectionHandler, NetLog, ProtocolHandler, Transport } from './transport.ts'
import type { WebSocketOptions } from './web-socket-options.ts'

const silent: NetLog = { info: () => {}, warn: () => {}, error: () => {} }
const OPTIONS: WebSocketOptions = {
  path: '/here',
  subprotocols: ['one', 'two'],
  messageBytesMax: 100_000,
}

interface Seen {
  readonly transport: Transport
  received: Buffer
  closed: Error | null | undefined
  isEnded: boolean
  drained: number
}

/** Keeps a diary, and sends back what came if told to. */
class Diary implements ProtocolHandler {
  readonly name = 'diary'
  readonly seen: Seen[] = []
  echoes = true
  endsWithPeer = true

  accept(transport: Transport): ConnectionHandler {
    const seen: Seen = {
      transport,
      received: Buffer.alloc(0),
      closed: undefined,
      isEnded: false,
      drained: 0,
    }
    this.seen.push(seen)
    return {
      received: (bytes) => {
        seen.received = Buffer.concat([seen.received, bytes])
        if (this.echoes) transport.write(Buffer.from(bytes))
      },
      drained: () => {
        seen.drained++
      },
      ended: () => {
        seen.isEnded = true
        if (this.endsWithPeer) transport.end()
      },
      closed: (error) => {
        assert.equal(seen.closed, undefined, 'closed comes once')
        seen.closed = error
      },
      shutdown: () => transport.end(),
    }
  }
}

interface World {
  readonly listener: Listener
  readonly diary: Diary
}

async function open(t: TestContext, more: Partial<ListenOptions> = {}): Promise<World> {
  const diary = new Diary()
  const listener = await listen({
    ...{ name: 'test', host: '127.0.0.1', port: 0, protocol: diary, log: silent },
    webSocket: OPTIONS,
    ...more,
  })
  t.after(() => listener.close(0))
  return { listener, diary }
}

async function dial(t: TestContext, { listener }: World, subprotocol = 'one'): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${listener.port}/here`, subprotocol)
  t.after(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!isTrue()) {
    assert.ok(Date.now() < deadline, `waited too long for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Sends a request as it is, and gives the whole answer; null headers leave the default out. */
async function request(port: number, head: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')))
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  await once(socket, 'end')
  socket.destroy()
  return answer
}

function upgrade(headers: Readonly<Record<string, string>> = {}, path = '/here'): string[] {
  const all = {
    Host: '127.0.0.1',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': 'one',
    ...headers,
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`)
  return [`GET ${path} HTTP/1.1`, ...lines]
}

test('binary messages are a stream of bytes, both ways', async (t) => {
  const world = await open(t)
  const socket = await dial(t, world, 'two')
  assert.equal(socket.protocol, 'two')
  let back = Buffer.alloc(0)
  socket.on('message', (data: Buffer, isBinary) => {
    assert.ok(isBinary)
    back = Buffer.concat([back, data])
  })
  socket.send(Buffer.from('he'))
  // One message in three frames.
  socket.send(Buffer.from('ll'), { fin: false })
  socket.send(Buffer.from('o w'), { fin: false })
  socket.send(Buffer.from('orld'))
  await until(() => back.toString() === 'hello world', 'the echo')
  const { transport } = world.diary.seen[0]!
  assert.equal(transport.peer.remoteAddress, '127.0.0.1')
  assert.equal(transport.peer.listener, 'test')
  assert.equal(world.listener.connectionCount, 1)
  socket.close(1000)
  const [code] = (await once(socket, 'close')) as [number]
  assert.equal(code, 1000)
  await until(() => world.diary.seen[0]!.closed === null, 'the close')
  assert.equal(world.diary.seen[0]!.isEnded, true)
  assert.equal(world.listener.connectionCount, 0)
})

test("the peer's last words are dealt with before the connection is closed", async (t) => {
  const world = await open(t)
  world.diary.endsWithPeer = false
  const socket = await dial(t, world)
  socket.send(Buffer.from('last'))
  socket.close()
  await until(() => world.diary.seen[0]?.isEnded === true, 'the end')
  const seen = world.diary.seen[0]!
  assert.equal(seen.received.toString(), 'last')
  assert.equal(seen.closed, undefined)
  assert.equal(seen.transport.write(Buffer.from('too late')), true)
  seen.transport.end()
  await until(() => seen.closed === null, 'the close')
  assert.equal(world.listener.connectionCount, 0)
})

test('what is no such WebSocket is told so in HTTP', async (t) => {
  const { listener, diary } = await open(t)
  const get = (path: string): Promise<string> =>
    request(listener.port, [`GET ${path} HTTP/1.1`, 'Host: here'])
  assert.match(await get('/'), /^HTTP\/1.1 404 .*there is only the WebSocket \/here here\n/s)
  assert.match(await get('/here'), /^HTTP\/1.1 426 .*upgrade: websocket.*this is a WebSocket/s)
  const post = ['POST /here HTTP/1.1', 'Host: here', 'Content-Length: 1000000000']
  assert.match(await request(listener.port, post), /^HTTP\/1.1 426 /)
  const refused: readonly (readonly [string[], RegExp])[] = [
    [upgrade({}, '/other'), /^HTTP\/1.1 404 Not Found\r\n.*only the WebSocket \/here/s],
    [upgrade({}, '/here/'), /^HTTP\/1.1 404 /],
    [upgrade({ 'Sec-WebSocket-Protocol': 'three, four' }), /^HTTP\/1.1 400 .*three, four\n$/s],
    [upgrade({ 'Sec-WebSocket-Protocol': '' }), /^HTTP\/1.1 400 .*subprotocol one.*none\n$/s],
    [upgrade({ 'Sec-WebSocket-Key': 'short' }), /^HTTP\/1.1 400 /],
    [upgrade({ 'Sec-WebSocket-Version': '7' }), /^HTTP\/1.1 400 /],
    [upgrade({ Upgrade: 'h2c' }), /^HTTP\/1.1 4/],
    [['MQTT\0\x04'], /^HTTP\/1.1 400 /],
    [[`GET /here HTTP/1.1`, `X: ${'x'.repeat(20_000)}`], /^HTTP\/1.1 431 /],
  ]
  for (const [head, answer] of refused) {
    assert.match(await request(listener.port, head), answer, head.join(' '))
  }
  assert.equal(diary.seen.length, 0)
})

test('the first subprotocol that is known is chosen, and a query is let pass', async (t) => {
  const { listener } = await open(t)
  const socket = connect(listener.port, '127.0.0.1')
  t.after(() => socket.destroy())
  const head = upgrade({ 'Sec-WebSocket-Protocol': 'none, two, one' }, '/here?token=x')
  socket.write(`${head.join('\r\n')}\r\n\r\n`)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.match(answer.toString(), /^HTTP\/1.1 101 .*Sec-WebSocket-Protocol: two\r\n/s)
  assert.match(answer.toString(), /Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/)
})

test('pages may connect from this machine only if they come from it, or are listed', async (t) => {
  const status = async (port: number, headers: Record<string, string>): Promise<string> => {
    const socket = connect(port, '127.0.0.1')
    socket.write(`${upgrade(headers).join('\r\n')}\r\n\r\n`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    return answer.toString().slice(9, 12)
  }
  const { port } = (await open(t)).listener
  for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:8080']) {
    assert.equal(await status(port, { Origin: origin }), '101', origin)
  }
  const strangers = ['https://example.com', 'null', 'http://localhost.example.com', '127.0.0.1']
  for (const origin of strangers) assert.equal(await status(port, { Origin: origin }), '403')
  // A name that somebody made to lead to this machine.
  const rebound = { Host: 'evil.example:8083', Origin: 'http://evil.example' }
  assert.equal(await status(port, rebound), '403')
  const answer = await request(port, upgrade({ Origin: 'https://example.com' }))
  assert.match(answer, /pages of https:\/\/example.com may not connect, webSocket.origins can/)

  const origins = ['https://example.com']
  const listed = await open(t, { webSocket: { ...OPTIONS, origins } })
  assert.equal(await status(listed.listener.port, { Origin: 'https://example.com' }), '101')
  assert.equal(await status(listed.listener.port, { Origin: 'http://example.com' }), '403')
  const all = await open(t, { webSocket: { ...OPTIONS, origins: ['*'] } })
  assert.equal(await status(all.listener.port, { Origin: 'null' }), '101')
})

/** A client frame (RFC 6455, section 5.2) with the mask 0. */
function frame(first: number, payload: Uint8Array, claimed = payload.length): Buffer {
  const head =
    claimed < 126
      ? Buffer.of(first, 0x80 | claimed)
      : Buffer.concat([Buffer.of(first, 0xff, 0, 0, 0, 0), uint32(claimed)])
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

async function upgraded(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => undefined)
  socket.write(`${upgrade().join('\r\n')}\r\n\r\n`)
  await once(socket, 'data')
  return socket
}

test('hostile frames end their connection with the reason, and no other', async (t) => {
  const { listener, diary } = await open(t)
  const other = await dial(t, { listener, diary })
  const nothing = Buffer.alloc(0)
  const empty = Array.from({ length: 20_000 }, () => frame(0x00, nothing))
  const cases: readonly (readonly [string, Buffer, number | null])[] = [
    ['text', frame(0x81, Buffer.from('text')), 1003],
    ['a message beyond the limit', frame(0x82, nothing, 100_001), 1009],
    ['a length of 4 GiB', frame(0x82, nothing, 0xffff_ffff), 1009],
    [
      'fragments beyond the limit',
      Buffer.concat([frame(0x02, Buffer.alloc(60_000)), frame(0x00, Buffer.alloc(60_000))]),
      1009,
    ],
    ['fragments without an end', Buffer.concat([frame(0x02, nothing), ...empty]), 1008],
    ['no mask', Buffer.of(0x82, 0x01, 0x00), 1002],
    ['a reserved bit', frame(0xc2, nothing), 1002],
    ['a reserved opcode', frame(0x83, nothing), 1002],
    ['a continuation of nothing', frame(0x80, nothing), 1002],
    ['a ping in fragments', frame(0x09, nothing), 1002],
    ['a long ping', frame(0x89, nothing, 126), 1002],
    ['a bad close code', frame(0x88, Buffer.of(0x00, 0x01)), 1002],
  ]
  for (const [what, bytes, code] of cases) {
    const socket = await upgraded(t, listener.port)
    const answers: Buffer[] = []
    socket.on('data', (data: Buffer) => answers.push(data))
    socket.once('data', () => socket.end())
    socket.write(bytes)
    await once(socket, 'close')
    const answer = Buffer.concat(answers)
    assert.equal(answer[0], 0x88, `${what}: a close frame`)
    assert.equal(answer.readUInt16BE(2), code, what)
    const seen = diary.seen.at(-1)!
    await until(() => seen.closed !== undefined, 'the close')
    assert.ok(seen.closed instanceof Error, what)
    assert.equal(seen.received.length, 0, what)
  }
  await until(() => listener.connectionCount === 1, 'all but one to be gone')
  other.send(Buffer.from('still there'))
  await once(other, 'message')
})

test('a peer that only asks and never reads is ended', async (t) => {
  const { listener, diary } = await open(t)
  const socket = await upgraded(t, listener.port)
  socket.pause()
  const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(0x89, Buffer.alloc(125))))
  for (let round = 0; round < 100 && !socket.destroyed && listener.connectionCount > 0; round++) {
    socket.write(pings)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await until(() => listener.connectionCount === 0, 'the end')
  assert.notEqual(diary.seen[0]!.closed, undefined)
})

test('a peer that answers no ping is given up, one that is not read is not blamed', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const world = await open(t, { webSocket: { ...OPTIONS, pingMs: 20 } })
  const { listener, diary } = world
  const alive = await dial(t, world)
  // Behind its pong, so that we see when that was read.
  alive.on('ping', () => alive.send(Buffer.from('!')))
  const unread = await upgraded(t, listener.port)
  diary.seen[1]!.transport.pause()
  unread.resume()
  const dead = await upgraded(t, listener.port)
  dead.resume()
  for (let count = 1; count <= 5; count++) {
    t.mock.timers.tick(20)
    await until(() => diary.seen[0]!.received.length === count, 'an answer to the ping')
  }
  await until(() => diary.seen[2]!.closed !== undefined, 'the dead one to be given up')
  assert.match(String(diary.seen[2]!.closed), /answers no ping/)
  assert.equal(listener.connectionCount, 2)
})

test('a peer that does not read makes write say false, and drained comes when it does', async (t) => {
  const world = await open(t)
  const socket = await dial(t, world)
  socket.pause()
  await until(() => world.diary.seen.length === 1, 'the accept')
  const seen = world.diary.seen[0]!
  let written = 0
  for (let taken = true; taken;) {
    taken = seen.transport.write(Buffer.alloc(65_536, 1))
    written += 65_536
    assert.ok(written < 1 << 28, 'the kernel takes everything')
  }
  assert.ok(seen.transport.pendingBytes > 0)
  assert.equal(seen.drained, 0)
  let read = 0
  socket.on('message', (data: Buffer) => (read += data.length))
  socket.resume()
  await until(() => seen.drained === 1 && read === written, 'drained')
  assert.equal(seen.transport.pendingBytes, 0)
})

test('a paused transport gives nothing until it is resumed', async (t) => {
  const world = await open(t)
  const socket = await dial(t, world)
  await until(() => world.diary.seen.length === 1, 'the accept')
  const seen = world.diary.seen[0]!
  seen.transport.pause()
  socket.send(Buffer.from('later'))
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(seen.received.length, 0)
  seen.transport.resume()
  await until(() => seen.received.toString() === 'later', 'the bytes')
})

test('a reset, a cut and an end by us are each told once', async (t) => {
  const world = await open(t)
  const { listener, diary } = world
  const reset = await upgraded(t, listener.port)
  reset.resetAndDestroy()
  await until(() => diary.seen[0]?.closed !== undefined, 'the reset')
  const ended = await dial(t, world)
  diary.seen[1]!.transport.write(Buffer.from('bye'))
  diary.seen[1]!.transport.end()
  diary.seen[1]!.transport.end()
  const [data] = (await once(ended, 'message')) as [Buffer]
  assert.equal(data.toString(), 'bye')
  await once(ended, 'close')
  await until(() => diary.seen[1]!.closed === null, 'the end')
  const cut = await dial(t, world)
  listener.cutConnections()
  const [code] = (await once(cut, 'close')) as [number]
  assert.equal(code, 1006)
  await until(() => diary.seen[2]!.closed !== undefined, 'the cut')
  assert.equal(listener.connectionCount, 0)
})

test('close waits for WebSockets, not for sockets that never asked for one', async (t) => {
  const world = await open(t)
  const idle = connect(world.listener.port, '127.0.0.1')
  t.after(() => idle.destroy())
  await once(idle, 'connect')
  const socket = await dial(t, world)
  const gone = once(socket, 'close')
  await world.listener.close(5000)
  const [code] = (await gone) as [number]
  assert.equal(code, 1000)
})
