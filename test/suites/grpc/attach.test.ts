/** An unmodified gRPC server behind the broker, and the client of Node in front of it. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type ServiceError, status as STATUS } from '@grpc/grpc-js'
import { attachGrpc, type AttachedGrpc } from '../../../src/client/attach-grpc.ts'
import { type Channel, connectChannel } from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { collect, GrpcJsClient, until } from '../../support/grpc-js-client.ts'
import { GrpcJsServer } from '../../support/grpc-js-server.ts'

let broker: Awaited<ReturnType<typeof startBroker>>
let channel: Channel
let client: GrpcJsClient
let port = 0

before(async () => {
  broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  port = broker.listeners.find(({ name }) => name === 'rpc')!.address.port
  channel = connectChannel(`rpc://127.0.0.1:${port}`)
  client = new GrpcJsClient(`127.0.0.1:${port}`)
})

after(async () => {
  client[Symbol.dispose]()
  await channel.close()
  await broker.close()
})

class Watch {
  attachedCount = 0
  readonly reasons: string[] = []
}

function attach(to: number, capacity = 100): { watch: Watch; attached: AttachedGrpc } {
  const watch = new Watch()
  const spec = { instanceId: `at ${to}`, version: '', labels: {}, weight: 1 }
  const attached = attachGrpc({
    ...{ channel, capacity, host: '127.0.0.1', port: to },
    spec: { ...spec, services: ['test.Echo'] },
    onAttached: () => void watch.attachedCount++,
    onDetached: (reason) => void watch.reasons.push(reason),
  })
  return { watch, attached }
}

const code = (expected: number) => (error: ServiceError) => {
  assert.equal(error.code, expected, error.message)
  return true
}

test('calls of all kinds go through, until it is closed', async () => {
  const server = new GrpcJsServer()
  const { watch, attached } = attach(await server.listen())
  await until(() => watch.attachedCount === 1, 'the attachment')
  const request = Buffer.alloc(1_000_000, 7)
  assert.deepEqual((await client.unary('/test.Echo/Unary', request)).reply, request)
  const chat = client.stream('/test.Echo/Chat')
  for (let i = 0; i < 100; i++) chat.write(Buffer.alloc(50_000, i))
  chat.end()
  const { replies } = await collect(chat)
  assert.deepEqual(
    replies.map((reply) => reply[49_999]),
    Array.from({ length: 100 }, (_, i) => i),
  )
  await assert.rejects(client.unary('/test.Echo/None', request), code(STATUS.UNIMPLEMENTED))
  await attached.close()
  await assert.rejects(client.unary('/test.Echo/Unary', request), code(STATUS.UNAVAILABLE))
  server.kill()
})

test('more calls than the server has room for wait for it, and none is lost', async () => {
  const server = new GrpcJsServer()
  const { watch, attached } = attach(await server.listen(), 3)
  await until(() => watch.attachedCount === 1, 'the attachment')
  const calls = Array.from({ length: 300 }, (_, i) =>
    client.unary('/test.Echo/Unary', Buffer.from([i])),
  )
  const answers = await Promise.all(calls)
  assert.deepEqual(
    answers.map(({ reply }) => reply[0]),
    Array.from({ length: 300 }, (_, i) => i & 255),
  )
  await attached.close()
  server.kill()
})

test('a deadline and a cancellation reach the server', async () => {
  const server = new GrpcJsServer()
  const { watch, attached } = attach(await server.listen())
  await until(() => watch.attachedCount === 1, 'the attachment')
  const options = { deadline: Date.now() + 200 }
  await assert.rejects(
    client.unary('/test.Echo/Wait', Buffer.alloc(0), { options }),
    code(STATUS.DEADLINE_EXCEEDED),
  )
  await until(() => server.waitingCount === 0, 'the end of the call')
  const waiting = client.stream('/test.Echo/Wait')
  waiting.end(Buffer.alloc(0))
  await until(() => server.waitingCount === 1, 'the call')
  waiting.cancel()
  assert.equal((await collect(waiting)).code, STATUS.CANCELLED)
  await until(() => server.waitingCount === 0, 'the cancellation')
  await attached.close()
  server.kill()
})

test('a server that dies ends its calls at once, and one that comes back is attached again', async () => {
  const server = new GrpcJsServer()
  const serverPort = await server.listen()
  const { watch, attached } = attach(serverPort)
  await until(() => watch.attachedCount === 1, 'the attachment')
  const waiting = assert.rejects(
    client.unary('/test.Echo/Wait', Buffer.alloc(0)),
    (error: ServiceError) =>
      [STATUS.UNAVAILABLE, STATUS.CANCELLED, STATUS.INTERNAL].includes(error.code),
  )
  await until(() => server.waitingCount === 1, 'the call')
  server.kill()
  await waiting
  await until(() => watch.reasons.length > 0, 'the detachment')
  await assert.rejects(client.unary('/test.Echo/Unary', Buffer.alloc(0)), code(STATUS.UNAVAILABLE))
  const again = new GrpcJsServer()
  await again.listen(serverPort)
  await until(() => watch.attachedCount === 2, 'the second attachment')
  const { reply } = await client.unary('/test.Echo/Unary', Buffer.from('back'))
  assert.equal(reply.toString(), 'back')
  await attached.close()
  again.kill()
})

test('a server that stops gracefully ends what it has, and gets no more', async () => {
  const server = new GrpcJsServer()
  const { watch, attached } = attach(await server.listen())
  await until(() => watch.attachedCount === 1, 'the attachment')
  const chat = client.stream('/test.Echo/Chat')
  const first = new Promise((resolve) => chat.once('data', resolve))
  chat.write(Buffer.from('a'))
  await first
  const drained = server.drain()
  await until(() => watch.reasons.includes('the server is stopping'), 'the detachment')
  await assert.rejects(client.unary('/test.Echo/Unary', Buffer.alloc(0)), code(STATUS.UNAVAILABLE))
  const rest = collect(chat)
  chat.end(Buffer.from('b'))
  const { replies, code: end } = await rest
  assert.deepEqual([replies.map(String), end], [['b'], 0])
  await drained
  await attached.close()
})
