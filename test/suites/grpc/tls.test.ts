/** gRPC and Connect over TLS, where ALPN says which HTTP it is. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect } from 'node:tls'
import { Client, credentials, Metadata, type ServiceError, status as STATUS } from '@grpc/grpc-js'
import { encodeFields } from '../../../src/codec/grpc/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { makeAuthority, makeCertificate } from '../../support/certificates.ts'

const identity = (bytes: Buffer): Buffer => bytes

async function open(t: TestContext): Promise<{ port: number; ca: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'waystation-grpc-tls-'))
  const authority = makeAuthority('test authority')
  const { certPem, keyPem } = makeCertificate(authority, [['CN', 'localhost']], ['localhost'])
  const [certFile, keyFile] = [path.join(folder, 'cert.pem'), path.join(folder, 'key.pem')]
  await writeFile(certFile, certPem)
  await writeFile(keyFile, keyPem)
  const broker = await startBroker({
    listen: { amqp: false, rpcs: 0 },
    tls: { certFile, keyFile },
  })
  t.after(async () => {
    await broker.close()
    await rm(folder, { recursive: true })
  })
  const { port } = broker.listeners.find(({ name }) => name === 'rpcs')!.address
  return { port, ca: authority.certPem }
}

test('a gRPC client checks health over TLS, and logs in by name', async (t) => {
  const { port, ca } = await open(t)
  const client = new Client(`localhost:${port}`, credentials.createSsl(Buffer.from(ca)))
  t.after(() => client.close())
  const check = (authorization: string): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata()
      if (authorization !== '') metadata.set('authorization', authorization)
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        identity,
        identity,
        Buffer.alloc(0),
        metadata,
        (error, reply) => {
          if (error === null) resolve(reply!)
          else reject(error)
        },
      )
    })
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  assert.deepEqual(await check(''), encodeFields([[1, 1]]))
  assert.deepEqual(await check(basic('guest:guest')), encodeFields([[1, 1]]))
  await assert.rejects(check(basic('guest:wrong')), ({ code }: ServiceError) => {
    return code === STATUS.UNAUTHENTICATED
  })
})

test('ALPN chooses HTTP/2 or HTTP/1.1, as the client prefers', async (t) => {
  const { port, ca } = await open(t)
  for (const [offered, chosen] of [
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1'], 'http/1.1'],
  ] as const) {
    const options = { host: '127.0.0.1', port, ca, servername: 'localhost' }
    const socket = connect({ ...options, ALPNProtocols: [...offered] })
    await new Promise((resolve, reject) =>
      socket.once('secureConnect', resolve).once('error', reject),
    )
    assert.equal(socket.alpnProtocol, chosen)
    socket.destroy()
  }
})
