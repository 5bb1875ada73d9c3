/** One call at every provider of a service. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { z } from 'zod'
import {
  type Channel,
  connectChannel,
  createClient,
  type Gathered,
  type Provider,
  rpc,
  RpcError,
  serve,
  service,
} from '../../../src/client/index.ts'
import { type RunningBroker, startBroker } from '../../../src/server/index.ts'

const Text = z.object({ text: z.string() })
const Caches = service('test.v1.Caches', { drop: rpc.unary({ in: Text, out: Text }) })

let broker: RunningBroker
let channels: Channel[]

beforeEach(async () => {
  broker = await startBroker({ listen: { amqp: false, rpc: 0 } })
  channels = []
})

afterEach(async () => {
  await Promise.all(channels.map(async (channel) => channel.close()))
  await broker.close()
})

function connect(): Channel {
  const channel = connectChannel(broker.url('rpc'))
  channels.push(channel)
  return channel
}

async function provide(
  instanceId: string,
  drop: (text: string, signal: AbortSignal) => string | Promise<string>,
): Promise<Provider> {
  const handlers = {
    drop: async ({ text }: { text: string }, context: { readonly signal: AbortSignal }) => ({
      text: await drop(text, context.signal),
    }),
  }
  const provider = serve(connect(), Caches, handlers, { instanceId })
  await provider.ready
  return provider
}

function told(gathered: readonly Gathered<{ readonly text: string }>[]): string[] {
  return gathered
    .map(
      (one) => `${one.provider}: ${one.status === 'fulfilled' ? one.value.text : one.reason.code}`,
    )
    .toSorted()
}

test('every provider gets the call, and each end is told', async () => {
  await provide('one', (text) => `${text} 1`)
  await provide('two ✓', (text) => `${text} 2`)
  await provide('three', () => {
    throw new RpcError('NOT_FOUND', 'no such key')
  })
  const { drop } = createClient(Caches, connect())
  for (let round = 0; round < 3; round++) {
    const gathered = await drop.broadcast({ text: 'k' })
    assert.deepEqual(told(gathered), ['one: k 1', 'three: NOT_FOUND', 'two ✓: k 2'])
  }
})

test('with a quorum the first that answer well are enough, and the others are cancelled', async () => {
  let isAborted = false
  await provide('slow', async (_text, signal) => {
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    isAborted = true
    return ''
  })
  await provide('one', (text) => text)
  await provide('two', (text) => text)
  const { drop } = createClient(Caches, connect())
  const gathered = await drop.broadcast({ text: 'k' }, { quorum: 2 })
  assert.deepEqual(told(gathered), ['one: k', 'two: k'])
  const endMs = performance.now() + 30_000
  while (!isAborted) {
    assert.ok(performance.now() < endMs, 'the slow one was not told')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await assert.rejects(drop.broadcast({ text: 'k' }, { quorum: 4 }), { code: 'ABORTED' })
})

test('nobody there is an error, and so is a deadline at each', async () => {
  const { drop } = createClient(Caches, connect(), { policy: { retry: false } })
  await assert.rejects(drop.broadcast({ text: '' }, { deadlineMs: 500 }), { code: 'UNAVAILABLE' })
  await provide('one', async () => new Promise(() => {}))
  await provide('two', (text) => text)
  const gathered = await drop.broadcast({ text: 'k' }, { deadlineMs: 300 })
  assert.deepEqual(told(gathered), ['one: DEADLINE_EXCEEDED', 'two: k'])
})
