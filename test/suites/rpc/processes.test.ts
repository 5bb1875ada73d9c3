/** Broker, provider and caller in processes of their own, and what happens when one is killed. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { after, before, test } from 'node:test'
import {
  type Channel,
  type Client,
  connectChannel,
  createClient,
  hopOf,
  RpcError,
} from '../../../src/client/index.ts'
import { BrokerProcess } from '../../support/broker-process.ts'
import { Killable } from '../../support/rpc-provider.ts'

const PROVIDER = path.join(import.meta.dirname, '../../support/rpc-provider.ts')
const WITHIN_MS = 30_000

let broker: BrokerProcess
const children = new Set<ChildProcess>()

before(async () => {
  broker = new BrokerProcess()
  await broker.start()
})

after(async () => {
  for (const child of children) child.kill('SIGKILL')
  await broker[Symbol.asyncDispose]()
})

async function startProvider(instanceId: string, concurrency = 1): Promise<ChildProcess> {
  const args = [PROVIDER, `rpc://127.0.0.1:${broker.rpcPort}`, instanceId, String(concurrency)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  const [bytes] = (await once(child.stdout, 'data', {
    signal: AbortSignal.timeout(WITHIN_MS),
  })) as [Buffer]
  assert.equal(String(bytes), 'ready\n')
  return child
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit', { signal: AbortSignal.timeout(WITHIN_MS) })
  child.kill(signal)
  await ended
}

interface Caller {
  readonly channel: Channel
  readonly killable: Client<(typeof Killable)['methods']>
}

function caller(retry: false | undefined = false): Caller {
  const channel = connectChannel(`rpc://127.0.0.1:${broker.rpcPort}`)
  const policy = retry === false ? { retry } : { breaker: false as const }
  return { channel, killable: createClient(Killable, channel, { policy }) }
}

async function failure(call: AsyncIterator<unknown>): Promise<RpcError> {
  const error: unknown = await call.next().then(
    () => null,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof RpcError, String(error))
  return error
}

test('a provider killed in mid-call fails its calls at once, with the stage each had come to', async () => {
  const { channel, killable } = caller()
  await using _ = channel
  const child = await startProvider('doomed', 2)
  const quiet = killable.hang({ text: '' }, { deadlineMs: 60_000 })[Symbol.asyncIterator]()
  const begun = killable.hang({ text: 'begin' }, { deadlineMs: 60_000 })[Symbol.asyncIterator]()
  assert.deepEqual((await begun.next()).value, { text: 'begun' })
  const waiting = killable.who({ text: '' }, { deadlineMs: 60_000 })
  waiting.catch(() => {})
  const failures = [failure(quiet), failure(begun)]
  await end(child, 'SIGKILL')
  const [first, second] = await Promise.all(failures)
  assert.equal(first!.code, 'UNAVAILABLE')
  assert.equal(hopOf(first!)?.stage, 'delivered')
  assert.equal(hopOf(first!)?.provider, 'doomed')
  assert.equal(second!.code, 'UNAVAILABLE')
  assert.equal(hopOf(second!)?.stage, 'reply_lost')
  await assert.rejects(waiting, (error: RpcError) => {
    assert.equal(hopOf(error)?.stage, 'queued')
    return error.code === 'UNAVAILABLE'
  })
})

test('calls that waited for a killed provider go to another one', async () => {
  const { channel, killable } = caller()
  await using _ = channel
  const doomed = await startProvider('doomed')
  const hanging = killable.hang({ text: 'begin' }, { deadlineMs: 60_000 })[Symbol.asyncIterator]()
  await hanging.next()
  const waiting = Array.from({ length: 20 }, async () =>
    killable.who({ text: '' }, { deadlineMs: 60_000 }),
  )
  const heir = await startProvider('heir')
  const answers = await Promise.all(waiting)
  assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(['heir']))
  await end(doomed, 'SIGKILL')
  assert.deepEqual(await killable.who({ text: '' }), { text: 'heir' })
  await end(heir, 'SIGTERM')
  await assert.rejects(killable.who({ text: '' }), { code: 'UNAVAILABLE' })
})

test('after a kill of the broker callers and providers find it again by themselves', async () => {
  const { channel, killable } = caller(undefined)
  await using _ = channel
  const child = await startProvider('faithful')
  const hanging = killable.hang({ text: 'begin' }, { deadlineMs: 60_000 })[Symbol.asyncIterator]()
  await hanging.next()
  const lost = failure(hanging)
  const port = broker.rpcPort
  await broker.kill()
  assert.equal((await lost).code, 'UNAVAILABLE')
  await using again = new BrokerProcess({ args: ['--listen', `rpc=127.0.0.1:${port}`] })
  await again.start()
  const endMs = performance.now() + WITHIN_MS
  let answer: { readonly text: string } | null = null
  while (answer === null) {
    assert.ok(performance.now() < endMs, 'no answer within 30 s')
    answer = await killable.who({ text: '' }, { deadlineMs: 5000 }).catch(() => null)
    if (answer === null) await new Promise((resolve) => setTimeout(resolve, 20))
  }
  assert.deepEqual(answer, { text: 'faithful' })
  await end(child, 'SIGTERM')
})
