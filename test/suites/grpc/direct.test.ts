/** Providers that listen, asked by clients of others; and our client at servers of others. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { brotliCompressSync } from 'node:zlib'
import { Metadata, type ServiceError, status as STATUS } from '@grpc/grpc-js'
import { z } from 'zod'
import { decodeFields, encodeFields } from '../../../src/codec/grpc/index.ts'
import {
  type Channel,
  connectChannel,
  createClient,
  listenChannel,
  type ListeningChannel,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { GrpcJsClient, until } from '../../support/grpc-js-client.ts'
import { GrpcJsServer } from '../../support/grpc-js-server.ts'
import { provideTestService } from '../../support/interop-contract.ts'

const Text = z.object({ text: z.string() })
const Shop = service('test.v1.Shop', {
  find: rpc.unary({ in: Text, out: Text, idempotency: 'no-side-effects' }),
  place: rpc.unary({ in: Text, out: Text }),
})

function provideShop(channel: Channel) {
  const echo = ({ text }: z.output<typeof Text>): z.output<typeof Text> => ({ text: `${text}!` })
  return serve(channel, Shop, { find: echo, place: echo })
}

async function listening(
  t: TestContext,
  options: Parameters<typeof listenChannel>[0] = {},
): Promise<ListeningChannel> {
  const channel = await listenChannel(options)
  t.after(() => channel.close())
  return channel
}

const isCode = (code: number) => (error: ServiceError) => {
  assert.equal(error.code, code, error.message)
  return true
}

test('a gRPC client calls a provider that listens, and learns of its health and services', async (t) => {
  const channel = await listening(t)
  await provideTestService(channel).ready
  const client = new GrpcJsClient(`127.0.0.1:${channel.port}`)
  t.after(() => client[Symbol.dispose]())
  const request = encodeFields([[2, 3]])
  const { reply } = await client.unary('/grpc.testing.TestService/UnaryCall', request)
  assert.deepEqual(reply, encodeFields([[1, encodeFields([[2, Buffer.alloc(3)]])]]))
  const named = encodeFields([[1, 'grpc.testing.TestService']])
  const health = await client.unary('/grpc.health.v1.Health/Check', named)
  assert.deepEqual(decodeFields(health.reply), [[1, 1]])
  await assert.rejects(client.unary('/test.Nobody/Call', request), isCode(STATUS.UNIMPLEMENTED))
})

test('a provider with a password lets nobody call without it', async (t) => {
  const channel = await listening(t, { user: 'shop', password: 'open sesame' })
  await provideTestService(channel).ready
  const client = new GrpcJsClient(`127.0.0.1:${channel.port}`)
  t.after(() => client[Symbol.dispose]())
  const path = '/grpc.testing.TestService/EmptyCall'
  const as = (login: string): { metadata: Metadata } => {
    const metadata = new Metadata()
    metadata.set('authorization', `Basic ${Buffer.from(login).toString('base64')}`)
    return { metadata }
  }
  const empty = Buffer.alloc(0)
  await assert.rejects(client.unary(path, empty), isCode(STATUS.UNAUTHENTICATED))
  await assert.rejects(client.unary(path, empty, as('shop:x')), isCode(STATUS.UNAUTHENTICATED))
  await client.unary(path, empty, as('shop:open sesame'))
  const ours = connectChannel(
    `grpc://shop:${encodeURIComponent('open sesame')}@127.0.0.1:${channel.port}`,
  )
  t.after(() => ours.close())
  const shop = createClient(Shop, ours)
  await provideShop(channel).ready
  assert.deepEqual(await shop.find({ text: 'tea' }), { text: 'tea!' })
})

test('a channel to a gRPC server ends calls when the server dies, and connects again', async (t) => {
  const bytes = { in: z.any(), out: z.any() }
  const Echo = service('test.Echo', { Unary: rpc.unary(bytes), Wait: rpc.unary(bytes) })
  const server = new GrpcJsServer()
  const port = await server.listen()
  const channel = connectChannel(`grpc://127.0.0.1:${port}`)
  t.after(() => channel.close())
  const echo = createClient(Echo, channel, { policy: { retry: false } })
  assert.deepEqual(await echo.Unary({ a: 1 }), { a: 1 })
  const refused = assert.rejects(echo.Wait({}), (error) => error instanceof RpcError)
  await until(() => server.waitingCount === 1, 'the call')
  server.kill()
  await refused
  const again = new GrpcJsServer()
  await again.listen(port)
  t.after(() => again.kill())
  const retrying = createClient(Echo, channel)
  let isBack = false
  for (let i = 0; i < 300 && !isBack; i++) {
    isBack = await retrying.Unary({ a: 2 }).then(
      () => true,
      () => false,
    )
  }
  assert.ok(isBack)
  await assert.rejects(provideShop(channel).ready, ({ code }: RpcError) => code === 'UNIMPLEMENTED')
})

/** Calls over HTTP/1.1 at a provider itself, and at a broker it is attached to. */
async function webPorts(t: TestContext): Promise<readonly number[]> {
  const direct = await listening(t)
  await provideShop(direct).ready
  const broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  const { port } = broker.listeners.find(({ name }) => name === 'rpc')!.address
  const attached = connectChannel(`rpc://127.0.0.1:${port}`)
  t.after(async () => {
    await attached.close()
    await broker.close()
  })
  await provideShop(attached).ready
  return [direct.port, port]
}

test('methods without side effects are called by GET, and no others', async (t) => {
  for (const port of await webPorts(t)) {
    const get = (method: string, query: Record<string, string>): Promise<Response> =>
      fetch(`http://127.0.0.1:${port}/test.v1.Shop/${method}?${String(new URLSearchParams(query))}`)
    const message = '{"text":"tea & ü"}'
    const found = await get('find', { connect: 'v1', encoding: 'json', message })
    assert.deepEqual([found.status, await found.json()], [200, { text: 'tea & ü!' }])
    const base64 = Buffer.from(message).toString('base64url')
    const coded = await get('find', { encoding: 'json', message: base64, base64: '1' })
    assert.deepEqual(await coded.json(), { text: 'tea & ü!' })
    const small = brotliCompressSync(message).toString('base64url')
    const more = { base64: '1', compression: 'br' }
    const opened = await get('find', { encoding: 'json', message: small, ...more })
    assert.deepEqual(await opened.json(), { text: 'tea & ü!' })
    const placed = await get('place', { encoding: 'json', message })
    assert.equal(((await placed.json()) as { code: string }).code, 'unimplemented')
    assert.equal((await get('find', { encoding: 'xml', message })).status, 415)
    assert.equal((await get('find', { connect: 'v2', encoding: 'json', message })).status, 400)
  }
})

test('each compression is taken, and answered with', async (t) => {
  const [port] = await webPorts(t)
  const long = 'ä'.repeat(2000)
  const response = await fetch(`http://127.0.0.1:${port}/test.v1.Shop/place`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-encoding': 'br',
      'accept-encoding': 'br',
    },
    body: brotliCompressSync(JSON.stringify({ text: long })),
  })
  assert.equal(response.headers.get('content-encoding'), 'br')
  assert.deepEqual(await response.json(), { text: `${long}!` })
  const bad = await fetch(`http://127.0.0.1:${port}/test.v1.Shop/place`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-encoding': 'zstd' },
    body: 'none of it',
  })
  assert.equal(((await bad.json()) as { code: string }).code, 'invalid_argument')
})

test('gRPC-Web is taken in base64 too', async (t) => {
  for (const port of await webPorts(t)) {
    const message = Buffer.from('{"text":"tea"}')
    const prefix = Buffer.from([0, 0, 0, 0, message.length])
    const response = await fetch(`http://127.0.0.1:${port}/test.v1.Shop/find`, {
      method: 'POST',
      headers: { 'content-type': 'application/grpc-web-text+json' },
      body: prefix.toString('base64') + message.toString('base64'),
    })
    assert.equal(response.headers.get('content-type'), 'application/grpc-web-text+json')
    const text = await response.text()
    const pieces = text.match(/[^=]+=*/g) ?? []
    const content = Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'base64')))
    assert.equal(content.toString('utf8', 5, 5 + content[4]!), '{"text":"tea!"}')
    assert.match(content.toString('latin1', 5 + content[4]!), /^\x80.{4}grpc-status: 0\r\n/s)
  }
})
