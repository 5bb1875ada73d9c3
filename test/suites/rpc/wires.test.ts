/** Calls through a broker, over every kind of connection. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import {
  type Channel,
  type Client,
  connectChannel,
  createClient,
  hopOf,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { type RunningBroker, startBroker } from '../../../src/server/index.ts'
import { makeAuthority, makeCertificate } from '../../support/certificates.ts'

const Text = z.object({ text: z.string() })

const Echo = service('test.v1.Echo', {
  echo: rpc.unary({ in: Text, out: Text, idempotency: 'idempotent' }),
  count: rpc.serverStream({ in: z.object({ to: z.number() }), out: z.object({ n: z.number() }) }),
  sum: rpc.clientStream({ in: z.object({ n: z.number() }), out: z.object({ sum: z.number() }) }),
  talk: rpc.bidi({ in: Text, out: Text }),
  tell: rpc.oneway({ in: Text }),
  hang: rpc.unary({ in: Text, out: Text }),
})

type EchoMethods = (typeof Echo)['methods']

const told: string[] = []
const aborted: string[] = []

function provide(channel: Channel, instanceId = 'one', concurrency = 100): Provider {
  return serve(
    channel,
    Echo,
    {
      echo: (input) => input,
      async *count({ to }) {
        for (let n = 0; n < to; n++) yield { n }
      },
      sum: async (numbers) => {
        let sum = 0
        for await (const { n } of numbers) sum += n
        return { sum }
      },
      async *talk(lines) {
        for await (const { text } of lines) yield { text: `${text}!` }
      },
      tell: ({ text }) => void told.push(text),
      hang: async ({ text }, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(text)
            reject(new RpcError('CANCELLED', 'aborted'))
          })
        }),
    },
    { instanceId, concurrency },
  )
}

let folder: string
let ca: string
let broker: RunningBroker

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'waystation-rpc-'))
  const authority = makeAuthority('Test authority')
  const { certPem, keyPem } = makeCertificate(authority, [['CN', 'server']], ['127.0.0.1'])
  const certFile = path.join(folder, 'cert.pem')
  const keyFile = path.join(folder, 'key.pem')
  await writeFile(certFile, certPem)
  await writeFile(keyFile, keyPem)
  ca = authority.certPem
  broker = await startBroker({
    listen: { amqp: false, rpc: 0, rpcs: 0, 'rpc-ws': 0, 'rpc-wss': 0 },
    tls: { certFile, keyFile },
    rpc: { messageSize: 100_000 },
  })
})

after(async () => {
  await broker.close({ timeoutMs: 0 })
  await rm(folder, { recursive: true, force: true })
})

function open(name: 'rpc' | 'rpcs' | 'rpc-ws' | 'rpc-wss' = 'rpc'): Channel {
  return connectChannel(broker.url(name), { tls: { ca } })
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + 30_000
  while (!condition()) {
    if (performance.now() > endMs) assert.fail(`${what} did not come within 30 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function allKinds(echo: Client<EchoMethods>): Promise<void> {
  assert.deepEqual(await echo.echo({ text: 'hé' }), { text: 'hé' })
  let count = 0
  for await (const { n } of echo.count({ to: 5000 })) assert.equal(n, count++)
  assert.equal(count, 5000)
  const numbers = Array.from({ length: 5000 }, (_, n) => ({ n }))
  assert.deepEqual(await echo.sum(numbers), { sum: (5000 * 4999) / 2 })
  const heard: string[] = []
  for await (const { text } of echo.talk([{ text: 'a' }, { text: 'b' }])) heard.push(text)
  assert.deepEqual(heard, ['a!', 'b!'])
  const before_ = told.length
  await echo.tell({ text: 'x' })
  await until(() => told.length > before_, 'a one-way message')
}

for (const name of ['rpc', 'rpcs', 'rpc-ws', 'rpc-wss'] as const) {
  test(`all kinds of calls pass over ${name}`, async () => {
    await using near = open(name)
    await using far = open(name)
    await using provider = provide(far)
    await provider.ready
    await allKinds(createClient(Echo, near))
  })
}

test('a thousand calls at once are each answered with their own', async () => {
  await using near = open()
  await using far = open()
  await using provider = provide(far, 'one', 50)
  await provider.ready
  const echo = createClient(Echo, near)
  const texts = Array.from({ length: 1000 }, (_, index) => String(index).repeat(1 + (index % 40)))
  const answers = await Promise.all(texts.map(async (text) => echo.echo({ text })))
  assert.deepEqual(
    answers.map(({ text }) => text),
    texts,
  )
})

test('a wrong password and an unknown virtual host are refused by name', async () => {
  for (const [options, code] of [
    [{ password: 'wrong' }, 'UNAUTHENTICATED'],
    [{ vhost: 'nowhere' }, 'PERMISSION_DENIED'],
  ] as const) {
    await using channel = connectChannel(broker.url('rpc'), options)
    const echo = createClient(Echo, channel, { policy: { retry: false } })
    await assert.rejects(echo.echo({ text: 'a' }), { code })
  }
})

test('no provider: UNAVAILABLE at once; too large: RESOURCE_EXHAUSTED, and the connection lives', async () => {
  await using near = open()
  const echo = createClient(Echo, near, { policy: { retry: false } })
  await assert.rejects(echo.echo({ text: 'a' }), (error: RpcError) => {
    assert.equal(error.code, 'UNAVAILABLE')
    assert.equal(hopOf(error)?.stage, 'unrouted')
    return true
  })
  await using provider = provide(near)
  await provider.ready
  await assert.rejects(echo.echo({ text: 'x'.repeat(200_000) }), (error: RpcError) => {
    assert.equal(error.code, 'RESOURCE_EXHAUSTED')
    assert.match(error.message, /the limit is 100000/)
    return true
  })
  assert.deepEqual(await echo.echo({ text: 'ok' }), { text: 'ok' })
})

test('cancellation and deadline cross the broker and reach the handler', async () => {
  await using near = open()
  await using far = open()
  await using provider = provide(far)
  await provider.ready
  const echo = createClient(Echo, near)
  const handle = echo.hang.start({ text: 'cancelled' })
  await until(() => provider.openCount === 1, 'the call')
  handle.cancel('enough')
  await assert.rejects(handle.result, { code: 'CANCELLED', message: 'enough' })
  await until(() => aborted.includes('cancelled'), 'the cancellation')
  const late = echo.hang({ text: 'late' }, { deadlineMs: 100 })
  await assert.rejects(late, { code: 'DEADLINE_EXCEEDED' })
  await until(() => aborted.includes('late'), 'the deadline')
})

test('when the caller is gone its calls are cancelled', async () => {
  const near = open()
  await using far = open()
  await using provider = provide(far)
  await provider.ready
  createClient(Echo, near)
    .hang({ text: 'left alone' })
    .catch(() => {})
  await until(() => provider.openCount === 1, 'the call')
  await near.close()
  await until(() => aborted.includes('left alone'), 'the cancellation')
})

test('calls are shared by instances, and wait for the one that is free', async () => {
  await using near = open()
  await using one = open()
  await using two = open()
  await using first = provide(one, 'first', 1)
  await using second = provide(two, 'second', 1)
  await Promise.all([first.ready, second.ready])
  const echo = createClient(Echo, near)
  const hanging = [echo.hang.start({ text: 'h1' }), echo.hang.start({ text: 'h2' })]
  await until(() => first.openCount === 1 && second.openCount === 1, 'both calls')
  const waiting = echo.echo({ text: 'waits' })
  hanging[0]!.cancel()
  assert.deepEqual(await waiting, { text: 'waits' })
  hanging[1]!.cancel()
})

test('what is no frame ends that connection, and no other', async () => {
  await using near = open()
  await using provider = provide(near)
  await provider.ready
  for (const bytes of ['GET / HTTP/1.1\r\n\r\n', '\u0000\u0001\u0002']) {
    const socket = connectSocket(broker.port('rpc'), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(Buffer.from(bytes, 'latin1'))
    await new Promise((resolve) => socket.once('close', resolve).resume())
  }
  assert.deepEqual(await createClient(Echo, near).echo({ text: 'a' }), { text: 'a' })
})
