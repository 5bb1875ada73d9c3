/**
 * As many bindings as one virtual host may have, made by one client, while another one works and
 * health is told: they are made, listed, there again after a crash, and gone, and hold up nobody.
 * `WAYSTATION_BINDINGS=1000000` makes a real million.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, test, type TestContext } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { HealthWatch } from '../support/health-watch.ts'
import type { Target } from '../support/target.ts'
import { ControlConnection } from './control-connection.ts'
import { heldBytes, openInspector } from './held-memory.ts'
import {
  bindMany,
  checkRoutes,
  declareEnds,
  deleteQueues,
  openClient,
  QUEUES,
} from './many-binds.ts'

const LIMIT = Number(process.env['WAYSTATION_BINDINGS'] ?? 100_000)
/** What the broker allows where nobody set a limit. */
const LIMIT_DEFAULT = 1_000_000
/** One is the broker's own, by which calls come that are published. */
const COUNT = LIMIT - 1
/** Of the heap and of buffers, with what a queue and an exchange need to find them. */
const BYTES_EACH_MAX = 500
const AUTHORIZATION = `Basic ${Buffer.from('guest:guest').toString('base64')}`

let broker: BrokerProcess
let control: ControlConnection
let inspector: string
/** What the broker held with exchanges and queues, before there was a binding. */
let emptyBytes = 0

before(async () => {
  broker = new BrokerProcess({ nodeFlags: ['--inspect-port=0'] })
  await startAgain()
})

after(async () => {
  await control[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
})

async function startAgain(): Promise<void> {
  await broker.start()
  inspector = await openInspector(broker)
  control = await ControlConnection.open({ ...targetOf(), process: broker }, 'bindings')
}

function targetOf(): Omit<Target, 'process'> {
  const { port } = broker
  const url = `amqp://guest:guest@127.0.0.1:${port}`
  return { url, host: '127.0.0.1', port, user: 'guest', password: 'guest' }
}

async function ask(path: string, options: RequestInit = {}): Promise<Response> {
  const headers = { authorization: AUTHORIZATION, 'content-type': 'application/json' }
  return fetch(`http://127.0.0.1:${broker.httpPort}${path}`, { headers, ...options })
}

async function json(path: string): Promise<Record<string, unknown>> {
  const answer = await ask(path)
  assert.equal(answer.status, 200, path)
  return (await answer.json()) as Record<string, unknown>
}

/** How often `text` is in a long answer, which is never in memory as a whole. */
async function countIn(path: string, text: string): Promise<number> {
  const answer = await ask(path)
  assert.equal(answer.status, 200, path)
  const decoder = new TextDecoder()
  let count = 0
  let rest = ''
  for await (const bytes of answer.body!) {
    const parts = (rest + decoder.decode(bytes, { stream: true })).split(text)
    count += parts.length - 1
    rest = parts.at(-1)!.slice(-text.length)
  }
  return count
}

/** All of them in lists count those of the default exchange too: one a queue. */
async function boundCount(): Promise<number> {
  const { total_count: total } = await json('/api/bindings/%2F?page=1&page_size=1')
  // Beside those of the test, the control connection has a queue.
  return Number(total) - QUEUES - 1
}

/** Health is asked for and the honest client works meanwhile; tells what was seen. */
async function during(t: TestContext, work: () => Promise<void>): Promise<void> {
  await using health = await HealthWatch.open(broker.httpPort, broker.pid!)
  const startMs = performance.now()
  const startCpuMs = cpuMs()
  await work()
  const tookMs = performance.now() - startMs
  const usedMs = cpuMs() - startCpuMs
  t.diagnostic(`${tookMs.toFixed(0)} ms, ${usedMs} ms of CPU; ${await health.verdict()}`)
  await control.progress()
  t.diagnostic(`the slowest batch of the client beside it took ${control.slowestMs.toFixed(0)} ms`)
}

/** What the broker has used of the processors, in all its threads. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${broker.pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

test('a client binds queues as often as it may, and once more', async (t) => {
  await using client = await closing(targetOf().url)
  await declareEnds(client.model)
  if (LIMIT !== LIMIT_DEFAULT) {
    const body = JSON.stringify({ 'max-bindings': LIMIT })
    assert.ok((await ask('/v1/vhosts/%2F/limits', { method: 'PUT', body })).ok)
  }
  emptyBytes = await heldBytes(inspector)
  await during(t, async () => bindMany(client.model, { from: 0, to: COUNT }))
  const channel = await client.model.createChannel()
  channel.on('error', () => undefined)
  await assert.rejects(
    channel.bindQueue('bound.0', 'many.direct', 'one too many'),
    new RegExp(`binding limit in vhost '/' \\(${LIMIT}\\) is reached`),
  )
  assert.equal(await boundCount(), COUNT)
  assert.deepEqual(await checkRoutes(client.model, someOf(200)), [])
})

test('each takes little memory', async (t) => {
  const bytes = await heldBytes(inspector)
  const each = (bytes - emptyBytes) / COUNT
  t.diagnostic(`${each.toFixed(0)} bytes each`)
  assert.ok(each < BYTES_EACH_MAX, `${each} bytes each`)
})

test('all are listed, in pieces and in pages', async (t) => {
  await during(t, async () => {
    assert.equal(await countIn('/v1/bindings', '"targetKind"'), COUNT)
    const all = COUNT + QUEUES + 1
    assert.equal(await countIn('/api/bindings', '"properties_key"'), all)
    assert.equal(await countIn('/api/definitions', '"destination_type"'), COUNT)
    const { items, page_count: pages } = await json('/api/bindings?page=3&page_size=100')
    assert.equal((items as object[]).length, 100)
    assert.equal(pages, Math.ceil(all / 100))
    const named = await json('/api/bindings?page=1&name=order.2s')
    assert.ok(Number(named['filtered_count']) > 0)
    const sorted = await ask('/api/bindings?sort=destination')
    assert.equal(sorted.status, 400)
    assert.match(await sorted.text(), /bindings are too many to sort/)
    const ofOne = await json('/api/queues/%2F/bound.7/bindings?page=1')
    assert.equal(ofOne['total_count'], LIMIT / QUEUES + 1)
    const { bindingCount } = await json('/v1/destinations/%2F/bound.7')
    assert.equal(bindingCount, LIMIT / QUEUES)
    const picture = await json('/v1/picture/%2F')
    assert.ok((picture['bindings'] as object[]).length > 0)
  })
})

test('all are there after a crash', async (t) => {
  await control[Symbol.asyncDispose]()
  await broker.kill()
  const startMs = performance.now()
  await startAgain()
  t.diagnostic(`ready after ${(performance.now() - startMs).toFixed(0)} ms`)
  assert.equal(await boundCount(), COUNT)
  await using client = await closing(targetOf().url)
  await during(t, async () => {
    assert.deepEqual(await checkRoutes(client.model, someOf(200)), [])
  })
})

test('they go with their queues, and their memory with them', async (t) => {
  await using client = await closing(targetOf().url)
  await during(t, async () => {
    const channel = await client.model.createChannel()
    await channel.deleteExchange('many.topic')
    await channel.close()
    await deleteQueues(client.model)
  })
  const { total_count: total } = await json('/api/bindings/%2F?page=1')
  assert.equal(total, 1)
  const left = (await heldBytes(inspector)) - emptyBytes
  t.diagnostic(`${(left / 1024 / 1024).toFixed(1)} MiB more than at first`)
  assert.ok(left < Math.max(COUNT * 50, 16 * 1024 * 1024), `${left} bytes are left`)
})

function someOf(count: number): number[] {
  return Array.from({ length: count }, (_one, n) => Math.floor((n * COUNT) / count) + (n % 20))
}

async function closing(
  url: string,
): Promise<AsyncDisposable & { readonly model: Awaited<ReturnType<typeof openClient>> }> {
  const model = await openClient(url)
  model.on('error', () => undefined)
  return {
    model,
    async [Symbol.asyncDispose]() {
      await model.close()
    },
  }
}
