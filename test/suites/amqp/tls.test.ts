/** AMQP over TLS, with and without client certificates, through a client library. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import amqplib, { type ChannelModel } from 'amqplib'
import { type RunningBroker, startBroker } from '../../../src/server/index.ts'
import { makeAuthority, makeCertificate, type TestAuthority } from '../../support/certificates.ts'

interface Secured {
  readonly broker: RunningBroker
  readonly authority: TestAuthority
}

async function secured(
  t: TestContext,
  clientCertificate: 'none' | 'request' | 'require',
): Promise<Secured> {
  const folder = await mkdtemp(path.join(tmpdir(), 'waystation-tls-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const authority = makeAuthority('Test authority')
  const server = makeCertificate(authority, [['CN', 'broker']], ['localhost', '127.0.0.1'])
  const file = async (name: string, text: string): Promise<string> => {
    const place = path.join(folder, name)
    await writeFile(place, text)
    return place
  }
  const broker = await startBroker({
    listen: { amqp: false, amqps: 0 },
    tls: {
      certFile: await file('cert.pem', server.certPem),
      keyFile: await file('key.pem', server.keyPem),
      caFile: await file('ca.pem', authority.certPem),
      clientCertificate,
    },
  })
  t.after(() => broker.close())
  return { broker, authority }
}

async function connect(
  t: TestContext,
  { broker, authority }: Secured,
  user?: string,
): Promise<ChannelModel> {
  const client = user === undefined ? null : makeCertificate(authority, [['CN', user]])
  const connection = await amqplib.connect(
    `amqps://guest:guest@127.0.0.1:${broker.port('amqps')}`,
    {
      ca: authority.certPem,
      servername: 'localhost',
      ...(client === null ? {} : { cert: client.certPem, key: client.keyPem }),
      ...(client === null ? {} : { credentials: amqplib.credentials.external() }),
    },
  )
  connection.on('error', () => {})
  t.after(() => connection.close().catch(() => {}))
  return connection
}

test('what goes through TLS in both directions at once comes out unharmed', async (t) => {
  const connection = await connect(t, await secured(t, 'none'))
  const channel = await connection.createConfirmChannel()
  const { queue } = await channel.assertQueue('', { exclusive: true })
  const bodies = Array.from({ length: 400 }, (_, index) => {
    // From one octet to a quarter of a megabyte, each with a content of its own.
    const size = 1 + ((index * 7919) % (index % 20 === 0 ? 262_144 : 3000))
    return Buffer.alloc(size, `${index}-`)
  })
  const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  const received: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  await channel.consume(queue, (message) => {
    assert.ok(message !== null)
    received.push(digestOf(message.content))
    channel.ack(message)
    if (received.length === bodies.length) resolve()
  })
  for (const body of bodies) channel.sendToQueue(queue, body)
  await channel.waitForConfirms()
  await promise
  assert.deepEqual(received, bodies.map(digestOf))
})

test('EXTERNAL logs the owner of the certificate in', async (t) => {
  const all = await secured(t, 'require')
  const connection = await connect(t, all, 'guest')
  const channel = await connection.createChannel()
  await channel.assertQueue('', { exclusive: true })
  await assert.rejects(connect(t, all, 'nobody'), /403|ACCESS.REFUSED/)
})

test('without a certificate only a password opens the door', async (t) => {
  const connection = await connect(t, await secured(t, 'request'))
  await connection.createChannel()
})
