/** Durable calls: stored, given to providers, tried again, and their outcomes kept. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import amqplib, { type GetMessage } from 'amqplib'
import { z } from 'zod'
import {
  type Channel,
  type Client,
  connectChannel,
  createClient,
  errorOf,
  type HandlerContext,
  listenChannel,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { startBroker } from '../../../src/server/index.ts'
import { startTestBroker, type TestBroker } from '../../../src/testing/index.ts'

const Text = z.object({ text: z.string() })

const Jobs = service('test.v1.Jobs', {
  run: rpc.unary({ in: Text, out: Text, errors: { Broken: z.object({ left: z.number() }) } }),
  tell: rpc.oneway({ in: Text }),
})

type Jobs = (typeof Jobs)['methods']
type Run = (text: string, context: HandlerContext) => string | Promise<string>

const QUEUE = 'rpc.test.v1.Jobs'
const DEAD = 'rpc-dead.test.v1.Jobs'
/** Real time, for a machine that does much else; virtual hours may pass in it. */
const WITHIN = { timeoutMs: 30_000 }

let broker: TestBroker
let channels: Channel[]
let jobs: Client<Jobs>

beforeEach(async () => {
  broker = await startTestBroker({ listen: { http: 0 } })
  channels = []
  jobs = createClient(Jobs, connect())
})

afterEach(async () => {
  await Promise.all(channels.map(async (channel) => channel.close()))
  await broker[Symbol.asyncDispose]()
})

function connect(): Channel {
  const channel = connectChannel(broker.url('rpc'))
  channels.push(channel)
  return channel
}

async function provide(run: Run, options: { concurrency?: number } = {}): Promise<Provider> {
  const provider = serve(
    connect(),
    Jobs,
    {
      run: async ({ text }, context) => ({ text: await run(text, context) }),
      tell: async ({ text }, context) => run(text, context),
    },
    options,
  )
  await provider.ready
  return provider
}

interface Properties {
  readonly headers?: Readonly<Record<string, unknown>>
  readonly messageId: unknown
  readonly contentType: unknown
}

/** A message as an AMQP client sees it, put back. */
async function lookAt(queue: string): Promise<GetMessage> {
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  const message = await channel.get(queue)
  assert.ok(message !== false, `${queue} is empty`)
  channel.nack(message)
  await channel.close()
  await connection.close()
  return message
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof RpcError, String(error))
  return error
}

test('a call waits on disk until a provider comes, over restarts, and so does its outcome', async () => {
  const call = await jobs.run.durable({ text: 'a' })
  assert.equal(call.wasKnown, false)
  assert.equal(await call.state(), 'waiting')
  await broker.destination(QUEUE).waitFor({ ready: 1 })
  await broker.crash('power-cut')
  assert.equal(await call.state(), 'waiting')
  const seen: unknown[] = []
  await provide((text, { durable }) => {
    seen.push(durable?.id, durable?.attempt)
    return `${text}!`
  })
  assert.deepEqual(await call.result(), { text: 'a!' })
  assert.equal(await call.state(), 'done')
  assert.deepEqual(seen, [call.id, 1])
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  await broker.crash('power-cut')
  // Another process has nothing but the id.
  const other = createClient(Jobs, connect())
  assert.deepEqual(await other.run.durableCall(call.id).result(), { text: 'a!' })
  assert.equal(seen.length, 2)
})

test('calls with one key are one call, while it waits and when it is done', async () => {
  const first = await jobs.run.durable({ text: 'a' }, { key: 'order-7' })
  const second = await jobs.run.durable({ text: 'a' }, { key: 'order-7' })
  assert.equal(second.id, first.id)
  assert.equal(second.wasKnown, true)
  const other = await jobs.run.durable({ text: 'b' }, { key: 'order-8' })
  assert.notEqual(other.id, first.id)
  let count = 0
  await provide((text, { durable }) => `${text} ${++count} ${durable?.key}`)
  assert.deepEqual(await second.result(), { text: 'a 1 order-7' })
  assert.deepEqual(await other.result(), { text: 'b 2 order-8' })
  await broker.crash()
  const third = await jobs.run.durable({ text: 'a' }, { key: 'order-7' })
  assert.equal(third.id, first.id)
  assert.deepEqual(await third.result(), { text: 'a 1 order-7' })
  assert.equal(count, 2)
})

test('an outcome is kept for its time and then forgotten, and its key with it', async () => {
  let count = 0
  await provide(() => String(++count))
  const call = await jobs.run.durable({ text: '' }, { key: 'k', keepResultMs: 60_000 })
  assert.deepEqual(await call.result(), { text: '1' })
  await broker.clock.advance(59_000)
  assert.deepEqual(await call.result(), { text: '1' })
  await broker.clock.advance(1000)
  assert.equal((await failure(call.result())).code, 'NOT_FOUND')
  const again = await jobs.run.durable({ text: '' }, { key: 'k' })
  assert.notEqual(again.id, call.id)
  assert.deepEqual(await again.result(), { text: '2' })
})

test('an error that is an answer is the outcome, with its details', async () => {
  let count = 0
  await provide((_text, context) => {
    count += 1
    throw context.error('Broken', { left: 3 })
  })
  const call = await jobs.run.durable({ text: '' })
  for (let look = 0; look < 2; look++) {
    const error = await failure(call.result())
    assert.equal(error.code, 'FAILED_PRECONDITION')
    assert.deepEqual(errorOf(Jobs, 'run', error), { name: 'Broken', data: { left: 3 } })
    await broker.crash()
  }
  assert.equal(count, 1)
  assert.equal(await call.state(), 'done')
})

test('what fails is tried again with backoff, also over a crash, until it succeeds', async () => {
  const attempts: unknown[] = []
  await provide((text, { durable }) => {
    attempts.push(durable?.attempt)
    if (attempts.length < 4) throw new RpcError('UNAVAILABLE', 'the printer is off')
    return text
  })
  const call = await jobs.run.durable({ text: 'a' })
  await broker.waitFor(() => attempts.length === 1)
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  assert.equal(await call.state(), 'waiting')
  await broker.clock.advance(999)
  assert.equal(attempts.length, 1)
  await broker.clock.advance(1)
  await broker.waitFor(() => attempts.length === 2)
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  await broker.crash()
  await provide(() => assert.fail('the first provider comes back, and its turn is first')).then(
    async (provider) => provider.close(),
  )
  await broker.waitFor(async () => {
    await broker.clock.advance(2000)
    return attempts.length === 4
  }, WITHIN)
  assert.deepEqual(await call.result(), { text: 'a' })
  assert.deepEqual(attempts, [1, 2, 3, 4])
})

test('what fails too often goes to the dead letters, with its errors, and comes back by a re-drive', async () => {
  let isBroken = true
  let count = 0
  await provide((text) => {
    count += 1
    if (isBroken) throw new RpcError(count === 1 ? 'INTERNAL' : 'ABORTED', `number ${count}`)
    return text
  })
  const call = await jobs.run.durable({ text: 'a' }, { key: 'k' })
  const waiting = failure(call.result({ deadlineMs: 30_000 }))
  await broker.waitFor(async () => {
    await broker.clock.advance(300_000)
    return broker.destination(DEAD).ready === 1
  }, WITHIN)
  assert.equal(count, 17)
  const error = await waiting
  assert.equal(error.code, 'ABORTED')
  assert.match(error.message, /^number 17 \(.*dead letters\)$/)
  assert.equal(await call.state(), 'dead')
  const letter = await lookAt(DEAD)
  const { headers = {}, messageId, contentType } = letter.properties as Properties
  assert.equal(headers['waystation-method'], '/test.v1.Jobs/run')
  assert.equal(messageId, call.id)
  assert.equal(contentType, 'application/json')
  assert.equal(headers['x-first-death-reason'], 'delivery_limit')
  assert.equal(headers['x-first-death-error'], 'INTERNAL: number 1')
  assert.equal(headers['x-last-death-error'], 'ABORTED: number 17')
  assert.equal(headers['x-last-death-attempts'], 17)
  assert.deepEqual(JSON.parse(letter.content.toString()), { text: 'a' })
  // The same key finds it where it is.
  assert.equal((await jobs.run.durable({ text: 'a' }, { key: 'k' })).id, call.id)

  isBroken = false
  const url = `http://127.0.0.1:${broker.port('http')}/v1/destinations/%2F/${DEAD}/redrive`
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{}',
  })
  assert.equal(response.status, 202, await response.text())
  await broker.waitFor(() => count === 18, WITHIN)
  assert.deepEqual(await call.result(), { text: 'a' })
  assert.equal(broker.destination(DEAD).ready, 0)
})

test('what waits can be cancelled, what a provider has cannot', async () => {
  const waiting = await jobs.run.durable({ text: 'waiting' })
  const later = await jobs.run.durable({ text: 'later' }, { delayMs: 60_000 })
  const both = [waiting, later]
  for (const call of both) {
    await call.cancel()
    assert.equal((await failure(call.result())).code, 'CANCELLED')
    assert.equal(await call.state(), 'done')
    assert.equal((await failure(call.cancel())).code, 'FAILED_PRECONDITION')
  }
  assert.equal(broker.destination(QUEUE).ready, 0)
  await broker.crash()
  const seen: string[] = []
  let finish: (() => void) | undefined
  await provide(async (text) => {
    seen.push(text)
    if (text === 'running') await new Promise<void>((resolve) => (finish = resolve))
    if (text === 'failing') throw new RpcError('UNAVAILABLE', 'no')
    return text
  })
  await broker.clock.advance(60_000)
  const running = await jobs.run.durable({ text: 'running' })
  await broker.waitFor(() => finish !== undefined)
  assert.equal(await running.state(), 'running')
  assert.equal((await failure(running.cancel())).code, 'FAILED_PRECONDITION')
  finish!()
  assert.deepEqual(await running.result(), { text: 'running' })
  // Held back after a failure: it is not made again.
  const failing = await jobs.run.durable({ text: 'failing' })
  await broker.waitFor(() => seen.length === 2)
  await broker.waitFor(async () => (await failing.state()) === 'waiting')
  await failing.cancel()
  await broker.clock.advance(2000)
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  assert.equal((await failure(failing.result())).code, 'CANCELLED')
  assert.deepEqual(seen, ['running', 'failing'])
})

test('a call may wait for its time', async () => {
  const seen: string[] = []
  await provide((text) => {
    seen.push(text)
    return text
  })
  const later = await jobs.run.durable({ text: 'later' }, { delayMs: 60_000 })
  const notBeforeMs = broker.clock.now() + 30_000
  const sooner = await jobs.run.durable({ text: 'sooner' }, { notBeforeMs })
  await broker.crash()
  await broker.clock.advance(29_999)
  assert.equal(await sooner.state(), 'waiting')
  assert.deepEqual(seen, [])
  await broker.clock.advance(1)
  assert.deepEqual(await sooner.result(), { text: 'sooner' })
  assert.equal(await later.state(), 'waiting')
  await broker.clock.advance(30_000)
  assert.deepEqual(await later.result(), { text: 'later' })
})

test('calls with one order key are done one after the other, whoever does them', async () => {
  const perKey = new Map<string, string[]>()
  const running = new Map<string, number>()
  let atOnce = 0
  const run: Run = async (text) => {
    const key = text[0]!
    assert.equal(running.get(key) ?? 0, 0, `${key} runs twice`)
    running.set(key, 1)
    atOnce = Math.max(atOnce, [...running.values()].filter((count) => count > 0).length)
    await new Promise((resolve) => setTimeout(resolve, 2))
    running.set(key, 0)
    perKey.set(key, [...(perKey.get(key) ?? []), text])
    return text
  }
  const calls = []
  for (let number = 0; number < 10; number++) {
    for (const key of ['a', 'b', 'c']) {
      calls.push(await jobs.run.durable({ text: `${key}${number}` }, { orderKey: key }))
    }
  }
  await provide(run)
  await provide(run)
  await Promise.all(calls.map(async (call) => call.result()))
  for (const [key, texts] of perKey) {
    assert.deepEqual(
      texts,
      Array.from({ length: 10 }, (_, number) => `${key}${number}`),
    )
  }
  assert.ok(atOnce > 1, 'different keys were not done at once')
})

test('a one-way method is stored and done too', async () => {
  const call = await jobs.tell.durable({ text: 'x' })
  const told: string[] = []
  await provide((text) => {
    told.push(text)
    return ''
  })
  assert.equal(await call.result(), undefined)
  assert.deepEqual(told, ['x'])
})

test('a provider that is lost costs an attempt, one that closes does not', async () => {
  const attempts: unknown[] = []
  let isHanging = true
  const run: Run = async (text, { durable }) => {
    attempts.push(durable?.attempt)
    if (isHanging) await new Promise(() => {})
    return text
  }
  await provide(run)
  const call = await jobs.run.durable({ text: 'a' })
  await broker.waitFor(() => attempts.length === 1)
  isHanging = false
  broker.cutConnections()
  await broker.destination(QUEUE).waitFor({ unsettled: 0 })
  await broker.waitFor(async () => {
    await broker.clock.advance(1000)
    return attempts.length === 2
  }, WITHIN)
  assert.deepEqual(await call.result(), { text: 'a' })
  assert.deepEqual(attempts, [1, 2])
})

test('providers get no more than they grant', async () => {
  let running = 0
  let most = 0
  await provide(
    async (text) => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setImmediate(resolve))
      running -= 1
      return text
    },
    { concurrency: 3 },
  )
  const texts = Array.from({ length: 50 }, (_, number) => String(number))
  const calls = await Promise.all(texts.map(async (text) => jobs.run.durable({ text })))
  const results = await Promise.all(calls.map(async (call) => call.result()))
  assert.deepEqual(
    results.map(({ text }) => text),
    texts,
  )
  assert.equal(most, 3)
})

test('without a broker there are no durable calls', async () => {
  await using listening = await listenChannel()
  serve(listening, Jobs, { run: (input) => input, tell: () => {} })
  const channel = connectChannel(listening.url)
  channels.push(channel)
  const error = await failure(createClient(Jobs, channel).run.durable({ text: '' }))
  assert.equal(error.code, 'UNIMPLEMENTED')
})

test('an AMQP client puts a call into the queue; what is none goes to the dead letters', async () => {
  const first = await jobs.run.durable({ text: 'ours' })
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  const headers = { 'waystation-method': 'run', 'idempotency-key': 'k' }
  const body = Buffer.from('{"text":"theirs"}')
  const properties = { persistent: true, contentType: 'application/json' }
  channel.sendToQueue(QUEUE, body, { ...properties, messageId: 'amqp-1', headers })
  channel.sendToQueue(QUEUE, body, { ...properties, messageId: 'amqp-2' })
  await channel.waitForConfirms()
  await connection.close()
  await provide((text, { durable }) => `${text} ${durable?.id} ${durable?.attempt}`)
  assert.deepEqual(await first.result(), { text: `ours ${first.id} 1` })
  await broker.destination(DEAD).waitFor({ ready: 1 })
  const letter = await lookAt(DEAD)
  const died = letter.properties as Properties
  assert.equal(died.messageId, 'amqp-2')
  assert.equal(died.headers?.['x-last-death-error'], 'the message is no call of this service')
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  const theirs = jobs.run.durableCall('amqp-1')
  assert.deepEqual(await theirs.result(), { text: 'theirs amqp-1 1' })
  assert.equal((await jobs.run.durable({ text: '' }, { key: 'k' })).id, 'amqp-1')
})

test('of two messages with one id the first to end is the outcome, and none is stored again', async () => {
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createConfirmChannel()
  const finish: (() => void)[] = []
  await provide(async (text) => {
    await new Promise<void>((resolve) => finish.push(resolve))
    return text
  })
  // Its providers are there when somebody declares the queue.
  await channel.assertQueue(QUEUE)
  const own = await jobs.run.durable({ text: 'own' })
  await broker.waitFor(() => finish.length === 1)
  const headers = { 'waystation-method': 'run', 'waystation-durable': 'accept' }
  for (const text of ['first', 'second']) {
    const body = Buffer.from(JSON.stringify({ text }))
    channel.sendToQueue(QUEUE, body, { persistent: true, messageId: 'twice', headers })
  }
  await channel.waitForConfirms()
  await connection.close()
  await broker.waitFor(() => finish.length === 3)
  for (const end of finish) end()
  await broker.destination(QUEUE).waitFor({ ready: 0, unsettled: 0 })
  assert.deepEqual(await own.result(), { text: 'own' })
  assert.deepEqual(await jobs.run.durableCall('twice').result(), { text: 'first' })
  await broker.crash()
  assert.deepEqual(await jobs.run.durableCall('twice').result(), { text: 'first' })
})

test('a purged queue leaves calls that are lost', async () => {
  const call = await jobs.run.durable({ text: 'a' })
  const connection = await amqplib.connect(broker.url('amqp'))
  const channel = await connection.createChannel()
  await channel.purgeQueue(QUEUE)
  await connection.close()
  assert.equal(await call.state(), 'lost')
  assert.equal((await failure(call.result())).code, 'DATA_LOSS')
})

test('calls and outcomes are bounded: the oldest outcome goes first, what waits never', async () => {
  await using limited = await startBroker({
    listen: { amqp: false, rpc: 0 },
    rpc: { durableCalls: 3, durableResultsSize: 2048 },
  })
  const channel = connectChannel(limited.url('rpc'))
  channels.push(channel)
  const client = createClient(Jobs, channel)
  const run = async (text: string) => client.run.durable({ text }, { deadlineMs: 300 })
  const first = await run('1')
  const second = await run('2')
  const third = await run('3')
  assert.equal((await failure(run('4'))).code, 'RESOURCE_EXHAUSTED')
  serve(channel, Jobs, { run: ({ text }) => ({ text: text.repeat(700) }), tell: () => {} })
  const long = await Promise.all([second, third].map(async (call) => call.result()))
  assert.deepEqual(
    long.map(({ text }) => text.length),
    [700, 700],
  )
  // Three outcomes of 700 bytes are more than 2048.
  assert.equal((await failure(first.result())).code, 'NOT_FOUND')
  const fourth = await run('4')
  assert.equal((await fourth.result()).text.length, 700)
  assert.equal((await failure(second.result())).code, 'NOT_FOUND')
  assert.equal((await third.result()).text.length, 700)
})

test('what is asked in a wrong way is refused', async () => {
  const call = await jobs.run.durable({ text: '' })
  const Others = service('test.v1.Others', { run: rpc.unary({ in: Text, out: Text }) })
  const others = createClient(Others, channels[0]!)
  // Who may not see the calls of a service does not learn that there is one.
  assert.equal((await failure(others.run.durableCall(call.id).state())).code, 'NOT_FOUND')
  assert.equal((await failure(jobs.run.durableCall('nobody').result())).code, 'NOT_FOUND')
  const wrongKind = await failure(jobs.tell.durableCall(call.id).state())
  assert.equal(wrongKind.code, 'INVALID_ARGUMENT')
  for (const [name, value] of [
    ['waystation-durable', 'maybe'],
    ['waystation-delay-ms', '-1'],
    ['idempotency-key', 'k'.repeat(256)],
  ] as const) {
    const metadata = { 'waystation-durable': 'accept', [name]: value }
    assert.equal((await failure(jobs.run({ text: '' }, { metadata }))).code, 'INVALID_ARGUMENT')
  }
})
