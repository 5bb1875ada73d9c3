import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type Socket, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { type TLSSocket, connect as connectTls } from 'node:tls'
import { makeAuthority, makeCertificate } from '../../test/support/certificates.ts'
import { ListenError } from './listen-error.ts'
import { type ListenOptions, type Listener, listen } from './listener.ts'
import type { ConnectionHandler, NetLog, ProtocolHandler, Transport } from './transport.ts'

const silent: NetLog = { info: () => {}, warn: () => {}, error: () => {} }

interface Seen {
  readonly transport: Transport
  readonly received: Buffer[]
  closed: Error | null | undefined
  ended: boolean
  drained: number
}

/** Sends everything back and keeps a diary. */
class EchoProtocol implements ProtocolHandler {
  readonly name = 'echo'
  readonly seen: Seen[] = []
  echo = true
  onShutdown: (transport: Transport) => void = (transport) => transport.end()

  accept(transport: Transport): ConnectionHandler {
    const seen: Seen = { transport, received: [], closed: undefined, ended: false, drained: 0 }
    this.seen.push(seen)
    return {
      received: (bytes) => {
        seen.received.push(Buffer.from(bytes))
        if (this.echo) transport.write(Buffer.from(bytes))
      },
      drained: () => {
        seen.drained++
      },
      ended: () => {
        seen.ended = true
        transport.end()
      },
      closed: (error) => {
        seen.closed = error
      },
      shutdown: () => this.onShutdown(transport),
    }
  }
}

async function open(
  t: TestContext,
  protocol: ProtocolHandler,
  more: Partial<ListenOptions> = {},
): Promise<Listener> {
  const options = { name: 'test', host: '127.0.0.1', port: 0, protocol, log: silent, ...more }
  const listener = await listen(options)
  t.after(() => listener.close(0))
  return listener
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    assert.ok(Date.now() < deadline, `waited too long for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function dial(t: TestContext, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket))
    socket.once('error', reject)
    t.after(() => socket.destroy())
  })
}

test('bytes go in and out, and the end is told once', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  let back = ''
  socket.on('data', (bytes) => (back += bytes.toString('latin1')))
  socket.write('hello')
  await until(() => back === 'hello', 'the echo')
  assert.equal(listener.connectionCount, 1)
  const { transport } = protocol.seen[0]!
  assert.equal(transport.peer.remotePort, socket.localPort)
  assert.equal(transport.peer.localPort, listener.port)
  assert.equal(transport.peer.tls, null)
  socket.end()
  await until(() => protocol.seen[0]!.closed === null, 'the close')
  assert.equal(protocol.seen[0]!.ended, true)
  assert.equal(listener.connectionCount, 0)
})

test('a reset by the peer reaches the handler as an error or a plain close', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  await until(() => protocol.seen.length === 1, 'the accept')
  socket.resetAndDestroy()
  await until(() => protocol.seen[0]!.closed !== undefined, 'the close')
  assert.equal(listener.connectionCount, 0)
})

test('a paused transport gives nothing until it is resumed', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  await until(() => protocol.seen.length === 1, 'the accept')
  const { transport, received } = protocol.seen[0]!
  transport.pause()
  socket.write('later')
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(received.length, 0)
  transport.resume()
  await until(() => Buffer.concat(received).toString() === 'later', 'the bytes')
})

test('what a peer that broke off never took is not said to be taken', async (t) => {
  const protocol = new EchoProtocol()
  protocol.echo = false
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  socket.pause()
  socket.write('hello')
  await until(() => protocol.seen[0]?.received.length === 1, 'the connection')
  const seen = protocol.seen[0]!
  // More than both kernels hold.
  assert.equal(seen.transport.write(Buffer.alloc(64 * 1024 * 1024)), false)
  socket.resetAndDestroy()
  await until(() => seen.closed !== undefined, 'the end')
  assert.equal(seen.drained, 0)
})

test('a peer that does not read makes write say false, and drained comes when it does', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  socket.pause()
  await until(() => protocol.seen.length === 1, 'the accept')
  const seen = protocol.seen[0]!
  let written = 0
  let taken = true
  while (taken) {
    taken = seen.transport.write(Buffer.alloc(65_536, 1))
    written += 65_536
    assert.ok(written < 1 << 28, 'the kernel takes everything')
  }
  assert.ok(seen.transport.pendingBytes > 0)
  let read = 0
  socket.on('data', (bytes) => (read += bytes.length))
  socket.resume()
  await until(() => seen.drained === 1 && read === written, 'drained')
  assert.equal(seen.transport.pendingBytes, 0)
})

test('close asks every handler to shut down, then waits for the sockets', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  await until(() => protocol.seen.length === 1, 'the accept')
  protocol.onShutdown = (transport) => {
    transport.write(Buffer.from('bye'))
    transport.end()
  }
  let text = ''
  socket.on('data', (bytes) => (text += bytes.toString()))
  await listener.close(2000)
  await until(() => text === 'bye', 'the last words')
  assert.equal(protocol.seen[0]!.closed, null)
  await assert.rejects(dial(t, listener.port))
})

test('close destroys what does not leave in time', async (t) => {
  const protocol = new EchoProtocol()
  protocol.onShutdown = () => {}
  const listener = await open(t, protocol)
  const socket = await dial(t, listener.port)
  await until(() => protocol.seen.length === 1, 'the accept')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const startedMs = Date.now()
  await listener.close(50)
  assert.ok(Date.now() - startedMs < 2000)
  await closed
})

test('one connection above the limit is closed and logged', async (t) => {
  const protocol = new EchoProtocol()
  const warnings: string[] = []
  const log = { ...silent, warn: (_fields: object, text: string) => warnings.push(text) }
  const listener = await open(t, protocol, { connectionsMax: 1, log })
  await dial(t, listener.port)
  await until(() => protocol.seen.length === 1, 'the accept')
  const second = await dial(t, listener.port)
  await new Promise((resolve) => second.once('close', resolve))
  assert.deepEqual(warnings, ['connection refused: too many connections'])
  assert.equal(protocol.seen.length, 1)
})

test('a connection that ended makes room for another one', async (t) => {
  const protocol = new EchoProtocol()
  const listener = await open(t, protocol, { connectionsMax: 1 })
  for (let round = 1; round <= 3; round++) {
    const client = await dial(t, listener.port)
    client.write('hello')
    await until(() => protocol.seen[round - 1]?.received.length === 1, 'the bytes')
    client.end()
    await until(() => protocol.seen[round - 1]?.closed !== undefined, 'the end')
  }
})

test('reads of all plain sockets share one buffer', async (t) => {
  const buffers = new Set<ArrayBufferLike>()
  const protocol = new EchoProtocol()
  const accept = protocol.accept.bind(protocol)
  protocol.accept = (transport) => {
    const handler = accept(transport)
    return {
      ...handler,
      received: (bytes) => {
        buffers.add(bytes.buffer)
        handler.received(bytes)
      },
    }
  }
  const listener = await open(t, protocol)
  for (let index = 0; index < 3; index++) {
    const client = await dial(t, listener.port)
    client.write('hello')
    await until(() => protocol.seen[index]?.received.length === 1, 'the bytes')
  }
  assert.equal(buffers.size, 1)
})

test('a taken port and a bad address are told apart', async (t) => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const common = { name: 'x', protocol: new EchoProtocol(), log: silent }
  const isCode = (code: string) => (error: unknown) =>
    error instanceof ListenError && error.code === code && error.cause instanceof Error
  const taken = listen({ ...common, host: '127.0.0.1', port: address.port })
  await assert.rejects(taken, isCode('PORT_TAKEN'))
  await assert.rejects(listen({ ...common, host: '203.0.113.1', port: 0 }), isCode('BAD_ADDRESS'))
})

interface Pki {
  readonly folder: string
  readonly files: { certFile: string; keyFile: string; caFile: string }
  readonly authority: ReturnType<typeof makeAuthority>
}

async function makePki(t: TestContext): Promise<Pki> {
  const folder = await mkdtemp(path.join(tmpdir(), 'waystation-net-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = makeAuthority('Test authority')
  const files = {
    certFile: path.join(folder, 'cert.pem'),
    keyFile: path.join(folder, 'key.pem'),
    caFile: path.join(folder, 'ca.pem'),
  }
  const server = makeCertificate(authority, [['CN', 'first']], ['localhost', '127.0.0.1'])
  await writeFile(files.certFile, server.certPem)
  await writeFile(files.keyFile, server.keyPem)
  await writeFile(files.caFile, authority.certPem)
  return { folder, files, authority }
}

interface DialTls {
  readonly ca: string
  readonly client?: { certPem: string; keyPem: string }
}

function dialTls(t: TestContext, port: number, { ca, client }: DialTls): Promise<TLSSocket> {
  const keys = client === undefined ? {} : { cert: client.certPem, key: client.keyPem }
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', servername: 'localhost', ca, ...keys }
    const socket = connectTls(options, () => resolve(socket))
    socket.once('error', reject)
    t.after(() => socket.destroy())
  })
}

test('TLS with a client certificate shows who it is', async (t) => {
  const { files, authority } = await makePki(t)
  const protocol = new EchoProtocol()
  const tls = { ...files, clientCertificate: 'require' as const }
  const listener = await open(t, protocol, { tls })
  const client = makeCertificate(authority, [
    ['O', 'Example, Ltd'],
    ['CN', 'alice'],
  ])
  const socket = await dialTls(t, listener.port, { ca: authority.certPem, client })
  let back = ''
  socket.on('data', (bytes: Buffer) => (back += bytes.toString('latin1')))
  socket.write('secret')
  await until(() => back === 'secret', 'the echo')
  const peer = protocol.seen[0]!.transport.peer.tls
  assert.ok(peer !== null)
  assert.equal(peer.commonName, 'alice')
  assert.equal(peer.subject, 'CN=alice,O=Example\\, Ltd')
  assert.equal(peer.issuer, 'CN=Test authority')
  assert.equal(peer.peerVerified, true)
  assert.match(peer.protocol, /^TLSv1\.[23]$/)
})

test('a client certificate is demanded, or at least checked', async (t) => {
  const { files, authority } = await makePki(t)
  const ca = authority.certPem
  const stranger = makeCertificate(makeAuthority('Somebody else'), [['CN', 'mallory']])
  const required = new EchoProtocol()
  const strict = await open(t, required, { tls: { ...files, clientCertificate: 'require' } })
  const asked = new EchoProtocol()
  const lenient = await open(t, asked, { tls: { ...files, clientCertificate: 'request' } })
  // With TLS 1.3 the client believes itself connected until it reads the refusal.
  const refused = async (port: number, client?: typeof stranger): Promise<void> => {
    const options = client === undefined ? { ca } : { ca, client }
    const socket = await dialTls(t, port, options).catch(() => null)
    if (socket === null) return
    await new Promise<void>((resolve) => {
      socket.on('error', () => {})
      socket.once('close', () => resolve())
      socket.resume()
    })
  }
  await refused(strict.port)
  await refused(strict.port, stranger)
  await refused(lenient.port, stranger)
  assert.equal(required.seen.length, 0)
  assert.equal(asked.seen.length, 0)
  await dialTls(t, lenient.port, { ca })
  await until(() => asked.seen.length === 1, 'the accept')
  assert.equal(asked.seen[0]!.transport.peer.tls!.commonName, null)
  assert.equal(asked.seen[0]!.transport.peer.tls!.peerVerified, false)
})

test('new certificates are used by new connections; bad files change nothing', async (t) => {
  const { files, authority } = await makePki(t)
  const listener = await open(t, new EchoProtocol(), { tls: files })
  const nameShown = async (): Promise<string> => {
    const socket = await dialTls(t, listener.port, { ca: authority.certPem })
    return String(socket.getPeerCertificate().subject.CN)
  }
  assert.equal(await nameShown(), 'first')
  await writeFile(files.certFile, 'not a certificate')
  await assert.rejects(listener.reloadTls())
  assert.equal(await nameShown(), 'first')
  const next = makeCertificate(authority, [['CN', 'second']], ['localhost'])
  await writeFile(files.certFile, next.certPem)
  await writeFile(files.keyFile, next.keyPem)
  await listener.reloadTls()
  assert.equal(await nameShown(), 'second')
})

test('changed certificate files are noticed when polling is on', async (t) => {
  const { files, authority } = await makePki(t)
  const tls = { ...files, reloadEveryMs: 10 }
  const texts: string[] = []
  const log = { ...silent, info: (_fields: object, text: string) => texts.push(text) }
  await open(t, new EchoProtocol(), { tls, log })
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(texts.length, 0)
  const next = makeCertificate(authority, [['CN', 'longer name']], ['localhost'])
  await writeFile(files.keyFile, next.keyPem)
  await writeFile(files.certFile, next.certPem)
  await until(() => texts.includes('TLS certificates read again'), 'the reload')
})

test('TLS files that cannot be used are refused before the port is open', async (t) => {
  const { files } = await makePki(t)
  const common = { name: 'x', host: '127.0.0.1', port: 0, protocol: new EchoProtocol() }
  const isBadTls = (error: unknown) => error instanceof ListenError && error.code === 'BAD_TLS'
  const missing = { ...files, certFile: `${files.certFile}.missing` }
  await assert.rejects(listen({ ...common, log: silent, tls: missing }), isBadTls)
  const { caFile: _, ...noCa } = files
  const tls = { ...noCa, clientCertificate: 'require' as const }
  await assert.rejects(listen({ ...common, log: silent, tls }), isBadTls)
})
